//! The call itself, before there is a future to watch.

use buttress_core::settle::{Guard, Settle};

/// Makes `call` for the exchange that `end` ends: a panic in it ends the exchange, too.
pub(crate) fn guarded<S: Settle, T>(end: Option<S>, call: impl FnOnce() -> T) -> (T, Option<S>) {
    let Some(end) = end else {
        return (call(), None);
    };
    let mut guard = Guard::new(end);
    guard.enter();
    let called = call();
    (called, guard.into_inner())
}
