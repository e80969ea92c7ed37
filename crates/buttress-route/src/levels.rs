//! Levels of endpoints, and what share of the requests each takes: priorities, and of one priority those that are near
//! before those that are far.
//!
//! A level takes all requests while it has capacity to spare; what it lacks goes to the next. The arithmetic is
//! Envoy's: a level whose endpoints are well to a share `h` can bear `min(1, 1.4 × h)` of the requests. Whoever was out
//! and rises counts for the share that it is ready to bear, while others can bear the rest: alone on its level it would
//! have all of it at once. Whoever is new counts whole: a deployment sends nothing to another region.

use std::ops::Range;
use std::sync::atomic::Ordering;

use buttress_core::clock::Instant;
use buttress_core::rng::Rng;

use crate::affinity::{mix, unit};
use crate::config::Config;
use crate::ledger::Ledger;
use crate::peers::SAMPLE;
use crate::policy::Picker;
use crate::seat::{Seat, Told, level};
use crate::shunned::Found;
use crate::sync::{AtomicU64, fence};

/// No change of a ledger has this number.
const NEVER: u64 = u64::MAX;

/// The order of levels: priority, then how far away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Rank {
    pub(crate) priority: u8,
    /// Parts of the pool's own locality that the endpoint does not share.
    pub(crate) distance: u8,
}

impl Rank {
    pub(crate) const fn to_bits(self) -> u16 {
        u16::from_be_bytes([self.priority, self.distance])
    }

    pub(crate) const fn from_bits(bits: u16) -> Self {
        let [priority, distance] = bits.to_be_bytes();
        Self { priority, distance }
    }
}

/// Endpoints of one rank.
#[derive(Debug)]
pub(crate) struct Level {
    pub(crate) rank: Rank,
    /// Which seats these are.
    pub(crate) range: Range<usize>,
    pub(crate) picker: Picker,
    /// The share of the requests, as the bits of a number from 0 to 1.
    share: AtomicU64,
    /// Requests in flight at one of its endpoints in the mean, as the bits of a number; of no number before that is seen.
    load: AtomicU64,
    /// From what cost on nobody was asked.
    pub(crate) found: Found,
}

/// The levels of a list of endpoints, the first one first. None where there is no endpoint.
#[derive(Debug)]
pub(crate) struct Levels {
    pub(crate) list: Box<[Level]>,
    overprovisioning: f64,
    /// The change of the ledger for which the shares are.
    seen: AtomicU64,
    /// When they change by time alone, in nanoseconds.
    until: AtomicU64,
}

impl Levels {
    /// The levels of `seats`, which are in their [`order`]. Tells each how heavily a request weighs there.
    pub(crate) fn new(config: &Config, seats: &[Seat], told: &[Told]) -> Self {
        let mut list = Vec::new();
        let mut start = 0;
        for of_one in told.chunk_by(|one, other| rank(config, one) == rank(config, other)) {
            let range = start..start + of_one.len();
            start = range.end;
            let weights: Vec<u32> = of_one.iter().map(|told| told.weight).collect();
            let (Some(seats), Some(first)) = (seats.get(range.clone()), of_one.first()) else {
                continue;
            };
            level(seats, &weights);
            list.push(Level {
                rank: rank(config, first),
                range,
                picker: Picker::new(&config.policy, of_one, &weights, &config.rng),
                share: AtomicU64::new(0),
                load: AtomicU64::new(f64::NAN.to_bits()),
                found: Found::nothing(),
            });
        }
        let levels = Self {
            list: list.into(),
            overprovisioning: config.overprovisioning,
            seen: AtomicU64::new(NEVER),
            until: AtomicU64::new(0),
        };
        levels.tell(seats, told, config.clock.now());
        levels
    }

    /// Tells each level its share, if somebody has gone out or come back since that was done last, or was for long
    /// enough on its way back. Of one level all is known already.
    #[inline]
    pub(crate) fn spread(&self, seats: &[Seat], told: &[Told], ledger: &Ledger, now: Instant) {
        if self.list.len() > 1 {
            let change = ledger.changes();
            let is_late = now.as_nanos() >= self.until.load(Ordering::Relaxed);
            if self.seen.swap(change, Ordering::Relaxed) != change || is_late {
                self.spread_anew(seats, told, now, change, || ledger.changes());
            }
        }
    }

