//! What exchanges of one route and kind share: the gauge and the way to their series.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use super::{Ending, Series};
use crate::recorder::Striped;

/// Endings beyond these are found by a look-up each time.
const CACHED: usize = 16;

pub(crate) struct Group {
    in_flight: Striped<Padded>,
    cached: [OnceLock<(Ending, Arc<Series>)>; CACHED],
}

/// Alone on its cache lines.
#[derive(Default)]
#[repr(align(128))]
struct Padded(AtomicU64);

impl Group {
    pub(super) fn new() -> Self {
        Self {
            in_flight: Striped::new(),
            cached: [const { OnceLock::new() }; CACHED],
        }
    }

    /// An exchange begins.
    #[inline]
    pub(crate) fn enter(&self) {
        self.in_flight.mine().0.fetch_add(1, Ordering::Relaxed);
    }

    /// An exchange ends, on whatever thread: the stripes wrap, and their sum is right.
    #[inline]
    pub(crate) fn leave(&self) {
        self.in_flight.mine().0.fetch_sub(1, Ordering::Relaxed);
    }

    /// How many have begun and not ended.
    pub(crate) fn in_flight(&self) -> u64 {
        let stripes = self.in_flight.all().iter();
        let sum = stripes.fold(0_u64, |sum, stripe| {
            sum.wrapping_add(stripe.0.load(Ordering::Relaxed))
        });
        // A reader may see an end before its beginning.
        u64::try_from(sum.cast_signed()).unwrap_or(0)
    }

    /// The series of `ending` if it has been found before.
    #[inline]
    pub(super) fn cached(&self, ending: &Ending) -> Option<&Series> {
        for slot in self.probe(ending) {
            let (cached, series) = slot.get()?;
            if cached == ending {
                return Some(series);
            }
        }
        None
    }

    /// Remembers `series` if there is room.
    pub(super) fn remember(&self, ending: Ending, series: &Arc<Series>) {
        for slot in self.probe(&ending) {
            let (cached, _) = slot.get_or_init(|| (ending, Arc::clone(series)));
            if *cached == ending {
                return;
            }
        }
    }

    /// All places, from the one where `ending` is looked for first.
    #[inline]
    fn probe(&self, ending: &Ending) -> impl Iterator<Item = &OnceLock<(Ending, Arc<Series>)>> {
        let first = ending
            .status
            .map_or(0, |status| usize::from(status.as_u16()))
            % CACHED;
        let (before, from) = self.cached.split_at(first);
        from.iter().chain(before)
    }
}

impl fmt::Debug for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Group")
            .field("in_flight", &self.in_flight())
            .finish_non_exhaustive()
    }
}
