//! A bounded map that lets go of what nobody has used for a while.

use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasher, BuildHasherDefault, Hash, Hasher, RandomState};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use crate::clock::Instant;
use crate::config::ConfigError;

/// How much an [`Evicting`] map keeps, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// At most so many keys have an entry of their own. Default 10,000; at least 1.
    pub cap: usize,
    /// An entry nobody has asked for during this time may go. Default 10 min; at least 1 ms.
    pub idle_after: Duration,
}

/// Whether an entry may go. Asked under a lock of the map: it must be quick, and must not call it.
pub trait MayGo {
    /// Whether nothing that matters would be lost with this entry, which nobody has asked for during
    /// `idle`: at least the [`Limits::idle_after`] of the map.
    fn may_go(&self, idle: Duration, limits: &Limits, now: Instant) -> bool;
}

/// A concurrent map with a hard cap, out of which entries go that nobody has asked for during a time
/// and that say themselves that they [may](MayGo). A key that finds no room shares the overflow entry,
/// and that is counted.
///
/// Nothing runs in the background: a new key looks after the entries beside which it will lie, so a
/// map to which no key comes keeps what it has, at most its cap.
///
/// # Cost
///
/// A look-up takes one hash, keyed at random since clients may choose the keys, a read lock of one of
/// 64 shards, and a clone of the value. No clock is read for it. A new key reads the clock, takes a
/// write lock of its shard, and now and then looks at each entry of that shard.
pub struct Evicting<K, V> {
    shards: Box<[Shard<K, V>]>,
    hasher: RandomState,
    limits: Limits,
    len: AtomicUsize,
    overflow: V,
    overflowed: AtomicU64,
    evicted: AtomicU64,
    /// The shard that the next key to find the map full looks after.
    rotation: AtomicUsize,
    on_evict: Box<dyn Fn(V) + Send + Sync>,
}

const SHARDS: usize = 64;

/// On a cache line of its own, so that look-ups in one do not slow those in the next.
#[repr(align(64))]
struct Shard<K, V> {
    entries: RwLock<Entries<K, V>>,
    /// When its entries are to be looked at next, in nanoseconds.
    next_sweep: AtomicU64,
}

type Entries<K, V> = HashMap<Hashed<K>, Entry<V>, BuildHasherDefault<AsIs>>;

struct Entry<V> {
    value: V,
    /// Somebody has asked for it since it was last looked at.
    touched: AtomicBool,
    /// Nobody has asked for it since then, at the least.
    idle_since: Instant,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            cap: 10_000,
            idle_after: Duration::from_secs(600),
        }
    }
}

impl Limits {
    /// At most so many keys have an entry of their own.
    #[must_use]
    pub const fn cap(mut self, cap: usize) -> Self {
        self.cap = cap;
        self
    }

    /// An entry nobody has asked for during this time may go.
    #[must_use]
    pub const fn idle_after(mut self, idle_after: Duration) -> Self {
        self.idle_after = idle_after;
        self
    }

    /// Refuses what makes no sense.
    pub fn validate(&self) -> Result<(), ConfigError> {
        if self.cap == 0 {
            let problem = "with 0 every key shares one entry; use 1 or more";
            return Err(ConfigError::new("limits.cap", problem));
        }
        if self.idle_after < Duration::from_millis(1) {
            let problem = format!(
                "{:?} forgets a key between two uses; use at least 1ms",
                self.idle_after
            );
            return Err(ConfigError::new("limits.idle_after", problem));
        }
        Ok(())
    }
}