    /// Once, however much changes meanwhile, or a request would be held up for as long as that goes on. If anything
    /// has, what was seen earlier may have been told later: the next one looks again.
    ///
    /// The fences are between what is told and the look at the ledger, on both sides of two that tell at once: without
    /// them the one that has seen less could look before it is heard, and have the last word.
    #[cold]
    fn spread_anew(
        &self,
        seats: &[Seat],
        told: &[Told],
        now: Instant,
        change: u64,
        changes: impl Fn() -> u64,
    ) {
        fence(Ordering::SeqCst);
        self.tell(seats, told, now);
        fence(Ordering::SeqCst);
        if changes() != change {
            self.seen.store(NEVER, Ordering::Relaxed);
        }
    }

    fn tell(&self, seats: &[Seat], told: &[Told], now: Instant) {
        let of = |level: &Level| {
            let seats = seats.get(level.range.clone()).unwrap_or_default();
            let told = told.get(level.range.clone()).unwrap_or_default();
            well(seats, told, now)
        };
        let well: Vec<Well> = self.list.iter().map(of).collect();
        let until = well.iter().map(|it| it.until).min();
        let until = until.unwrap_or(Instant::NEVER).as_nanos();
        self.until.store(until, Ordering::Relaxed);
        for (level, share) in self.list.iter().zip(shares(&well, self.overprovisioning)) {
            level.share.store(share.to_bits(), Ordering::Relaxed);
        }
    }

    /// Sees how busy each level is that takes requests, and returns how busy an endpoint is in the mean where one of these
    /// goes: who stands by is nobody's peer. `None` where that needs no look, for there is one level, or none takes any.
    pub(crate) fn see_load(&self, seats: &[Seat], rng: &Rng) -> Option<f64> {
        if self.list.len() < 2 {
            return None;
        }
        let (mut load, mut taken) = (0.0, 0.0);
        for level in self.list.iter().filter(|level| level.share() > 0.0) {
            let seats = seats.get(level.range.clone()).unwrap_or_default();
            load += level.share() * level.see_load(seats, rng.below(seats.len()));
            taken += level.share();
        }
        (taken > 0.0).then(|| load / taken)
    }

    /// The level that takes a request, the same for the same key; `None` if all of them are out.
    pub(crate) fn draw(&self, key: Option<u64>, rng: &Rng) -> Option<usize> {
        let mut left = key.map_or_else(|| rng.unit(), |key| unit(mix(!key)));
        let takes = |level: &Level| {
            left -= level.share();
            left < 0.0
        };
        let drawn = self.list.iter().position(takes);
        // The shares may add up to a little less than one.
        drawn.or_else(|| self.list.iter().rposition(|level| level.share() > 0.0))
    }
}

impl Level {
    /// The share of the requests that it takes, 0 to 1.
    pub(crate) fn share(&self) -> f64 {
        f64::from_bits(self.share.load(Ordering::Relaxed))
    }

    /// Requests in flight at one of its endpoints, in the mean, as seen when it last took any; `None` before.
    #[inline]
    pub(crate) fn load(&self) -> Option<f64> {
        let load = f64::from_bits(self.load.load(Ordering::Relaxed));
        (!load.is_nan()).then_some(load)
    }

    /// Sees how busy `seats` are, which are its own; of many some from `start` on.
    fn see_load(&self, seats: &[Seat], start: usize) -> f64 {
        let (len, stride) = (seats.len(), (seats.len() / SAMPLE).max(1));
        let places = (0..len.min(SAMPLE)).map(|n| (start + n * stride) % len);
        let in_flight = places.filter_map(|place| Some(seats.get(place)?.slot.in_flight()));
        let load = in_flight.map(f64::from).sum::<f64>() / len.clamp(1, SAMPLE) as f64;
        self.load.store(load.to_bits(), Ordering::Relaxed);
        load
    }
}

/// Orders the endpoints by rank, and those of one as they were given.
pub(crate) fn order(config: &Config, list: &mut [(Seat, Told)]) {
    list.sort_by_cached_key(|(_, told)| (rank(config, told), told.place));
}

/// The rank of an endpoint of which this is told.
pub(crate) fn rank(config: &Config, told: &Told) -> Rank {
    let (own, other) = (config.locality.as_deref(), told.about.locality.as_deref());
    Rank {
        priority: told.about.priority,
        distance: distance(own, other),
    }
}

