//! `kill -9` while writing: what was acknowledged is there, whole.
//!
//! The test starts itself again as the writer. `BESA_CRASH_ROUNDS` sets the number of rounds (3 unless
//! told; 200 by hand).

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use besa_intel::{PageQuery, Store, open_sqlite};

use crate::support::{add, campaign, collection, now, walk};

const PER_BATCH: u64 = 5;

#[test]
fn what_was_acknowledged_survives_kill_9() {
    if let Ok(path) = std::env::var("BESA_CRASH_PATH") {
        return write_until_killed(&path);
    }
    let rounds: u64 = std::env::var("BESA_CRASH_ROUNDS").ok().and_then(|n| n.parse().ok()).unwrap_or(3);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("intel.sqlite");
    collection(&open_sqlite(&path).unwrap(), "feed");
    let mut acknowledged = Vec::new();
    for round in 0..rounds {
        acknowledged.extend(run_and_kill(&path, round));
        let store = open_sqlite(&path).unwrap();
        let feed = store.directory().unwrap().collections[0].key;
        let held: Vec<String> =
            walk(&store, feed, &PageQuery::default()).into_iter().map(|entry| entry.raw).collect();
        assert_eq!(held.len() as u64 % PER_BATCH, 0, "a batch is there whole or not at all");
        let held: std::collections::HashSet<String> = held.into_iter().collect();
        for batch in &acknowledged {
            assert!(
                batch_objects(*batch).iter().all(|object| held.contains(object)),
                "batch {batch} was lost"
            );
        }
    }
    assert!(acknowledged.len() as u64 > rounds);
}

fn run_and_kill(path: &std::path::Path, round: u64) -> Vec<u64> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "crash::what_was_acknowledged_survives_kill_9", "--nocapture"])
        .env("BESA_CRASH_PATH", path)
        .env("BESA_CRASH_FROM", (round * 1_000_000).to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut acknowledged = Vec::new();
    let wanted = 3 + (round * 7) % 20;
    while (acknowledged.len() as u64) < wanted {
        let Some(Ok(line)) = lines.next() else { break };
        acknowledged.extend(line.strip_prefix("ack ").and_then(|number| number.parse::<u64>().ok()));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    // What it said before it died counts too.
    acknowledged.extend(
        lines.map_while(Result::ok).filter_map(|line| line.strip_prefix("ack ")?.parse::<u64>().ok()),
    );
    acknowledged
}

fn write_until_killed(path: &str) {
    let from: u64 = std::env::var("BESA_CRASH_FROM").unwrap().parse().unwrap();
    let store = open_sqlite(path.as_ref()).unwrap();
    let feed = store.directory().unwrap().collections[0].key;
    let mut out = std::io::stdout();
    // Bounded, should nobody kill us.
    for batch in from..from + 20_000 {
        assert_eq!(add(&store, now(), Some(feed), &batch_objects(batch)).failures(), 0);
        out.write_all(format!("\nack {batch}\n").as_bytes()).unwrap();
        out.flush().unwrap();
    }
}

fn batch_objects(batch: u64) -> Vec<String> {
    (0..PER_BATCH).map(|n| campaign(batch * PER_BATCH + n, "2024-01-01T00:00:00.000Z", "")).collect()
}
