//! What an endpoint takes to answer, for the status page, the table and one histogram of each endpoint; and how many
//! connections to it go on in another protocol.
//!
//! Lighter than a latency layer: no series, no body, no service, one recorder for each endpoint. What
//! clients see is measured further out, to the end of the body.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use buttress::core::clock::{Clock, Instant};
use buttress::latency::{RollingRecorder, Snapshot, WindowSnapshot, Windows};

/// The time that one endpoint takes to the heads of its responses; clones record into one.
#[derive(Clone, Debug)]
pub struct HeadTimes(Arc<Shared>);

/// The times of each endpoint of a pool, for as long as anybody sends it requests.
#[derive(Clone, Debug)]
pub struct PoolTimes {
    pool: Arc<str>,
    known: Arc<Mutex<Known>>,
}

/// The times of endpoints, some of whom may be gone: of those no more than there were endpoints when it was cleaned last,
/// or [`FEW`].
#[derive(Debug, Default)]
struct Known {
    times: BTreeMap<Arc<str>, Weak<Shared>>,
    /// How many it held when it was cleaned last. It is again once that has doubled, so that each costs the same
    /// however many there are.
    cleaned_at: usize,
}

/// Fewer are not worth looking through.
const FEW: usize = 16;

impl Known {
    fn get(&self, id: &str) -> Option<HeadTimes> {
        self.times.get(id).and_then(Weak::upgrade).map(HeadTimes)
    }

    fn add(&mut self, id: Arc<str>, times: &HeadTimes) {
        if self.times.len() >= self.cleaned_at.saturating_mul(2).max(FEW) {
            self.times.retain(|_, times| times.strong_count() > 0);
            self.cleaned_at = self.times.len();
        }
        self.times.insert(id, Arc::downgrade(&times.0));
    }
}

impl PoolTimes {
    /// Those of the pool of that name, which has no endpoint yet.
    pub fn new(pool: &str) -> Self {
        Self {
            pool: pool.into(),
            known: Arc::default(),
        }
    }

    /// Those of the endpoint `id`, which go on where they were if it is there already. Who is gone is forgotten.
    pub fn of(&self, id: &str, clock: &Clock) -> HeadTimes {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(times) = known.get(id) {
            return times;
        }
        let id: Arc<str> = id.into();
        let times = HeadTimes::new((&self.pool, &id), clock.clone());
        known.add(id, &times);
        times
    }

    /// Those of the endpoint `id`, unless it is gone.
    pub fn get(&self, id: &str) -> Option<HeadTimes> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(id)
    }

    /// The endpoints to which there are tunnels, those that left the pool among them, and how many.
    pub fn tunnels(&self) -> Vec<(Arc<str>, u64)> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let count = |times: &Weak<Shared>| {
            let times = times.upgrade()?;
            Some(times.tunnels.load(Relaxed)).filter(|count| *count > 0)
        };
        let counts = known
            .times
            .iter()
            .map(|(id, times)| Some((Arc::clone(id), count(times)?)));
        counts.flatten().collect()
    }
}

#[derive(Debug)]
struct Shared {
    pool: Arc<str>,
    endpoint: Arc<str>,
    recorder: RollingRecorder,
    clock: Clock,
    tunnels: AtomicU64,
}

impl HeadTimes {
    /// Nothing recorded yet, on `clock`, of this endpoint of the pool before it.
    pub fn new((pool, endpoint): (&Arc<str>, &Arc<str>), clock: Clock) -> Self {
        let recorder = RollingRecorder::new(&Windows::default(), clock.now());
        Self(Arc::new(Shared {
            pool: Arc::clone(pool),
            endpoint: Arc::clone(endpoint),
            recorder,
            clock,
            tunnels: AtomicU64::new(0),
        }))
    }

    /// The rolling windows at this moment, the shortest first.
    pub fn windows(&self) -> Vec<WindowSnapshot> {
        self.0.recorder.windows(self.0.clock.now())
    }

