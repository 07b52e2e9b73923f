//! Ctrl-C and SIGTERM: the first one ends reading, the second one the process.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crossbeam_channel::{Receiver, Sender, bounded};

/// Exit code of a process that Ctrl-C ended (128 and the number of SIGINT).
pub(crate) const EXIT_INTERRUPTED: u8 = 130;

/// Whether reading should end. Shared by the threads of a run.
#[derive(Debug)]
pub(crate) struct Interrupt {
    stopped: AtomicBool,
    /// Nothing is ever sent; its end wakes whoever waits.
    alarm: Mutex<Option<Sender<()>>>,
    waiting: Receiver<()>,
}

impl Interrupt {
    /// Not stopped.
    pub(crate) fn new() -> Arc<Self> {
        let (alarm, waiting) = bounded(0);
        Arc::new(Self { stopped: AtomicBool::new(false), alarm: Mutex::new(Some(alarm)), waiting })
    }

    /// Lets Ctrl-C and SIGTERM stop it. Where signals cannot be handled, Ctrl-C ends the process as usual.
    pub(crate) fn listen(self: &Arc<Self>) {
        let interrupt = Arc::clone(self);
        let _ = ctrlc::set_handler(move || {
            if interrupt.is_stopped() {
                std::process::exit(i32::from(EXIT_INTERRUPTED));
            }
            interrupt.stop();
        });
    }

    /// Ends reading.
    pub(crate) fn stop(&self) {
        self.stopped.store(true, Ordering::Release);
        self.alarm.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    /// Whether reading should end.
    pub(crate) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Acquire)
    }

    /// Disconnects when reading should end.
    pub(crate) fn waiting(&self) -> &Receiver<()> {
        &self.waiting
    }
}