/// Shares of a level's weight.
#[derive(Clone, Copy, Debug)]
struct Well {
    /// What takes traffic.
    open: f64,
    /// The same, where whoever was out and rises counts for the share that it is ready to bear.
    ready: f64,
    /// When that changes by time alone.
    until: Instant,
}

fn well(seats: &[Seat], told: &[Told], now: Instant) -> Well {
    let weight = |told: &Told| f64::from(told.weight);
    let all: f64 = told.iter().map(weight).sum();
    let mut well = Well {
        open: 0.0,
        ready: 0.0,
        until: Instant::NEVER,
    };
    for (seat, told) in seats.iter().zip(told).filter(|it| it.0.was_open()) {
        let part = if all > 0.0 { weight(told) / all } else { 0.0 };
        let (ready, until) = seat.slot.ready(now);
        well.open += part;
        well.ready += part * ready;
        well.until = well.until.min(until);
    }
    well
}

/// The share of the requests for each level. All 0 if nothing is well.
///
/// Each takes what it is ready to bear, the first ones first; what nobody is ready for goes to whoever could bear it if
/// it did not rise.
fn shares(well: &[Well], overprovisioning: f64) -> Vec<f64> {
    let bears = |well: f64| (well * overprovisioning).min(1.0);
    let all: f64 = well.iter().map(|it| bears(it.open)).sum::<f64>().min(1.0);
    let mut left = 1.0_f64;
    let mut take = |most: f64| {
        let part = most.clamp(0.0, left);
        left -= part;
        part
    };
    let part = |well: f64| if all > 0.0 { bears(well) / all } else { 0.0 };
    let mut shares: Vec<f64> = well.iter().map(|it| take(part(it.ready))).collect();
    for (share, well) in shares.iter_mut().zip(well) {
        *share += take(part(well.open) - *share);
    }
    shares
}

