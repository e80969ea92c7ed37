//! How much each endpoint of a pool may have in flight, beside its share of what all of them have.

use std::sync::atomic::Ordering;
use std::time::Duration;

use buttress_core::clock::Instant;

use crate::sync::AtomicU64;
use crate::view::View;

/// Pools up to this size are counted for each request.
const COUNTED: usize = 32;
/// Of larger ones so many endpoints are looked at, as often as this.
const SAMPLE: usize = 128;
const REFRESH: Duration = Duration::from_millis(1);
/// What is seen counts for so much beside what was seen before.
const NEWS: f64 = 0.25;

/// What endpoints have in flight for each part of their weight.
#[derive(Debug, Default)]
pub(super) struct Room {
    /// As the bits of a number.
    seen: AtomicU64,
    /// When it is looked at again; 0 before the first time.
    due: AtomicU64,
}

impl Room {
    /// How much an endpoint may have for each part of its weight, with the request that is to be sent: so many times its
    /// share.
    pub(super) fn share(&self, view: &View<'_>, bound: f64) -> f64 {
        if bound.is_infinite() {
            return bound;
        }
        if view.len() <= COUNTED {
            let all = (0..view.len()).filter(|&index| view.is_open(index));
            let (in_flight, weight) = sum(view, all);
            return bound * (in_flight + 1.0) / weight;
        }
        let now = view.now().as_nanos();
        let due = self.due.load(Ordering::Relaxed);
        let next = view.now().saturating_add(REFRESH).as_nanos();
        let order = Ordering::Relaxed;
        // Whoever comes meanwhile takes what was seen before.
        if now >= due && (self.due).compare_exchange(due, next, order, order).is_ok() {
            self.look(view, due == Instant::ORIGIN.as_nanos());
        }
        bound * f64::from_bits(self.seen.load(Ordering::Relaxed))
    }

    #[cold]
    fn look(&self, view: &View<'_>, is_first: bool) {
        let start = view.rng().below(view.len());
        let stride = (view.len() / SAMPLE).max(1);
        let some = (0..SAMPLE.min(view.len())).map(|nth| (start + nth * stride) % view.len());
        let (in_flight, weight) = sum(view, some.filter(|&index| view.was_open(index)));
        if weight > 0.0 {
            let before = f64::from_bits(self.seen.load(Ordering::Relaxed));
            let now = in_flight / weight;
            let seen = if is_first {
                now
            } else {
                before + (now - before) * NEWS
            };
            self.seen.store(seen.to_bits(), Ordering::Relaxed);
        }
    }
}

/// What these have in flight, and their weight.
fn sum(view: &View<'_>, indices: impl Iterator<Item = usize>) -> (f64, f64) {
    let bears = indices.filter_map(|index| view.bears(index));
    bears.fold((0.0, 0.0), |(in_flight, weight), (more, of)| {
        (in_flight + f64::from(more), weight + f64::from(of))
    })
}

/// Whether one of this weight has room for one more.
pub(super) fn has_room(share: f64, in_flight: u32, weight: u32) -> bool {
    f64::from(in_flight) + 1.0 <= (share * f64::from(weight)).ceil().max(1.0)
}
