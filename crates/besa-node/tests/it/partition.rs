//! Networks that break: between the nodes stand proxies that cut, stall and heal connections at any
//! byte. After healing all honest logs agree, nothing is lost and nothing doubled.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use besa_alliance::entry::Audience;
use besa_intel::Sender;

use crate::support::*;

/// A way from one node to another that can be broken.
struct Wire {
    port: u16,
    broken: Arc<AtomicBool>,
    /// After so many bytes more each connection is cut; 0 for never.
    cut_after: Arc<AtomicU64>,
}

impl Wire {
    fn to(target: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let wire = Self {
            port: listener.local_addr().unwrap().port(),
            broken: Arc::new(AtomicBool::new(false)),
            cut_after: Arc::new(AtomicU64::new(0)),
        };
        let (broken, cut_after) = (Arc::clone(&wire.broken), Arc::clone(&wire.cut_after));
        // It ends with the process; a port of this machine is all that it holds.
        std::thread::spawn(move || {
            for from in listener.incoming().flatten() {
                let Ok(to) = TcpStream::connect(("127.0.0.1", target)) else { continue };
                for (mut from, mut to) in [(from.try_clone().unwrap(), to.try_clone().unwrap()), (to, from)] {
                    let (broken, cut_after) = (Arc::clone(&broken), Arc::clone(&cut_after));
                    std::thread::spawn(move || carry(&mut from, &mut to, &broken, &cut_after));
                }
            }
        });
        wire
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}/api/", self.port)
    }
}

fn carry(from: &mut TcpStream, to: &mut TcpStream, broken: &AtomicBool, cut_after: &AtomicU64) {
    let mut bytes = [0; 1_024];
    let mut carried = 0;
    from.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    loop {
        let limit = cut_after.load(Ordering::SeqCst);
        if broken.load(Ordering::SeqCst) || (limit > 0 && carried >= limit) {
            break;
        }
        match from.read(&mut bytes) {
            Ok(0) => break,
            Ok(read) => {
                carried += read as u64;
                if to.write_all(&bytes[..read]).is_err() {
                    break;
                }
            }
            Err(error)
                if matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) => {}
            Err(_) => break,
        }
    }
    from.shutdown(Shutdown::Both).ok();
    to.shutdown(Shutdown::Both).ok();
}

/// Puts a wire into the way of every ally to every other.
fn wired(allies: &[Ally]) -> BTreeMap<(u8, u8), Wire> {
    let mut wires = BTreeMap::new();
    for guest in allies {
        let mut settings = guest.home().settings().unwrap();
        for peer in &mut settings.peers {
            let host = allies.iter().find(|host| id(host.number) == peer.member).unwrap();
            let wire = Wire::to(host.port());
            peer.url = Some(wire.url());
            wires.insert((guest.number, host.number), wire);
        }
        guest.home().save(&settings).unwrap();
    }
    wires
}

/// Between two members there is no way at all; the witness has what the one lacks of the other.
#[test]
fn what_cannot_go_straight_goes_round_by_the_witness() {
    let mut allies = alliance(3);
    let wires = wired(&allies);
    for ((from, to), wire) in &wires {
        wire.broken.store(*from != 3 && *to != 3, Ordering::SeqCst);
    }
    allies[1].hunter = Arc::new(Past(BTreeMap::from([(indicator_id(3), sight(5))])));
    allies.iter_mut().for_each(Ally::start);
    let mut releases = Vec::new();
    for number in 1..=3 {
        allies[0].import(&[indicator(1, number, &domain(number))]);
        releases.push(allies[0].release(&[indicator_id(number)], &Audience::Charter).entries.remove(0).0);
    }
    // What was not for all does not go round.
    allies[0].import(&[indicator(1, 4, &domain(4))]);
    allies[0].release(&[indicator_id(4)], &Audience::Members([id(3)].into()));
    let all: Vec<_> = (1..=3).map(indicator_id).collect();
    until("the one behind the cut uses it", || allies[1].listed("alliance-accepted") == all);
    assert!(!allies[1].holds(&indicator_id(4)));
    let stored = allies[1].store.object(&indicator_id(1), None).unwrap().unwrap();
    assert_eq!(stored.origin.from, Sender::Member(id(1).to_string()), "the relay is not its origin");
    // Receipts and answers are for the signer alone: they wait for the way.
    assert!(allies[0].picture(&releases[2].id()).readers[&id(2)].receipt_ms.is_none());
    for wire in wires.values() {
        wire.broken.store(false, Ordering::SeqCst);
    }
    until("the answers arrive", || {
        releases.iter().all(|entry| allies[0].picture(&entry.id()).readers[&id(2)].answer_ms.is_some())
    });
    assert_eq!(allies[0].picture(&releases[2].id()).readers[&id(2)].seen, 5);
    until("the signer's own courier has brought all", || log_of(&allies[1], 1).len() == 3);
    let signed: Vec<_> = releases.iter().map(|one| (one.sequence(), one.digest.to_string())).collect();
    assert_eq!(log_of(&allies[1], 1), signed);
    let sent = allies[1].listed(besa_node::places::SENT);
    let receipts = sent.iter().filter(|id| id.starts_with("besa-receipt")).count();
    assert_eq!(receipts, 3, "one for each release, whatever way it came");
}

#[test]
fn after_a_partition_all_honest_logs_agree() {
    const ROUNDS: u32 = 8;
    let mut allies = alliance(3);
    let wires = wired(&allies);
    for ally in &mut allies {
        ally.hunter = Arc::new(Past(BTreeMap::new()));
        ally.start();
    }
    let mut releases: Vec<(usize, String)> = Vec::new();
    for round in 0..ROUNDS {
        // In one round a member is alone, in the next every connection breaks within a request.
        let alone = u8::try_from(round % 3).unwrap() + 1;
        for ((from, to), wire) in &wires {
            let apart = round % 2 == 0 && (*from == alone || *to == alone);
            wire.broken.store(apart, Ordering::SeqCst);
            let cut = if round % 2 == 1 { 200 + u64::from(round) * 331 } else { 0 };
            wire.cut_after.store(cut, Ordering::SeqCst);
        }
        for (author, ally) in allies.iter().enumerate() {
            let number = round * 10 + u32::from(ally.number);
            ally.import(&[indicator(ally.number, number, &domain(number))]);
            let mut done = ally.release(&[indicator_id(number)], &Audience::Charter);
            releases.push((author, done.entries.remove(0).0.id()));
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    for wire in wires.values() {
        wire.broken.store(false, Ordering::SeqCst);
        wire.cut_after.store(0, Ordering::SeqCst);
    }
    until("everybody answered everything", || {
        releases.iter().all(|(author, release)| allies[*author].picture(release).is_whole())
    });
    for author in 1..=3 {
        let readers = allies.iter().filter(|ally| ally.number != author);
        let logs: BTreeSet<_> = readers.map(|ally| log_of(ally, author)).collect();
        assert_eq!(logs.len(), 1, "the readers of {author} disagree");
        let numbers: Vec<u64> = logs.iter().flatten().map(|(number, _)| *number).collect();
        assert_eq!(numbers, (1..=u64::from(ROUNDS)).collect::<Vec<_>>());
    }
    for ally in &allies {
        let sent = ally.listed(besa_node::places::SENT);
        let receipts = sent.iter().filter(|id| id.starts_with("besa-receipt")).count();
        assert_eq!(receipts, 2 * ROUNDS as usize, "one receipt for each release of the others");
    }
}