/// How many parts of `own` (`region/zone/…`) `other` does not share, from the first that differs on. Nothing is far
/// from nowhere.
fn distance(own: Option<&str>, other: Option<&str>) -> u8 {
    let Some(own) = own else { return 0 };
    let mut others = other.unwrap_or_default().split('/');
    let differing = own
        .split('/')
        .skip_while(|part| others.next() == Some(*part));
    u8::try_from(differing.count()).unwrap_or(u8::MAX)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::sync::Arc;

    use buttress_core::rng::Rng;
    use proptest::prelude::*;

    use super::*;
    use crate::endpoint::About;
    use crate::shared::Shared;
    use crate::slot::{Blank, Slot};

    const fn rising(open: f64, ready: f64) -> Well {
        let until = Instant::NEVER;
        Well { open, ready, until }
    }

    /// Of whom nobody rises.
    const fn steady(open: f64) -> Well {
        rising(open, open)
    }

    /// In whole percent.
    fn percent(well: &[f64]) -> Vec<f64> {
        let well: Vec<Well> = well.iter().copied().map(steady).collect();
        let shares = shares(&well, 1.4);
        shares.iter().map(|share| (share * 100.0).round()).collect()
    }

    #[test]
    fn the_shares_are_those_of_envoys_documentation() {
        assert_eq!(percent(&[1.0, 1.0]), [100.0, 0.0]);
        assert_eq!(percent(&[0.72, 1.0]), [100.0, 0.0]);
        assert_eq!(percent(&[0.71, 1.0]), [99.0, 1.0]);
        assert_eq!(percent(&[0.5, 1.0]), [70.0, 30.0]);
        assert_eq!(percent(&[0.25, 1.0]), [35.0, 65.0]);
        assert_eq!(percent(&[0.25, 0.25]), [50.0, 50.0]);
        assert_eq!(percent(&[0.25, 0.25, 0.2]), [36.0, 36.0, 29.0]);
        assert_eq!(percent(&[0.0, 1.0]), [0.0, 100.0]);
        assert_eq!(percent(&[0.0, 0.0]), [0.0, 0.0]);
    }

    #[test]
    fn what_rises_bears_what_it_is_ready_for_while_others_can_bear_the_rest() {
        let percent = |well: &[Well]| -> Vec<f64> {
            let shares = shares(well, 1.4);
            shares.iter().map(|share| (share * 100.0).round()).collect()
        };
        assert_eq!(percent(&[rising(1.0, 0.1), steady(1.0)]), [14.0, 86.0]);
        assert_eq!(percent(&[rising(1.0, 0.8), steady(1.0)]), [100.0, 0.0]);
        assert_eq!(percent(&[rising(1.0, 0.1), steady(0.5)]), [30.0, 70.0]);
        assert_eq!(percent(&[rising(1.0, 0.1); 2]), [86.0, 14.0]);
        assert_eq!(percent(&[rising(1.0, 0.1), steady(0.0)]), [100.0, 0.0]);
    }

    #[test]
    fn whoever_looks_while_all_changes_looks_once_and_leaves_the_rest_to_the_next() {
        let levels = Levels::new(&Config::default(), &[], &[]);
        for (goes_on, seen) in [(true, NEVER), (false, 7)] {
            levels.seen.store(7, Ordering::Relaxed);
            let reads = Cell::new(0);
            let changes = || {
                reads.set(reads.get() + 1);
                assert!(reads.get() < 10, "it is not let go");
                7 + u64::from(goes_on) * reads.get()
            };
            levels.spread_anew(&[], &[], Instant::ORIGIN, 7, changes);
            assert_eq!(levels.seen.load(Ordering::Relaxed), seen);
        }
    }

    #[test]
    fn how_busy_a_level_is_is_told_by_those_on_it_and_a_pool_by_where_requests_go() {
        let config = Arc::new(Config::default().rng(Rng::seeded(1)));
        let shared = Arc::new(Shared::new(&config));
        let blank = Arc::new(Blank::new(Arc::clone(&config), &shared, false));
        // Four of the first priority with three in flight each, and 40 who stand by.
        let (mut seats, mut told) = (Vec::new(), Vec::new());
        for place in 0..44 {
            let slot = Arc::new(Slot::new("a".into(), &shared, &blank));
            let is_first = place < 4;
            (0..if is_first { 3 } else { 0 }).for_each(|_| slot.begin(Instant::ORIGIN));
            seats.push(Seat { slot });
            let about = About {
                priority: u8::from(!is_first),
                ..About::default()
            };
            told.push(Told {
                weight: 1,
                place,
                hash: 0,
                about,
            });
        }
        let levels = Levels::new(&config, &seats, &told);
        let load = |level: usize| levels.list[level].load();
        assert_eq!((load(0), load(1)), (None, None), "nobody has looked");
        assert_eq!(levels.see_load(&seats, &shared.rng), Some(3.0));
        assert_eq!((load(0), load(1)), (Some(3.0), None));
        // Half of the requests go to each.
        for level in &levels.list {
            level.share.store(0.5_f64.to_bits(), Ordering::Relaxed);
        }
        assert_eq!(levels.see_load(&seats, &shared.rng), Some(1.5));
        assert_eq!((load(0), load(1)), (Some(3.0), Some(0.0)));
        let only = Levels::new(&config, &seats[..4], &told[..4]);
        assert_eq!(
            only.see_load(&seats[..4], &shared.rng),
            None,
            "all are looked at"
        );
    }

    #[test]
    fn who_shares_fewer_parts_of_a_locality_is_farther_away() {
        let own = Some("eu/west/1a");
        for (other, parts) in [
            (Some("eu/west/1a"), 0),
            (Some("eu/west/1a/rack"), 0),
            (Some("eu/west/1b"), 1),
            (Some("eu/east/1a"), 2),
            (Some("us/west/1a"), 3),
            (Some(""), 3),
            (None, 3),
        ] {
            assert_eq!(distance(own, other), parts, "{other:?}");
        }
        assert_eq!(distance(None, Some("eu")), 0);
    }

    proptest! {
        #[test]
        fn all_requests_go_somewhere_and_no_level_takes_more_than_it_bears_while_others_can(
            well in proptest::collection::vec((0.0..=1.0_f64, 0.0..=1.0_f64), 1..6),
            overprovisioning in 1.0..3.0_f64,
        ) {
            let well: Vec<Well> = well
                .into_iter()
                .map(|(open, ready)| rising(open, open * ready))
                .collect();
            let shares = shares(&well, overprovisioning);
            let bears = |well: &Well| (well.open * overprovisioning).min(1.0);
            let all: f64 = well.iter().map(bears).sum();
            let sum: f64 = shares.iter().sum();
            prop_assert!((sum - f64::from(u8::from(all > 0.0))).abs() < 1e-9);
            for (share, well) in shares.iter().zip(&well) {
                prop_assert!(*share >= 0.0);
                prop_assert!(all < 1.0 || *share <= bears(well) + 1e-9);
            }
        }
    }
}
