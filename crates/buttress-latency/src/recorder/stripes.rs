//! Something per stripe, where threads rarely share a stripe.

use std::cell::Cell;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};

const MOST_STRIPES: usize = 16;

/// As many as there are cores, a power of two, at most sixteen.
static STRIPES: LazyLock<usize> = LazyLock::new(|| {
    std::thread::available_parallelism()
        .map_or(1, usize::from)
        .next_power_of_two()
        .min(MOST_STRIPES)
});

static NEXT: AtomicUsize = AtomicUsize::new(0);

const UNSET: usize = usize::MAX;

thread_local! {
    static STRIPE: Cell<usize> = const { Cell::new(UNSET) };
}

/// How many stripes there are.
fn stripes() -> usize {
    *STRIPES
}

/// The number of this thread, counted from its first call; to be reduced to a stripe.
#[inline]
fn stripe() -> usize {
    STRIPE.with(|stripe| {
        let known = stripe.get();
        if known == UNSET {
            assign(stripe)
        } else {
            known
        }
    })
}

#[cold]
fn assign(stripe: &Cell<usize>) -> usize {
    let assigned = NEXT.fetch_add(1, Ordering::Relaxed) % MOST_STRIPES;
    stripe.set(assigned);
    assigned
}

/// One `T` for each stripe.
pub(crate) struct Striped<T>(Box<[T]>);

impl<T: Default> Striped<T> {
    pub(crate) fn new() -> Self {
        Self((0..stripes()).map(|_| T::default()).collect())
    }
}

impl<T> Striped<T> {
    /// The one of this thread.
    #[inline]
    #[expect(
        clippy::indexing_slicing,
        reason = "masked by the length, a power of two"
    )]
    pub(crate) fn mine(&self) -> &T {
        &self.0[stripe() & (self.0.len() - 1)]
    }

    /// All of them.
    pub(crate) fn all(&self) -> &[T] {
        &self.0
    }
}
