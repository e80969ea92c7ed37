//! A bounded map that lets go of what nobody has used for a while.

mod limits;
mod shard;

pub use limits::Limits;

use std::fmt;
use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use crate::clock::Instant;
use shard::{Hashed, Shard};

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
    on_going: OnGoing<K, V>,
    on_evict: Box<dyn Fn(V) + Send + Sync>,
}

/// Told of an entry before it goes.
type OnGoing<K, V> = Box<dyn Fn(&K, &V, Instant) + Send + Sync>;

const SHARDS: usize = 64;

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
            on_going: Box::new(|_, _, _| ()),
            on_evict: Box::new(on_evict),
        }
    }

    /// With `going` told of each entry before anybody can find it gone, so that what matters of it is
    /// known to whoever makes the next one of its key. Called under a lock of the map: it must be quick,
    /// and must not call it.
    #[must_use]
    pub fn on_going(mut self, going: impl Fn(&K, &V, Instant) + Send + Sync + 'static) -> Self {
        self.on_going = Box::new(going);
        self
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
        self.read_or_insert_with(key, now, make, V::clone)
    }

    /// What `read` makes of the entry that [`Evicting::get_or_insert_with`] gives: for what needs no clone
    /// of the whole. `read` may be called under a lock of the map: it must be quick, and must not call it.
    #[inline]
    pub fn read_or_insert_with<T>(
        &self,
        key: K,
        now: impl FnOnce() -> Instant,
        make: impl FnOnce(&K) -> V,
        read: impl FnOnce(&V) -> T,
    ) -> T {
        let key = self.hashed(key);
        match self.shard(&key).read_at(&key, read) {
            Ok(found) => found,
            Err(read) => read(&self.insert(key, now(), make)),
        }
    }

    /// The entry of `key`, if it has one of its own. This is a use: it will not go for idleness soon.
    pub fn get(&self, key: K) -> Option<V> {
        let key = self.hashed(key);
        self.shard(&key).read_at(&key, V::clone).ok()
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
        self.shards.iter().flat_map(Shard::entries).collect()
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
        if let Err(found) = shard.insert(key, made, now) {
            // Somebody was faster.
            return found;
        }
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
        // Often enough that what idles goes within five quarters of its time.
        let due = shard.is_due(now, self.limits.idle_after / 4);
        if due {
            self.look_after(shard, now);
        }
        due
    }

    fn look_after(&self, shard: &Shard<K, V>, now: Instant) {
        let going = |key: &K, value: &V| (self.on_going)(key, value, now);
        let gone = shard.sweep(now, &self.limits, &going);
        if !gone.is_empty() {
            self.len.fetch_sub(gone.len(), Ordering::Relaxed);
            self.evicted.fetch_add(gone.len() as u64, Ordering::Relaxed);
        }
        gone.into_iter().for_each(&self.on_evict);
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
mod tests;