impl<K: Eq + Hash, V: MayGo + Clone> Evicting<K, V> {
    /// An empty map. What goes out of it is handed to `on_evict`, under no lock.
    pub fn new(limits: Limits, overflow: V, on_evict: impl Fn(V) + Send + Sync + 'static) -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Shard::default()).collect(),
            hasher: RandomState::new(),
            limits,
            len: AtomicUsize::new(0),
            overflow,
            overflowed: AtomicU64::new(0),
            evicted: AtomicU64::new(0),
            rotation: AtomicUsize::new(0),
            on_evict: Box::new(on_evict),
        }
    }

    /// The entry of `key`, made by `make` if it is new and there is room, else the overflow entry.
    ///
    /// `now` is asked, and `make` called, for a new key alone, and under no lock.
    #[inline]
    pub fn get_or_insert_with(
        &self,
        key: K,
        now: impl FnOnce() -> Instant,
        make: impl FnOnce(&K) -> V,
    ) -> V {
        let key = self.hashed(key);
        match self.shard(&key).get(&key) {
            Some(found) => found,
            None => self.insert(key, now(), make),
        }
    }

    /// The entry of `key`, if it has one of its own. This is a use: it will not go for idleness soon.
    pub fn get(&self, key: K) -> Option<V> {
        let key = self.hashed(key);
        self.shard(&key).get(&key)
    }

    /// The entry that all keys without one of their own share.
    pub const fn overflow(&self) -> &V {
        &self.overflow
    }

    /// How often a key was given the overflow entry.
    pub fn overflowed(&self) -> u64 {
        self.overflowed.load(Ordering::Relaxed)
    }

    /// How many entries went for idleness.
    pub fn evicted(&self) -> u64 {
        self.evicted.load(Ordering::Relaxed)
    }

    /// How many keys have an entry of their own.
    pub fn len(&self) -> usize {
        self.len.load(Ordering::Relaxed)
    }

    /// Whether no key has an entry of its own.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The entries, without the overflow entry, in no order. This is no use of them.
    pub fn entries(&self) -> Vec<(K, V)>
    where
        K: Clone,
    {
        let mut all = Vec::with_capacity(self.len());
        for shard in &self.shards {
            let entries = shard.entries.read().unwrap_or_else(PoisonError::into_inner);
            all.extend((entries.iter()).map(|(key, entry)| (key.key.clone(), entry.value.clone())));
        }
        all
    }

    /// Lets go at once of whatever idles and may.
    pub fn sweep(&self, now: Instant) {
        self.shards
            .iter()
            .for_each(|shard| self.look_after(shard, now));
    }

    fn hashed(&self, key: K) -> Hashed<K> {
        let hash = self.hasher.hash_one(&key);
        Hashed { hash, key }
    }

    #[expect(
        clippy::indexing_slicing,
        reason = "the index is below the number of shards"
    )]
    #[inline]
    fn shard(&self, key: &Hashed<K>) -> &Shard<K, V> {
        // Bits that the map inside a shard makes little use of.
        &self.shards[(key.hash >> 40) as usize % SHARDS]
    }

    #[cold]
    fn insert(&self, key: Hashed<K>, now: Instant, make: impl FnOnce(&K) -> V) -> V {
        let shard = self.shard(&key);
        self.look_after_if_due(shard, now);
        let has_room = self.reserve() || (self.make_room(now) && self.reserve());
        if !has_room {
            self.overflowed.fetch_add(1, Ordering::Relaxed);
            return self.overflow.clone();
        }
        let mut place = Reserved(Some(&self.len));
        // Made outside the lock: `make` is somebody else's code.
        let made = make(&key.key);
        let value = made.clone();
        let mut entries = shard
            .entries
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = entries.get(&key) {
            // Somebody was faster; what was made is dropped after the lock is free.
            return found.value.clone();
        }
        entries.insert(key, Entry::new(made, now));
        place.0 = None;
        value
    }

    fn reserve(&self) -> bool {
        let one_more = |len: usize| (len < self.limits.cap).then(|| len + 1);
        (self.len)
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more)
            .is_ok()
    }

    /// Looks after the next shard in turn, so that a flood of new keys looks after all of them.
    fn make_room(&self, now: Instant) -> bool {
        let turn = self.rotation.fetch_add(1, Ordering::Relaxed) % SHARDS;
        let due = self.shards.get(turn);
        due.is_some_and(|shard| self.look_after_if_due(shard, now))
    }

    fn look_after_if_due(&self, shard: &Shard<K, V>, now: Instant) -> bool {
        let due = shard.next_sweep.load(Ordering::Relaxed);
        if now.as_nanos() < due {
            return false;
        }
        // Often enough that what idles goes within five quarters of its time.
        let next = now.saturating_add(self.limits.idle_after / 4).as_nanos();
        let mine =
            (shard.next_sweep).compare_exchange(due, next, Ordering::Relaxed, Ordering::Relaxed);
        if mine.is_ok() {
            self.look_after(shard, now);
        }
        mine.is_ok()
    }

    fn look_after(&self, shard: &Shard<K, V>, now: Instant) {
        let gone = shard.sweep(now, &self.limits);
        if !gone.is_empty() {
            self.len.fetch_sub(gone.len(), Ordering::Relaxed);
            self.evicted.fetch_add(gone.len() as u64, Ordering::Relaxed);
        }
        for (_, entry) in gone {
            (self.on_evict)(entry.value);
        }
    }
}

