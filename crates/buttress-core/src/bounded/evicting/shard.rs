//! One of the parts of a map, under a lock of its own, and how a key is found in it.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hash, Hasher};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use super::{Limits, MayGo};
use crate::clock::Instant;

/// On a cache line of its own, so that look-ups in one do not slow those in the next.
#[repr(align(64))]
pub(super) struct Shard<K, V> {
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

impl<K, V> Default for Shard<K, V> {
    fn default() -> Self {
        Self {
            entries: RwLock::default(),
            next_sweep: AtomicU64::new(0),
        }
    }
}

impl<K: Eq + Hash, V: MayGo + Clone> Shard<K, V> {
    #[inline]
    pub(super) fn read_at<T, F: FnOnce(&V) -> T>(&self, key: &Hashed<K>, read: F) -> Result<T, F> {
        let entries = self.read();
        let Some(entry) = entries.get(key) else {
            return Err(read);
        };
        // Looked at first: the line of a key in steady use stays shared.
        if !entry.touched.load(Ordering::Relaxed) {
            entry.touched.store(true, Ordering::Relaxed);
        }
        Ok(read(&entry.value))
    }

    /// Gives `key` this value, or says which one it has been given already. The value that is not
    /// taken is dropped after the lock is free.
    pub(super) fn insert(&self, key: Hashed<K>, value: V, now: Instant) -> Result<(), V> {
        let mut entries = self.write();
        if let Some(found) = entries.get(&key) {
            return Err(found.value.clone());
        }
        entries.insert(key, Entry::new(value, now));
        Ok(())
    }

    pub(super) fn entries(&self) -> Vec<(K, V)>
    where
        K: Clone,
    {
        let entries = self.read();
        let all = entries.iter();
        all.map(|(key, entry)| (key.key.clone(), entry.value.clone()))
            .collect()
    }

    /// Whether it is time to sweep, and nobody else does. The next time comes after `interval`.
    pub(super) fn is_due(&self, now: Instant, interval: Duration) -> bool {
        let due = self.next_sweep.load(Ordering::Relaxed);
        if now.as_nanos() < due {
            return false;
        }
        let next = now.saturating_add(interval).as_nanos();
        (self.next_sweep)
            .compare_exchange(due, next, Ordering::Relaxed, Ordering::Relaxed)
            .is_ok()
    }

    /// Takes out what idles and may go, after `going` has been told of it.
    pub(super) fn sweep(&self, now: Instant, limits: &Limits, going: &impl Fn(&K, &V)) -> Vec<V> {
        let mut entries = self.write();
        let goes = |key: &Hashed<K>, entry: &mut Entry<V>| {
            let idle = entry.idle(now);
            let goes = idle >= limits.idle_after && entry.value.may_go(idle, limits, now);
            if goes {
                going(&key.key, &entry.value);
            }
            goes
        };
        let gone = entries
            .extract_if(goes)
            .map(|(_, entry)| entry.value)
            .collect::<Vec<_>>();
        if !gone.is_empty() && entries.len() < entries.capacity() / 4 {
            entries.shrink_to_fit();
        }
        gone
    }

    fn read(&self) -> RwLockReadGuard<'_, Entries<K, V>> {
        self.entries.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Entries<K, V>> {
        self.entries.write().unwrap_or_else(PoisonError::into_inner)
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

/// A key with its hash, which is taken once: it chooses the shard and the place in it.
#[derive(PartialEq, Eq)]
pub(super) struct Hashed<K> {
    pub(super) hash: u64,
    pub(super) key: K,
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
