//! Which place a thread has to itself, or shares.
//!
//! What one thread alone writes needs no locked instruction, and those are most of what a record
//! takes. So the first threads that come each lease a place of their own until they end; all others
//! share a few.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::sync::in_every_thread;

/// The most threads that have a place of their own.
pub(super) const MOST_OWN: usize = 64;

/// The place of a thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seat {
    /// No other thread has it until this one ends.
    Own(usize),
    /// To be reduced to as many as are shared.
    Shared(usize),
}

static TAKEN: [AtomicBool; MOST_OWN] = [const { AtomicBool::new(false) }; MOST_OWN];
static NEXT: AtomicUsize = AtomicUsize::new(0);

in_every_thread!(static SEAT: Cell<Option<Seat>> = Cell::new(None));

thread_local! {
    static LEASE: Cell<Option<Lease>> = const { Cell::new(None) };
}

/// The place of this thread, of which `own` are to be had alone.
#[inline]
pub(super) fn seat(own: usize) -> Seat {
    SEAT.with(|seat| match seat.get() {
        Some(taken) => taken,
        None => take(seat, own),
    })
}

#[cold]
fn take(seat: &Cell<Option<Seat>>, own: usize) -> Seat {
    let taken = if cfg!(all(loom, test)) {
        // A model says which of its threads are alone.
        Seat::Shared(0)
    } else {
        lease(own).unwrap_or_else(shared)
    };
    seat.set(Some(taken));
    taken
}

/// A place to be had alone, if there is one left and this thread is not just ending.
fn lease(own: usize) -> Option<Seat> {
    let free = TAKEN.iter().take(own).position(|taken| {
        taken
            .compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed)
            .is_ok()
    })?;
    // Dropped with this thread, or here and now.
    let lease = Lease(free);
    LEASE.try_with(|kept| kept.set(Some(lease))).ok()?;
    Some(Seat::Own(free))
}

fn shared() -> Seat {
    Seat::Shared(NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Gives the place back. Whoever takes it next sees all that was written in it.
struct Lease(usize);

impl Drop for Lease {
    fn drop(&mut self) {
        // What this thread still does while it ends, it does in a place that it shares.
        let _ = SEAT.try_with(|seat| seat.set(Some(shared())));
        if let Some(taken) = TAKEN.get(self.0) {
            taken.store(false, Ordering::Release);
        }
    }
}

/// This thread of a model is alone in its place.
#[cfg(all(loom, test))]
pub(crate) fn sit_alone() {
    SEAT.with(|seat| seat.set(Some(Seat::Own(0))));
}
