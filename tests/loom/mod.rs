//! What the `loom_tests` of the crates share; each takes this file in as a module of its own.

use loom::model::Builder;
use loom::thread;

/// Tries every interleaving of up to two preemptions, unless `LOOM_MAX_PREEMPTIONS` says otherwise: as many as find what
/// two ends and a look can do to each other.
pub(crate) fn explore(model: impl Fn() + Sync + Send + 'static) {
    let mut builder = Builder::new();
    builder.preemption_bound = builder.preemption_bound.or(Some(2));
    builder.max_branches = 20_000;
    builder.check(model);
}

/// Runs `ours` here and `theirs` on a thread of its own, with a clone of what they share.
#[allow(dead_code, reason = "not every crate races two threads at one thing")]
pub(crate) fn race<S: Clone + 'static, T: 'static, U>(
    shared: &S,
    theirs: impl FnOnce(&S) -> T + 'static,
    ours: impl FnOnce(&S) -> U,
) -> (T, U) {
    let clone = shared.clone();
    let racer = thread::spawn(move || theirs(&clone));
    let ours = ours(shared);
    (racer.join().unwrap(), ours)
}
