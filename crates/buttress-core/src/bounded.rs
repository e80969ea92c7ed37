//! Maps that a client cannot grow: [`Bounded`] keeps what it has, [`Evicting`] lets go of what idles.

#![expect(
    clippy::disallowed_types,
    reason = "this is the one place where a map is bounded"
)]

mod evicting;

pub use evicting::{Evicting, Limits, MayGo};

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

/// A concurrent map with a hard cap. A key that comes when it is full shares the overflow entry, and
/// that is counted: what overflows is merged, never left out.
///
/// # Cost
///
/// A look-up takes a read lock and one hash, keyed at random, since clients may choose the keys.
/// Memory is at most `cap + 1` entries.
#[derive(Debug)]
pub struct Bounded<K, V> {
    entries: RwLock<HashMap<K, Arc<V>>>,
    cap: usize,
    overflow: Arc<V>,
    overflowed: AtomicU64,
}

impl<K: Eq + Hash, V> Bounded<K, V> {
    /// A map of at most `cap` entries beside the `overflow` entry.
    pub fn new(cap: usize, overflow: V) -> Self {
        Self {
            entries: RwLock::new(HashMap::new()),
            cap,
            overflow: Arc::new(overflow),
            overflowed: AtomicU64::new(0),
        }
    }

    /// The entry of `key`, made by `make` if it is new and there is room, else the overflow entry.
    pub fn get_or_insert_with<Q>(&self, key: &Q, make: impl FnOnce(&Q) -> V) -> Arc<V>
    where
        K: Borrow<Q> + for<'a> From<&'a Q>,
        Q: Eq + Hash + ?Sized,
    {
        let (found, full) = {
            let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
            (entries.get(key).cloned(), entries.len() >= self.cap)
        };
        match found {
            Some(found) => found,
            // A flood of new keys never takes the write lock.
            None if full => self.overflowing(),
            // Made outside the lock: `make` is somebody else's code.
            None => self.insert(key, Arc::new(make(key))),
        }
    }

    /// The entry of `key`, if it has one of its own.
    pub fn get<Q>(&self, key: &Q) -> Option<Arc<V>>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        self.entries
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(key)
            .cloned()
    }

    /// The entry that all keys beyond the cap share.
    pub fn overflow(&self) -> &Arc<V> {
        &self.overflow
    }

    /// How often a key was given the overflow entry.
    pub fn overflowed(&self) -> u64 {
        self.overflowed.load(Ordering::Relaxed)
    }

    /// How many keys have an entry of their own.
    pub fn len(&self) -> usize {
        self.entries
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .len()
    }

    /// Whether no key has an entry of its own.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The entries, without the overflow entry, in no order.
    pub fn entries(&self) -> Vec<(K, Arc<V>)>
    where
        K: Clone,
    {
        let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
        entries
            .iter()
            .map(|(key, value)| (key.clone(), Arc::clone(value)))
            .collect()
    }

    fn overflowing(&self) -> Arc<V> {
        self.overflowed.fetch_add(1, Ordering::Relaxed);
        Arc::clone(&self.overflow)
    }

    fn insert<Q>(&self, key: &Q, made: Arc<V>) -> Arc<V>
    where
        K: Borrow<Q> + for<'a> From<&'a Q>,
        Q: Eq + Hash + ?Sized,
    {
        let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = entries.get(key) {
            return Arc::clone(found);
        }
        if entries.len() >= self.cap {
            return self.overflowing();
        }
        entries.insert(K::from(key), Arc::clone(&made));
        made
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_million_keys_leave_the_map_at_its_cap_and_are_counted() {
        let map: Bounded<String, ()> = Bounded::new(10, ());
        for n in 0..1_000_000_u32 {
            map.get_or_insert_with(n.to_string().as_str(), |_| ());
        }
        assert_eq!(map.len(), 10);
        assert_eq!(map.overflowed(), 999_990);
    }

    #[test]
    fn a_key_keeps_the_entry_it_was_given() {
        let map: Bounded<String, u32> = Bounded::new(1, 0);
        let first = map.get_or_insert_with("a", |_| 1);
        assert_eq!(*map.get_or_insert_with("b", |_| 2), 0);
        assert!(Arc::ptr_eq(&first, &map.get_or_insert_with("a", |_| 3)));
    }

    #[test]
    fn threads_that_bring_new_keys_at_once_never_pass_the_cap_or_split_an_entry() {
        let map: Bounded<String, AtomicU64> = Bounded::new(50, AtomicU64::new(0));
        let fill = || {
            for key in (0..100_u32).map(|n| n.to_string()) {
                let entry = map.get_or_insert_with(key.as_str(), |_| AtomicU64::new(0));
                entry.fetch_add(1, Ordering::Relaxed);
            }
        };
        std::thread::scope(|scope| {
            scope.spawn(fill);
            scope.spawn(fill);
        });
        let count = |entry: &Arc<AtomicU64>| entry.load(Ordering::Relaxed);
        let kept: Vec<u64> = map
            .entries()
            .iter()
            .map(|(_, entry)| count(entry))
            .collect();
        assert_eq!(kept.len(), 50);
        let merged = count(map.overflow());
        assert_eq!(merged, map.overflowed());
        assert_eq!(kept.iter().sum::<u64>() + merged, 200);
    }
}
