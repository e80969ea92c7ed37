//! What is known of keys whose breakers have gone for idleness.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use buttress_core::circuit::Saved;

/// What the circuits of the last keys to go were, by the names of their breakers. A breaker takes two
/// KiB, and what a call can tell of one that idles takes a tenth of that.
#[derive(Debug)]
pub(super) struct Remembered<K> {
    cap: usize,
    known: Mutex<Known<K>>,
}

#[derive(Debug)]
struct Known<K> {
    by_name: BTreeMap<Arc<str>, Memory<K>>,
    /// The names in the order in which they came.
    order: BTreeMap<u64, Arc<str>>,
    next: u64,
    forgotten: u64,
}

#[derive(Debug)]
struct Memory<K> {
    key: K,
    circuit: Saved,
    turn: u64,
}

impl<K: Clone> Remembered<K> {
    /// Remembers so many keys, and for one more forgets the one that came first.
    pub(super) const fn new(cap: usize) -> Self {
        Self {
            cap,
            known: Mutex::new(Known {
                by_name: BTreeMap::new(),
                order: BTreeMap::new(),
                next: 0,
                forgotten: 0,
            }),
        }
    }

    pub(super) fn remember(&self, name: &Arc<str>, key: K, circuit: Saved) {
        let mut known = self.known();
        known.forget(name);
        let turn = known.next;
        known.next = turn.wrapping_add(1);
        known.order.insert(turn, Arc::clone(name));
        let memory = Memory { key, circuit, turn };
        known.by_name.insert(Arc::clone(name), memory);
        if known.by_name.len() > self.cap
            && let Some((_, first)) = known.order.pop_first()
        {
            known.by_name.remove(&first);
            known.forgotten = known.forgotten.saturating_add(1);
        }
    }

    /// What the circuit of this name was, if that is known.
    pub(super) fn recall(&self, name: &str) -> Option<Saved> {
        let known = self.known();
        known.by_name.get(name).map(|memory| memory.circuit)
    }

    /// The breaker of this name is there again.
    pub(super) fn forget(&self, name: &str) {
        self.known().forget(name);
    }

    pub(super) fn forget_all(&self) {
        let mut known = self.known();
        known.order.clear();
        // Keys are somebody else's: they go under no lock.
        let all = std::mem::take(&mut known.by_name);
        drop(known);
        drop(all);
    }

    /// Each name with its key and circuit.
    pub(super) fn all(&self) -> Vec<(Arc<str>, K, Saved)> {
        let known = self.known();
        let all = known.by_name.iter();
        all.map(|(name, memory)| (Arc::clone(name), memory.key.clone(), memory.circuit))
            .collect()
    }

    /// How many are remembered, and how many have been forgotten for others.
    pub(super) fn counts(&self) -> (usize, u64) {
        let known = self.known();
        (known.by_name.len(), known.forgotten)
    }

    fn known(&self) -> MutexGuard<'_, Known<K>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K> Known<K> {
    fn forget(&mut self, name: &str) {
        if let Some(memory) = self.by_name.remove(name) {
            self.order.remove(&memory.turn);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use buttress_core::circuit::State;
    use std::time::Duration;

    #[test]
    fn the_first_to_come_is_forgotten_for_one_too_many_and_one_that_comes_again_is_the_last() {
        let remembered = Remembered::new(2);
        let saved = |attempt| Saved::new(State::Open, Duration::ZERO, attempt);
        for (attempt, name) in (1..).zip(["a", "b", "a", "c"]) {
            remembered.remember(&name.into(), name, saved(attempt));
        }
        let recalled = ["a", "b", "c"].map(|name| remembered.recall(name));
        assert_eq!(recalled, [Some(saved(3)), None, Some(saved(4))]);
        assert_eq!(remembered.counts(), (2, 1));
        remembered.forget("a");
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
