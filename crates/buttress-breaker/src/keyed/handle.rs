//! What reads the breakers of all keys and takes them in hand.

use std::sync::Arc;
#[expect(
    clippy::disallowed_types,
    reason = "two processes share no other clock; it is passed in"
)]
use std::time::SystemTime;

use buttress_core::circuit::State;
use buttress_core::config::ConfigError;
use buttress_core::events::Subscription;
use buttress_core::verdict::By;

use super::breakers::KeyedBreaker;
use super::key::Key;
use crate::breaker::Breaker;
use crate::config::Config;
use crate::handle::{BreakerHandle, Event, Snapshot};
use crate::saved::SavedBreaker;

/// Reads the breakers of all keys and takes them in hand. Cheap to clone; never on the path of a
/// request.
#[derive(Clone, Debug)]
pub struct KeyedHandle<K> {
    breakers: KeyedBreaker<K>,
    by: Option<Arc<By>>,
}

/// The breakers of all keys at one moment.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct KeyedSnapshot<K> {
    /// What comes before the key in the name of each.
    pub name: Arc<str>,
    /// Each key with its breaker, in no order.
    pub breakers: Vec<(K, Snapshot)>,
    /// The breaker that all other keys share.
    pub overflow: Snapshot,
    /// How often a key was given the overflow breaker.
    pub overflowed: u64,
    /// How many breakers went for idleness.
    pub evicted: u64,
    /// Of how many of them it is remembered that they were not closed, or had opened and not proved healthy.
    pub remembered: usize,
    /// How many were forgotten for others, because more than [`Limits::cap`](crate::Limits::cap) were to be
    /// remembered.
    pub forgotten: u64,
}

impl<K: Key> KeyedHandle<K> {
    pub(super) const fn new(breakers: KeyedBreaker<K>) -> Self {
        Self { breakers, by: None }
    }

    /// A handle whose verdicts say of every state that it sets by hand that `by` did so, and why: of all breakers, those
    /// to come as well, and of one that it gives a handle of.
    #[must_use]
    pub fn on_behalf_of(&self, by: By) -> Self {
        Self {
            breakers: self.breakers.clone(),
            by: Some(Arc::new(by)),
        }
    }

    /// The breakers.
    pub const fn breakers(&self) -> &KeyedBreaker<K> {
        &self.breakers
    }

    /// All breakers at this moment. It visits each of them: with many keys, milliseconds.
    pub fn snapshot(&self) -> KeyedSnapshot<K> {
        let shared = self.breakers.shared();
        let entries = shared.map.entries().into_iter();
        let (remembered, forgotten) = shared.remembered.counts();
        KeyedSnapshot {
            name: Arc::clone(&shared.name),
            breakers: entries
                .map(|(key, slot)| (key, slot.breaker.handle().snapshot()))
                .collect(),
            overflow: self.overflow().snapshot(),
            overflowed: shared.map.overflowed(),
            evicted: shared.map.evicted(),
            remembered,
            forgotten,
        }
    }

    /// The keys that have a breaker of their own, in no order.
    pub fn keys(&self) -> Vec<K> {
        let entries = self.breakers.shared().map.entries();
        entries.into_iter().map(|(key, _)| key).collect()
    }

    /// How many keys have a breaker of their own.
    pub fn len(&self) -> usize {
        self.breakers.shared().map.len()
    }

    /// Whether no key has a breaker of its own.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The breaker of `key`, if it has one of its own. While this handle is held it stays.
    pub fn get(&self, key: K) -> Option<BreakerHandle> {
        let slot = self.breakers.shared().map.get(key)?;
        Some(slot.breaker.handle().by(self.by.clone()))
    }

    /// The breaker that keys without one of their own share.
    pub fn overflow(&self) -> BreakerHandle {
        self.overflow_breaker().handle().by(self.by.clone())
    }

    /// Every change of state of any of them from now on. What changes one breaker is in order.
    pub fn subscribe(&self) -> Subscription<Event> {
        self.breakers.shared().events.subscribe()
    }

    /// Rejects everything until [`KeyedHandle::release`], for keys to come as well.
    pub fn force_open(&self) {
        self.hold(Some(State::ForcedOpen));
    }

    /// Admits everything until [`KeyedHandle::release`], for keys to come as well.
    pub fn force_closed(&self) {
        self.hold(Some(State::ForcedClosed));
    }

    /// Judges and reports but rejects nothing until [`KeyedHandle::release`], for keys to come as well.
    pub fn observe(&self) {
        self.hold(Some(State::Observing));
    }

    /// Ends a forced state, or any other: every breaker starts afresh, closed.
    pub fn release(&self) {
        self.hold(None);
    }

    /// Replaces the configuration of every breaker, and of those to come, whole or, if it makes no
    /// sense, not at all. What each of them knows stays, as by [`BreakerHandle::reconfigure`].
    #[expect(
        clippy::needless_pass_by_value,
        reason = "as every other handle takes it"
    )]
    pub fn reconfigure(&self, config: Config) -> Result<(), ConfigError> {
        self.breakers.shared().reconfigure(&config)
    }

    /// Lets go at once of every breaker that idles and may go, instead of when a new key comes.
    pub fn sweep(&self) {
        let shared = self.breakers.shared();
        shared.map.sweep(shared.now());
    }

    /// What the process after this one should not forget: each key whose breaker is not closed, or has
    /// opened and not proved healthy since, be it there or remembered. What all are held in by hand, and new ones made in, is not
    /// among it.
    #[expect(
        clippy::disallowed_types,
        reason = "two processes share no other clock; it is passed in"
    )]
    pub fn save(&self, wall_now: SystemTime) -> Vec<(K, SavedBreaker)> {
        let entries = self.breakers.shared().map.entries().into_iter();
        let known = entries.filter(|(_, slot)| slot.is_memorable());
        let known = known.map(|(key, slot)| (key, slot.breaker.handle().save(wall_now)));
        let gone = self.breakers.shared().remembered.all().into_iter();
        let gone = gone.map(|(name, key, circuit)| {
            let saved = SavedBreaker::new(&name, circuit, wall_now);
            (key, saved)
        });
        known.chain(gone).collect()
    }

    /// Takes over what a process before this one saved, each by [`BreakerHandle::restore`]; how many
    /// breakers that made another state of. A key gets a breaker for it, as long as there is room
    /// ([`Limits::cap`](crate::Limits::cap)); what finds none is passed over, and no more than the cap are
    /// looked at, whatever is written there.
    #[expect(
        clippy::disallowed_types,
        reason = "two processes share no other clock; it is passed in"
    )]
    pub fn restore(
        &self,
        saved: impl IntoIterator<Item = (K, SavedBreaker)>,
        wall_now: SystemTime,
    ) -> usize {
        let cap = self.breakers.shared().cap;
        let restored = saved.into_iter().take(cap).filter(|(key, saved)| {
            let known = self.get(key.clone()).is_some();
            if !known && self.len() >= cap {
                return false;
            }
            let breaker = self.breakers.get(key.clone());
            let own = breaker.name() != self.overflow().name();
            own && breaker.handle().restore(saved, wall_now)
        });
        restored.count()
    }

    fn hold(&self, state: Option<State>) {
        self.breakers.shared().hold(state, self.by.as_ref());
    }

    fn overflow_breaker(&self) -> &Breaker {
        &self.breakers.shared().map.overflow().breaker
    }
}
