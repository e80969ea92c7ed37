//! What is known of keys whose breakers have gone for idleness.

#![expect(
    clippy::disallowed_types,
    reason = "no more than `cap` keys are remembered"
)]

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use buttress_core::circuit::Saved;

/// What the circuits of the last keys to go were. A breaker takes two KiB, and what a call can tell of one
/// that idles takes a tenth of that.
#[derive(Debug)]
pub(super) struct Remembered<K> {
    cap: usize,
    known: Mutex<Known<K>>,
}

/// Keys are hashed at random: clients may choose them.
#[derive(Debug)]
struct Known<K> {
    by_key: HashMap<K, Memory>,
    /// The keys in the order in which they came.
    order: BTreeMap<u64, K>,
    next: u64,
    forgotten: u64,
}

#[derive(Debug)]
struct Memory {
    /// What its breaker was called.
    name: Arc<str>,
    circuit: Saved,
    turn: u64,
}

impl<K: Eq + Hash + Clone> Remembered<K> {
    /// Remembers so many keys, and for one more forgets the one that came first.
    pub(super) fn new(cap: usize) -> Self {
        Self {
            cap,
            known: Mutex::new(Known {
                by_key: HashMap::new(),
                order: BTreeMap::new(),
                next: 0,
                forgotten: 0,
            }),
        }
    }

    pub(super) fn remember(&self, key: &K, name: &Arc<str>, circuit: Saved) {
        let (ordered, kept) = (key.clone(), key.clone());
        let mut known = self.known();
        let replaced = known.take(key);
        let turn = known.next;
        known.next = turn.wrapping_add(1);
        known.order.insert(turn, ordered);
        let memory = Memory {
            name: Arc::clone(name),
            circuit,
            turn,
        };
        known.by_key.insert(kept, memory);
        let gone = known.take_beyond(self.cap);
        drop(known);
        // Keys are somebody else's: they go under no lock.
        drop((replaced, gone));
    }

    /// What the circuit of this key was, if that is known.
    pub(super) fn recall(&self, key: &K) -> Option<Saved> {
        let known = self.known();
        known.by_key.get(key).map(|memory| memory.circuit)
    }

    /// The breaker of this key is there again.
    pub(super) fn forget(&self, key: &K) {
        let gone = self.known().take(key);
        drop(gone);
    }

    pub(super) fn forget_all(&self) {
        let mut known = self.known();
        let all = (
            std::mem::take(&mut known.by_key),
            std::mem::take(&mut known.order),
        );
        drop(known);
        drop(all);
    }

    /// Each key with its breaker's name and circuit.
    pub(super) fn all(&self) -> Vec<(Arc<str>, K, Saved)> {
        let known = self.known();
        let all = known.by_key.iter();
        all.map(|(key, memory)| (Arc::clone(&memory.name), key.clone(), memory.circuit))
            .collect()
    }

    /// How many are remembered, and how many have been forgotten for others.
    pub(super) fn counts(&self) -> (usize, u64) {
        let known = self.known();
        (known.by_key.len(), known.forgotten)
    }

    fn known(&self) -> MutexGuard<'_, Known<K>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Eq + Hash> Known<K> {
    /// Takes out what is known of `key`.
    fn take(&mut self, key: &K) -> Option<Gone<K>> {
        let (kept, memory) = self.by_key.remove_entry(key)?;
        Some((kept, self.order.remove(&memory.turn)))
    }

    /// Takes out the first to have come, if there are more than `cap`.
    fn take_beyond(&mut self, cap: usize) -> Option<Gone<K>> {
        if self.by_key.len() <= cap {
            return None;
        }
        let (_, first) = self.order.pop_first()?;
        let (kept, _) = self.by_key.remove_entry(&first)?;
        self.forgotten = self.forgotten.saturating_add(1);
        Some((kept, Some(first)))
    }
}

/// The keys of what is known no more.
type Gone<K> = (K, Option<K>);

#[cfg(test)]
mod tests {
    use super::*;
    use buttress_core::circuit::State;
    use std::time::Duration;

    #[test]
    fn the_first_to_come_is_forgotten_for_one_too_many_and_one_that_comes_again_is_the_last() {
        let remembered = Remembered::new(2);
        let saved = |attempt| Saved::new(State::Open, Duration::ZERO, attempt);
        for (attempt, key) in (1..).zip(["a", "b", "a", "c"]) {
            remembered.remember(&key, &"of one name".into(), saved(attempt));
        }
        let recalled = ["a", "b", "c"].map(|key| remembered.recall(&key));
        assert_eq!(recalled, [Some(saved(3)), None, Some(saved(4))]);
        assert_eq!(remembered.counts(), (2, 1));
        remembered.forget(&"a");
        let left: Vec<_> = remembered
            .all()
            .into_iter()
            .map(|(_, key, _)| key)
            .collect();
        assert_eq!(left, ["c"]);
        remembered.forget_all();
        assert_eq!(remembered.counts(), (0, 1));
    }
}
