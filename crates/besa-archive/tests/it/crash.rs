//! `kill -9` at random points: what was acknowledged stays, what was not is not there, nothing is
//! there twice. `BESA_CRASH_ROUNDS` sets the number of rounds.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use besa_archive::{Archive, Error, Retention, Window, Writer};
use besa_event::{LogSources, Timestamp};

use crate::support::{DAY, Made, add, batch, dictionary, scan};

const CHILD: &str = "BESA_CRASH_CHILD";

/// Numbers of one day, and how many days retention leaves.
const PER_DAY: i64 = 4;
const DAYS_KEPT: i64 = 3;

/// The day before which retention deletes once a number is in.
fn horizon(number: i64) -> i64 {
    number / PER_DAY - DAYS_KEPT
}

/// What the child does until it is killed: adds, compacts, deletes what is old, collects; a line for
/// each number acknowledged, and before each deletion the day up to which it may delete.
#[test]
#[expect(clippy::print_stdout, reason = "the parent reads it")]
fn child() {
    let Ok(spec) = std::env::var(CHILD) else { return };
    let (url, from) = spec.rsplit_once('|').unwrap();
    let (dictionary, sources) = (dictionary(), LogSources::new());
    for number in from.parse::<i64>().unwrap().. {
        let field = ("Number".to_owned(), 2, number.to_string().into_bytes());
        let made =
            Made { time: Some(number / PER_DAY * DAY), fields: vec![field], raw: true, ..Made::default() };
        add(url, &[batch("child", &[made], &dictionary, &sources)], &dictionary, &sources);
        println!("\nacknowledged {number}");
        if number % 5 == 0 {
            let mut writer = Writer::open(url, None).unwrap();
            writer.compact(Timestamp(0), &|| false).unwrap();
            println!("\nretaining {}", horizon(number));
            let retention = Retention { before: horizon(number) * DAY, sources: Vec::new() };
            writer.retain(&retention, Timestamp(0)).unwrap();
            println!("\nretained {}", horizon(number));
            writer.collect(Timestamp(0)).unwrap();
        }
    }
}

/// What a child has said.
enum Said {
    Acknowledged(i64),
    Retaining(i64),
    Retained(i64),
}

impl Said {
    fn of(line: &str) -> Option<Self> {
        let (word, number) = line.split_once(' ')?;
        let number = number.parse().ok()?;
        match word {
            "acknowledged" => Some(Self::Acknowledged(number)),
            "retaining" => Some(Self::Retaining(number)),
            "retained" => Some(Self::Retained(number)),
            _ => None,
        }
    }
}

/// What all children together have said.
#[derive(Default)]
struct Heard {
    acknowledged: BTreeSet<i64>,
    /// Days before these may be gone, and have to be gone.
    retaining: i64,
    retained: i64,
}

impl Heard {
    fn add(&mut self, said: &Said) {
        match said {
            Said::Acknowledged(number) => {
                self.acknowledged.insert(*number);
            }
            Said::Retaining(day) => self.retaining = self.retaining.max(*day),
            Said::Retained(day) => self.retained = self.retained.max(*day),
        }
    }

    fn check(&self, found: &[i64]) {
        let day = |number: i64| number / PER_DAY;
        assert!(found.windows(2).all(|pair| pair[0] != pair[1]), "twice: {found:?}");
        let lost: Vec<_> = (self.acknowledged.iter())
            .filter(|number| day(**number) >= self.retaining && found.binary_search(number).is_err())
            .collect();
        assert!(lost.is_empty(), "lost: {lost:?} of {found:?}");
        let kept: Vec<_> = found.iter().filter(|number| day(**number) < self.retained).collect();
        assert!(kept.is_empty(), "deleted and there again: {kept:?}");
    }
}

/// Starts a child, kills it at a moment that depends on the round, and gives what it said.
///
/// One round in three kills at any time, one after something was acknowledged, one as soon as
/// something is being deleted, however slow the disk is.
fn one_round(url: &str, next: i64, round: u64) -> Vec<Said> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["crash::child", "--exact", "--nocapture"])
        .env(CHILD, format!("{url}|{next}"))
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let (tell, told) = mpsc::channel();
    let reader = std::thread::spawn(move || {
        lines.map_while(Result::ok).filter_map(|line| Said::of(&line)).for_each(|said| {
            let _ = tell.send(said);
        });
    });
    let mut heard = Vec::new();
    let mut wait_for = |is_it: fn(&Said) -> bool| loop {
        let said = told.recv_timeout(Duration::from_secs(120)).expect("the child goes on");
        let is_it = is_it(&said);
        heard.push(said);
        if is_it {
            break;
        }
    };
    match round % 3 {
        0 => std::thread::sleep(Duration::from_millis(60 + round * 7_919 % 240)),
        1 => {
            wait_for(|said| matches!(said, Said::Acknowledged(_)));
            std::thread::sleep(Duration::from_millis(round * 7_919 % 240));
        }
        _ => {
            wait_for(|said| matches!(said, Said::Retaining(_)));
            std::thread::sleep(Duration::from_micros(round * 7_919 % 12_000));
        }
    }
    child.kill().unwrap();
    child.wait().unwrap();
    reader.join().unwrap();
    heard.extend(told.try_iter());
    heard
}

#[test]
fn what_was_acknowledged_survives_kill() {
    let rounds = std::env::var("BESA_CRASH_ROUNDS").ok().and_then(|n| n.parse().ok()).unwrap_or(9_u64);
    let folder = tempfile::tempdir().unwrap();
    let url = folder.path().join("a").display().to_string();
    let mut heard = Heard::default();
    let mut next = 0;
    for round in 0..rounds {
        one_round(&url, next, round).iter().for_each(|said| heard.add(said));
        let archive = match Archive::open(&url) {
            Err(Error::NoArchive(_)) if heard.acknowledged.is_empty() => continue,
            archive => archive.unwrap(),
        };
        let (found, report) = scan(&archive, Window::default(), &dictionary());
        assert_eq!(report.defects, []);
        let number =
            |text: &String| text.split("Number=").nth(1).unwrap().split(';').next().unwrap().parse().unwrap();
        let mut found: Vec<i64> = found.iter().map(number).collect();
        found.sort_unstable();
        // What was committed and not acknowledged any more is not given again.
        next = found.last().map_or(next, |last| last + 1);
        heard.check(&found);
    }
    if rounds > 5 {
        assert!(heard.retaining > 0 && heard.acknowledged.len() > 5, "nothing was deleted");
    }
    let mut writer = Writer::open(&url, None).unwrap();
    writer.collect(Timestamp(0)).unwrap();
    assert_eq!(writer.collect(Timestamp(0)).unwrap(), 0, "orphans stayed");
    drop(writer);
    assert_eq!(Archive::open(&url).unwrap().verify(None, &|| false).unwrap().defects, []);
}
