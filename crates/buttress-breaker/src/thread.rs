//! The number of a thread.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::sync::in_every_thread;

/// No thread has this number.
pub(crate) const NOBODY: u64 = 0;

static NEXT: AtomicU64 = AtomicU64::new(NOBODY + 1);

in_every_thread!(static NUMBER: Cell<u64> = Cell::new(NOBODY));

/// The number of this thread, if anybody has asked for it before; [`NOBODY`] if not.
#[inline]
pub(crate) fn known_number() -> u64 {
    NUMBER.with(Cell::get)
}

/// The number of this thread, given to it when it is first asked for. No two threads of a process are
/// ever given the same, and those that come together are given one after the other.
#[inline]
pub(crate) fn number() -> u64 {
    match known_number() {
        NOBODY => next(),
        number => number,
    }
}

#[cold]
fn next() -> u64 {
    let next = NEXT.fetch_add(1, Ordering::Relaxed);
    NUMBER.with(|number| number.set(next));
    next
}

/// Which of some places is this thread's: threads that come together take them in turn, and who has no
/// number yet is in the first.
#[cfg(not(all(loom, test)))]
#[inline]
#[expect(
    clippy::cast_possible_truncation,
    reason = "it is reduced to as many as there are"
)]
pub(crate) fn place() -> usize {
    known_number() as usize
}

#[cfg(all(loom, test))]
in_every_thread!(static PLACE: Cell<usize> = Cell::new(0));

/// A model says where its threads are.
#[cfg(all(loom, test))]
pub(crate) fn place() -> usize {
    PLACE.with(Cell::get)
}

#[cfg(all(loom, test))]
pub(crate) fn take_place(place: usize) {
    PLACE.with(|mine| mine.set(place));
}