impl<K: Eq + Hash, V: MayGo + Clone> Shard<K, V> {
    #[inline]
    fn get(&self, key: &Hashed<K>) -> Option<V> {
        let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
        let entry = entries.get(key)?;
        // Looked at first: the line of a key in steady use stays shared.
        if !entry.touched.load(Ordering::Relaxed) {
            entry.touched.store(true, Ordering::Relaxed);
        }
        Some(entry.value.clone())
    }

    /// Takes out what idles and may go.
    fn sweep(&self, now: Instant, limits: &Limits) -> Vec<(Hashed<K>, Entry<V>)> {
        let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
        let gone = entries
            .extract_if(|_, entry| {
                let idle = entry.idle(now);
                idle >= limits.idle_after && entry.value.may_go(idle, limits, now)
            })
            .collect::<Vec<_>>();
        if !gone.is_empty() && entries.len() < entries.capacity() / 4 {
            entries.shrink_to_fit();
        }
        gone
    }
}

impl<V> Entry<V> {
    const fn new(value: V, now: Instant) -> Self {
        Self {
            value,
            touched: AtomicBool::new(false),
            idle_since: now,
        }
    }

    /// How long nobody has asked for it, as far as one knows: rather too short than too long.
    fn idle(&mut self, now: Instant) -> Duration {
        if std::mem::take(self.touched.get_mut()) {
            self.idle_since = now;
        }
        now.saturating_since(self.idle_since)
    }
}

/// A place in the count, given back unless it is used: `make` may panic.
struct Reserved<'a>(Option<&'a AtomicUsize>);

