//! Something for each thread, made when the thread first comes.

use std::sync::LazyLock;

use super::seat::{MOST_OWN, Seat, seat};
use crate::sync::OnceLock;

const MOST_SHARED: usize = 16;

/// How many places there are, and for whom.
#[derive(Clone, Copy)]
struct Plan {
    own: usize,
    shared: usize,
}

/// Places of their own for twice as many threads as there are cores, because not only those that
/// serve requests come; as many to be shared as there are cores, a power of two.
static PLAN: LazyLock<Plan> = LazyLock::new(|| {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    if cfg!(all(loom, test)) {
        return Plan { own: 1, shared: 1 };
    }
    Plan {
        own: (2 * cores).min(MOST_OWN),
        shared: cores.next_power_of_two().min(MOST_SHARED),
    }
});

/// A `T` for each place that is in use.
pub(crate) struct Striped<T> {
    own: Box<[OnceLock<Box<T>>]>,
    shared: Box<[OnceLock<Box<T>>]>,
}

/// The one of a thread.
#[derive(Clone, Copy)]
pub(crate) enum Mine<'a, T> {
    /// Nobody else writes to it.
    Own(&'a T),
    /// Others may.
    Shared(&'a T),
}

impl<T: Default> Striped<T> {
    pub(crate) fn new() -> Self {
        let places = |count| (0..count).map(|_| OnceLock::new()).collect();
        Self {
            own: places(PLAN.own),
            shared: places(PLAN.shared),
        }
    }

    /// The one of this thread.
    #[inline]
    #[expect(
        clippy::indexing_slicing,
        reason = "a seat to be had alone is below their number; one that is shared is masked by theirs, a power of two"
    )]
    pub(crate) fn mine(&self) -> Mine<'_, T> {
        match seat(self.own.len()) {
            Seat::Own(nth) => Mine::Own(made(&self.own[nth])),
            Seat::Shared(nth) => Mine::Shared(made(&self.shared[nth & (self.shared.len() - 1)])),
        }
    }

    /// All that there are.
    pub(crate) fn all(&self) -> impl Iterator<Item = &T> {
        let places = self.own.iter().chain(&*self.shared);
        places.filter_map(OnceLock::get).map(Box::as_ref)
    }
}

#[inline]
fn made<T: Default>(place: &OnceLock<Box<T>>) -> &T {
    place.get().map_or_else(|| make(place), Box::as_ref)
}

#[cold]
fn make<T: Default>(place: &OnceLock<Box<T>>) -> &T {
    place.get_or_init(Box::default)
}