    /// All that was recorded.
    pub fn total(&self) -> Snapshot {
        self.0.recorder.total()
    }

    /// Connections to it that go on in another protocol at this moment.
    pub fn tunnels(&self) -> u64 {
        self.0.tunnels.load(Relaxed)
    }

    /// One such connection more, until what this gives is dropped.
    pub(crate) fn tunnel(&self) -> Tunnelled {
        self.0.tunnels.fetch_add(1, Relaxed);
        Tunnelled(self.clone())
    }

    /// The moment at which a request is sent.
    pub(crate) fn start(&self) -> Instant {
        self.0.clock.now()
    }

    /// How long ago `start` was.
    pub(crate) fn since(&self, start: Instant) -> Duration {
        self.0.clock.now().saturating_since(start)
    }

    /// A head has come for what was sent at `start`.
    pub(crate) fn record(&self, start: Instant) {
        let now = self.0.clock.now();
        self.0.recorder.record(now, now.saturating_since(start));
    }
}

/// A connection to an endpoint that goes on in another protocol.
#[derive(Debug)]
pub(crate) struct Tunnelled(HeadTimes);

impl Tunnelled {
    /// Of the endpoint's pool.
    pub(crate) fn pool(&self) -> &str {
        &self.0.0.pool
    }

    /// The endpoint's ID.
    pub(crate) fn endpoint(&self) -> &str {
        &self.0.0.endpoint
    }
}

impl Drop for Tunnelled {
    fn drop(&mut self) {
        self.0.0.tunnels.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use buttress::core::clock::ManualClock;

    use super::*;

    #[test]
    fn an_endpoint_that_stays_keeps_its_times_and_one_that_is_gone_leaves_nothing() {
        let (pool, clock) = (PoolTimes::new("p"), ManualClock::new().clock());
        let stays = pool.of("a", &clock);
        stays.record(stays.start());
        for n in 0..100 {
            drop(pool.of(&n.to_string(), &clock));
        }
        assert!(pool.known.lock().unwrap().times.len() <= FEW);
        assert!(pool.get("99").is_none());
        let again = pool.of("a", &clock);
        drop(stays);
        assert_eq!(again.windows()[0].counts.count(), 1);
        assert_eq!(pool.get("a").unwrap().total().count(), 1);
    }

    #[test]
    fn an_endpoint_that_left_is_listed_for_as_long_as_it_has_tunnels() {
        let (pool, clock) = (PoolTimes::new("p"), ManualClock::new().clock());
        let (left, quiet) = (pool.of("a", &clock), pool.of("b", &clock));
        let tunnels = [left.tunnel(), left.tunnel()];
        drop(left);
        assert_eq!(pool.tunnels(), [("a".into(), 2)]);
        let [first, last] = tunnels;
        drop(first);
        assert_eq!(pool.tunnels(), [("a".into(), 1)]);
        drop(last);
        assert_eq!(pool.tunnels(), []);
        drop(quiet);
    }

    #[test]
    fn all_that_are_there_are_looked_through_only_when_they_have_doubled() {
        let (pool, clock) = (PoolTimes::new("p"), ManualClock::new().clock());
        let mut cleaned = Vec::new();
        let all: Vec<_> = (0..200)
            .map(|n| {
                let times = pool.of(&n.to_string(), &clock);
                cleaned.push(pool.known.lock().unwrap().cleaned_at);
                times
            })
            .collect();
        cleaned.dedup();
        assert_eq!(cleaned, [0, 16, 32, 64, 128]);
        drop(all);
    }

    #[test]
    fn the_time_to_the_head_is_recorded() {
        let time = ManualClock::new();
        let times = HeadTimes::new((&"p".into(), &"a".into()), time.clock());
        let start = times.start();
        time.advance(Duration::from_millis(20));
        times.record(start);
        let windows = times.windows();
        assert!(windows.iter().all(|window| window.counts.count() == 1));
        assert!(windows[0].counts.sum() >= Duration::from_millis(20));
        assert_eq!(times.total().count(), 1);
    }
}