impl Drop for Reserved<'_> {
    fn drop(&mut self) {
        if let Some(len) = self.0 {
            len.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// A key with its hash, which is taken once: it chooses the shard and the place in it.
#[derive(PartialEq, Eq)]
struct Hashed<K> {
    hash: u64,
    key: K,
}

impl<K> Hash for Hashed<K> {
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

/// Takes a hash for what it is.
#[derive(Default)]
struct AsIs(u64);

impl Hasher for AsIs {
    #[inline]
    fn finish(&self) -> u64 {
        self.0
    }

    #[inline]
    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }

    /// For completeness: a [`Hashed`] writes its hash alone.
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }
}

impl<K, V> Default for Shard<K, V> {
    fn default() -> Self {
        Self {
            entries: RwLock::default(),
            next_sweep: AtomicU64::new(0),
        }
    }
}

impl<K, V> fmt::Debug for Evicting<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Evicting")
            .field("limits", &self.limits)
            .field("len", &self.len)
            .field("overflowed", &self.overflowed)
            .field("evicted", &self.evicted)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    const IDLE: Duration = Duration::from_secs(60);

    /// May go, or not.
    #[derive(Clone, Debug, PartialEq, Eq)]
    struct Thing(u32, bool);

    impl MayGo for Thing {
        fn may_go(&self, _: Duration, _: &Limits, _: Instant) -> bool {
            self.1
        }
    }

    struct World {
        map: Evicting<u32, Thing>,
        gone: Arc<Mutex<Vec<u32>>>,
        now: Instant,
    }

    impl World {
        fn new(cap: usize) -> Self {
            let gone = Arc::<Mutex<Vec<u32>>>::default();
            let into = Arc::clone(&gone);
            let limits = Limits::default().cap(cap).idle_after(IDLE);
            Self {
                map: Evicting::new(limits, Thing(u32::MAX, false), move |thing: Thing| {
                    into.lock().unwrap().push(thing.0);
                }),
                gone,
                now: Instant::from_nanos(1),
            }
        }

        fn ask(&self, key: u32, may_go: bool) -> u32 {
            let made = |key: &u32| Thing(*key, may_go);
            self.map.get_or_insert_with(key, || self.now, made).0
        }

        fn pass(&mut self, time: Duration) {
            self.now = self.now.saturating_add(time);
        }

        fn gone(&self) -> Vec<u32> {
            let mut gone = self.gone.lock().unwrap().clone();
            gone.sort_unstable();
            gone
        }
    }

    #[test]
    fn a_million_keys_leave_the_map_at_its_cap_and_are_counted() {
        let world = World::new(10);
        let own = (0..1_000_000).filter(|key| world.ask(*key, true) == *key);
        assert_eq!(own.count(), 10);
        assert_eq!((world.map.len(), world.map.entries().len()), (10, 10));
        assert_eq!(world.map.overflowed(), 999_990);
    }

    #[test]
    fn what_idles_and_may_go_makes_room_and_what_may_not_stays() {
        let mut world = World::new(100);
        (0..100).for_each(|key| assert_eq!(world.ask(key, key % 2 == 0), key));
        world.pass(IDLE);
        // Each new key looks after one shard more; none of them knows which.
        for key in 1_000..2_000 {
            world.ask(key, false);
        }
        assert_eq!(world.gone(), (0..100).step_by(2).collect::<Vec<_>>());
        assert_eq!((world.map.len(), world.map.evicted()), (100, 50));
        assert!((1..100).step_by(2).all(|key| world.map.get(key).is_some()));
    }

    #[test]
    fn what_is_asked_for_stays_for_its_whole_time_and_no_quarter_more() {
        let mut world = World::new(100);
        world.ask(1, true);
        world.pass(IDLE);
        world.ask(1, true);
        world.map.sweep(world.now);
        world.pass(IDLE.saturating_sub(Duration::from_nanos(1)));
        world.map.sweep(world.now);
        assert_eq!(world.gone(), Vec::<u32>::new());
        world.pass(Duration::from_nanos(1));
        world.map.sweep(world.now);
        assert_eq!(world.gone(), [1]);
        assert!(world.map.is_empty());
    }

    #[test]
    fn a_reader_of_all_entries_keeps_none_of_them() {
        let mut world = World::new(100);
        world.ask(1, true);
        world.pass(IDLE);
        assert_eq!(world.map.entries(), [(1, Thing(1, true))]);
        world.map.sweep(world.now);
        assert_eq!(world.gone(), [1]);
    }

    #[test]
    fn one_that_cannot_be_made_takes_no_room() {
        let world = World::new(1);
        let made = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            world
                .map
                .get_or_insert_with(1, || world.now, |_| panic!("in make"))
        }));
        assert!(made.is_err());
        assert_eq!(world.map.len(), 0);
        assert_eq!(world.ask(2, true), 2);
    }

    #[test]
    fn threads_that_bring_new_keys_at_once_never_pass_the_cap_or_split_an_entry() {
        let world = World::new(50);
        let fill = || {
            (0..100)
                .filter(|key| world.ask(*key, false) == *key)
                .count()
        };
        let own: usize = std::thread::scope(|scope| {
            let racers = [scope.spawn(fill), scope.spawn(fill)];
            racers.into_iter().map(|racer| racer.join().unwrap()).sum()
        });
        assert_eq!((world.map.len(), world.map.entries().len()), (50, 50));
        assert_eq!(own as u64 + world.map.overflowed(), 200);
    }

    #[test]
    fn limits_that_make_no_sense_are_refused_by_name() {
        let cases = [
            (Limits::default().cap(0), "limits.cap"),
            (
                Limits::default().idle_after(Duration::ZERO),
                "limits.idle_after",
            ),
        ];
        for (limits, field) in cases {
            assert_eq!(limits.validate().unwrap_err().field(), field);
        }
        assert_eq!(Limits::default().validate(), Ok(()));
    }
}
