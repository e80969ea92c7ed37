//! The counters of one stripe, on cache lines of their own.

use std::array;
use std::sync::atomic::Ordering;

use crate::bucket::{OCTAVE_BUCKETS, OCTAVES, Place, SPLIT_COUNT, place};
use crate::snapshot::Extremes;
use crate::sync::{AtomicU64, OnceLock};

/// Aligned to two cache lines, because processors fetch them in pairs.
#[repr(align(128))]
pub(super) struct Shard {
    octaves: [OnceLock<Box<Octave>>; OCTAVES],
    /// The upper parts of the cut buckets.
    upper: [AtomicU64; SPLIT_COUNT],
    below: AtomicU64,
    above: AtomicU64,
    sum: AtomicU64,
    /// `u64::MAX` until there is one.
    shortest: AtomicU64,
    longest: AtomicU64,
}

#[repr(align(128))]
struct Octave([AtomicU64; OCTAVE_BUCKETS]);

impl Default for Shard {
    fn default() -> Self {
        Self {
            octaves: array::from_fn(|_| OnceLock::new()),
            upper: array::from_fn(|_| AtomicU64::new(0)),
            below: AtomicU64::new(0),
            above: AtomicU64::new(0),
            sum: AtomicU64::new(0),
            shortest: AtomicU64::new(u64::MAX),
            longest: AtomicU64::new(0),
        }
    }
}

impl Shard {
    /// Counts `nanos`, on any thread.
    #[inline]
    pub(super) fn record(&self, nanos: u64) {
        self.count(nanos, |counter, more| {
            counter.fetch_add(more, Ordering::Relaxed);
        });
    }

    /// Counts `nanos`, where no other thread writes to this shard.
    #[inline]
    pub(super) fn record_alone(&self, nanos: u64) {
        self.count(nanos, |counter, more| {
            let sum = counter.load(Ordering::Relaxed).wrapping_add(more);
            counter.store(sum, Ordering::Relaxed);
        });
    }

    #[inline]
    fn count(&self, nanos: u64, add: impl Fn(&AtomicU64, u64)) {
        // Looked at before they are written: an extreme is rare.
        if nanos < self.shortest.load(Ordering::Relaxed) {
            self.lower(nanos);
        }
        if nanos > self.longest.load(Ordering::Relaxed) {
            self.raise(nanos);
        }
        add(self.counter(place(nanos)), 1);
        add(&self.sum, nanos);
    }

    #[cold]
    fn lower(&self, nanos: u64) {
        self.shortest.fetch_min(nanos, Ordering::Relaxed);
    }

    #[cold]
    fn raise(&self, nanos: u64) {
        self.longest.fetch_max(nanos, Ordering::Relaxed);
    }

    #[inline]
    #[expect(
        clippy::indexing_slicing,
        reason = "a place names an octave, a position and a cut that there are"
    )]
    fn counter(&self, place: Place) -> &AtomicU64 {
        match place {
            Place::Bucket { octave, position } => {
                let octave = &self.octaves[octave];
                let octave = octave
                    .get()
                    .map_or_else(|| first_touch(octave), Box::as_ref);
                &octave.0[position]
            }
            Place::Upper(nth) => &self.upper[nth],
            Place::Below => &self.below,
            Place::Above => &self.above,
        }
    }

    pub(super) fn has_octave(&self, octave: usize) -> bool {
        self.octaves
            .get(octave)
            .is_some_and(|octave| octave.get().is_some())
    }

    /// Adds an octave to `counts`.
    pub(super) fn add_octave(&self, octave: usize, counts: &mut [u64; OCTAVE_BUCKETS]) {
        let Some(octave) = self.octaves.get(octave).and_then(OnceLock::get) else {
            return;
        };
        for (count, counter) in counts.iter_mut().zip(&octave.0) {
            *count += counter.load(Ordering::Relaxed);
        }
    }

    pub(super) fn upper(&self, nth: usize) -> u64 {
        self.upper
            .get(nth)
            .map_or(0, |counter| counter.load(Ordering::Relaxed))
    }

    pub(super) fn below(&self) -> u64 {
        self.below.load(Ordering::Relaxed)
    }

    pub(super) fn above(&self) -> u64 {
        self.above.load(Ordering::Relaxed)
    }

    pub(super) fn sum(&self) -> u64 {
        self.sum.load(Ordering::Relaxed)
    }

    pub(super) fn extremes(&self) -> Extremes {
        let shortest = self.shortest.load(Ordering::Relaxed);
        Extremes::exactly(shortest, self.longest.load(Ordering::Relaxed))
    }
}

#[cold]
fn first_touch(octave: &OnceLock<Box<Octave>>) -> &Octave {
    octave.get_or_init(|| Box::new(Octave(array::from_fn(|_| AtomicU64::new(0)))))
}
