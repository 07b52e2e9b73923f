//! `kill -9` at random points: what was acknowledged stays, what was not is not there, nothing is
//! there twice. `BESA_CRASH_ROUNDS` sets the number of rounds.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

use besa_archive::{Archive, Error, Window, Writer};
use besa_event::{LogSources, Timestamp};

use crate::support::{DAY, Made, add, batch, dictionary, scan};

const CHILD: &str = "BESA_CRASH_CHILD";

/// What the child does until it is killed: adds, compacts, collects; a line for each number
/// acknowledged.
#[test]
#[expect(clippy::print_stdout, reason = "the parent reads it")]
fn child() {
    let Ok(spec) = std::env::var(CHILD) else { return };
    let (url, from) = spec.rsplit_once('|').unwrap();
    let (dictionary, sources) = (dictionary(), LogSources::new());
    for number in from.parse::<i64>().unwrap().. {
        let field = ("Number".to_owned(), 2, number.to_string().into_bytes());
        let made = Made { time: Some(number % 3 * DAY), fields: vec![field], raw: true, ..Made::default() };
        add(url, &[batch("child", &[made], &dictionary, &sources)], &dictionary, &sources);
        println!("\nacknowledged {number}");
        if number % 5 == 0 {
            let mut writer = Writer::open(url, None).unwrap();
            writer.compact(Timestamp(0), &|| false).unwrap();
            writer.collect(Timestamp(0)).unwrap();
        }
    }
}

#[test]
fn what_was_acknowledged_survives_kill() {
    let rounds = std::env::var("BESA_CRASH_ROUNDS").ok().and_then(|n| n.parse().ok()).unwrap_or(8_u64);
    let folder = tempfile::tempdir().unwrap();
    let url = folder.path().join("a").display().to_string();
    let mut seen: BTreeMap<i64, bool> = BTreeMap::new();
    let mut next = 0;
    for round in 0..rounds {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["crash::child", "--exact", "--nocapture"])
            .env(CHILD, format!("{url}|{next}"))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let (tell, told) = std::sync::mpsc::channel();
        let reader = std::thread::spawn(move || {
            lines
                .map_while(Result::ok)
                .filter_map(|line| line.strip_prefix("acknowledged ")?.parse().ok())
                .inspect(|_| tell.send(()).unwrap_or_default())
                .collect()
        });
        // Odd rounds kill only after something was acknowledged, however slow the disk is; even rounds
        // at any time.
        if round % 2 == 1 {
            told.recv_timeout(Duration::from_secs(120)).expect("something is acknowledged");
        }
        std::thread::sleep(Duration::from_millis(60 + round * 7_919 % 240));
        child.kill().unwrap();
        child.wait().unwrap();
        let acknowledged: Vec<i64> = reader.join().unwrap();
        seen.extend(acknowledged.iter().map(|number| (*number, true)));
        let archive = match Archive::open(&url) {
            Err(Error::NoArchive(_)) if seen.is_empty() => continue,
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
        assert!(found.windows(2).all(|pair| pair[0] != pair[1]), "twice: {found:?}");
        assert!(seen.keys().all(|number| found.contains(number)), "lost: {seen:?} {found:?}");
    }
    let mut writer = Writer::open(&url, None).unwrap();
    writer.collect(Timestamp(0)).unwrap();
    assert_eq!(writer.collect(Timestamp(0)).unwrap(), 0, "orphans stayed");
    drop(writer);
    assert_eq!(Archive::open(&url).unwrap().verify(&|| false).unwrap().defects, []);
}
