//! Panics as values: one block of evidence must not end a hunt.

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::Once;

thread_local! {
    static GUARDED: Cell<bool> = const { Cell::new(false) };
    static LAST: RefCell<String> = const { RefCell::new(String::new()) };
}

static HOOK: Once = Once::new();

/// Runs `work`; a panic in it comes back as its message and place instead of being printed.
///
/// What `work` was changing when it panicked is for the caller to throw away.
pub(super) fn catch<R>(work: impl FnOnce() -> R) -> Result<R, String> {
    HOOK.call_once(install);
    GUARDED.set(true);
    let result = catch_unwind(AssertUnwindSafe(work));
    GUARDED.set(false);
    result.map_err(|_| LAST.take())
}

/// Panics elsewhere are printed as before.
fn install() {
    let usual = take_hook();
    set_hook(Box::new(move |panic| {
        if !GUARDED.get() {
            return usual(panic);
        }
        let payload = panic.payload();
        let message = payload
            .downcast_ref::<&str>()
            .copied()
            .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
            .unwrap_or("panic");
        let place = panic.location().map(|place| format!(" at {}:{}", place.file(), place.line()));
        LAST.set(format!("{message}{}", place.unwrap_or_default()));
    }));
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_panic_is_caught_with_its_message_and_place() {
        assert_eq!(super::catch(|| 7), Ok(7));
        let nothing: [u8; 0] = [];
        let index = nothing.len() + 3;
        let caught = super::catch(|| nothing[index]).unwrap_err();
        assert!(caught.contains("index is 3") && caught.contains("guard.rs"), "{caught}");
        assert_eq!(super::catch(|| 8), Ok(8));
    }
}
