//! A way from one node to another that can be broken: a proxy whose port is held as long as the
//! test runs, so that the node behind it may come back on any other.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// How a way is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Whole,
    /// Nothing gets through, and what is open is cut.
    Apart,
    /// Each connection is cut when one side has sent so many bytes in all.
    CutAfter(usize),
    /// Connections stay open, and nothing moves.
    Stalled,
}

/// See the module.
pub(crate) struct Wire {
    pub(crate) port: u16,
    state: Arc<Mutex<(u16, Way)>>,
}

impl Wire {
    /// A way that leads to a port, 0 for nowhere yet.
    pub(crate) fn to(target: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(Mutex::new((target, Way::Whole)));
        let shared = Arc::clone(&state);
        // It ends with the process; a port of this machine is all that it holds.
        std::thread::spawn(move || {
            for from in listener.incoming().flatten() {
                let target = shared.lock().unwrap().0;
                let Ok(to) = TcpStream::connect(("127.0.0.1", target)) else { continue };
                for (from, to) in [(from.try_clone().unwrap(), to.try_clone().unwrap()), (to, from)] {
                    let state = Arc::clone(&shared);
                    std::thread::spawn(move || carry(from, to, &state));
                }
            }
        });
        Self { port, state }
    }

    /// From now on it leads there.
    pub(crate) fn lead_to(&self, target: u16) {
        self.state.lock().unwrap().0 = target;
    }

    pub(crate) fn set(&self, way: Way) {
        self.state.lock().unwrap().1 = way;
    }

    /// The API root of the node behind it.
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/api/", self.port)
    }
}

fn carry(mut from: TcpStream, mut to: TcpStream, state: &Mutex<(u16, Way)>) {
    let mut bytes = [0; 1_024];
    let mut carried = 0;
    from.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    loop {
        let way = state.lock().unwrap().1;
        let room = match way {
            Way::Whole => bytes.len(),
            Way::Apart => 0,
            Way::CutAfter(limit) => bytes.len().min(limit.saturating_sub(carried)),
            Way::Stalled => {
                std::thread::sleep(Duration::from_millis(5));
                continue;
            }
        };
        if room == 0 {
            break;
        }
        match from.read(&mut bytes[..room]) {
            Ok(0) => break,
            Ok(read) => {
                carried += read;
                if to.write_all(&bytes[..read]).is_err() {
                    break;
                }
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(_) => break,
        }
    }
    from.shutdown(Shutdown::Both).ok();
    to.shutdown(Shutdown::Both).ok();
}
