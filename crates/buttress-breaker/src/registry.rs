//! Breakers by name.

mod reconfigure;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
#[expect(
    clippy::disallowed_types,
    reason = "two processes share no other clock; it is passed in"
)]
use std::time::SystemTime;

use buttress_core::config::ConfigError;
use buttress_core::events::{Events, Subscription};
use buttress_core::metric::{Collect, Family};

use crate::breaker::Breaker;
use crate::config::Config;
use crate::handle::{BreakerHandle, Event, Snapshot};
use crate::metrics::{by_name, families};
use crate::saved::SavedBreaker;
use reconfigure::Plans;

/// Breakers by name: made where they are first asked for, listed and taken in hand in one place. Cheap
/// to clone; all clones are the same registry.
///
/// It is for names that the program chooses. What a client chooses is the key of a
/// [`KeyedBreaker`](crate::KeyedBreaker), whose idle breakers go.
///
/// # Cost
///
/// A look-up takes a read lock and a walk down a tree of names: ask once, and keep the [`Breaker`].
///
/// ```
/// use buttress_breaker::{Config, Registry, Rule, State};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let registry = Registry::new();
/// let orders = registry.get_or_create("orders", Config::default)?;
/// let same = registry.get_or_create("orders", || unreachable!())?;
/// registry.get("orders").unwrap().force_open();
/// assert_eq!((orders.state(), same.state()), (State::ForcedOpen, State::ForcedOpen));
///
/// // All of them, or, if one configuration makes no sense, none.
/// let stricter = |_: &str| Some(Config::default().rules([Rule::ConsecutiveFailures(3)]));
/// assert_eq!(registry.reconfigure(stricter)?, 1);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Registry(Arc<Shared>);

struct Shared {
    breakers: RwLock<BTreeMap<Arc<str>, Breaker>>,
    cap: usize,
    events: Arc<Events<Event>>,
    plans: Plans,
}

/// So many breakers, where nothing else is said.
const CAP: usize = 10_000;

impl Registry {
    /// An empty registry of at most 10,000 breakers.
    pub fn new() -> Self {
        Self::of(CAP)
    }

    /// An empty registry of at most `cap` breakers; at least 1.
    pub fn with_cap(cap: usize) -> Result<Self, ConfigError> {
        if cap == 0 {
            let problem = "0 leaves room for no breaker; use at least as many as there are names";
            return Err(ConfigError::new("registry.cap", problem));
        }
        Ok(Self::of(cap))
    }

    fn of(cap: usize) -> Self {
        Self(Arc::new(Shared {
            breakers: RwLock::default(),
            cap,
            events: Arc::new(Events::new()),
            plans: Plans::default(),
        }))
    }

    /// The breaker of this name, made of `config` if there is none yet.
    ///
    /// Fails if there is none and none can be made: the configuration makes no sense, or the registry
    /// is full. Then it is as it was.
    pub fn get_or_create(
        &self,
        name: impl Into<Arc<str>>,
        config: impl FnOnce() -> Config,
    ) -> Result<Breaker, ConfigError> {
        let name = name.into();
        if let Some(found) = self.find(&name) {
            return Ok(found);
        }
        // Made outside the lock: `config` is somebody else's code.
        let common = Some(Arc::clone(&self.0.events));
        let made = Breaker::among(Arc::clone(&name), config(), common)?;
        let mut breakers = (self.0.breakers.write()).unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = breakers.get(&name) {
            return Ok(found.clone());
        }
        if breakers.len() >= self.0.cap {
            let problem = format!(
                "there is no room for {name:?} beside {} breakers; remove some, use a larger cap, \
                 or a `KeyedBreaker` for what clients name",
                breakers.len()
            );
            return Err(ConfigError::new("registry.cap", problem));
        }
        breakers.insert(name, made.clone());
        Ok(made)
    }

    /// What reads the breaker of this name and takes it in hand.
    pub fn get(&self, name: &str) -> Option<BreakerHandle> {
        self.find(name).map(|breaker| breaker.handle())
    }

    /// Every breaker, by name.
    pub fn handles(&self) -> Vec<BreakerHandle> {
        let breakers = (self.0.breakers.read()).unwrap_or_else(PoisonError::into_inner);
        breakers.values().map(Breaker::handle).collect()
    }

    /// Every breaker at this moment, by name.
    pub fn snapshots(&self) -> Vec<Snapshot> {
        self.handles().iter().map(BreakerHandle::snapshot).collect()
    }

    /// Takes the breaker of this name out of the registry. Whoever uses it goes on with it, and hears of
    /// its changes from it alone; the next to ask for the name gets a new one.
    pub fn remove(&self, name: &str) -> Option<Breaker> {
        let mut breakers = (self.0.breakers.write()).unwrap_or_else(PoisonError::into_inner);
        let removed = breakers.remove(name)?;
        removed.leave_common();
        Some(removed)
    }

    /// Rejects everything, on every breaker there is, until [`Registry::release`]; how many did not
    /// already. Like all that is done to every breaker, it is not done to those that are made later or
    /// meanwhile.
    pub fn force_open(&self) -> usize {
        self.each(BreakerHandle::force_open)
    }

    /// Admits everything, on every breaker, until [`Registry::release`]; how many did not already.
    pub fn force_closed(&self) -> usize {
        self.each(BreakerHandle::force_closed)
    }

    /// Lets every breaker judge and report but reject nothing until [`Registry::release`]; how many did
    /// not already.
    pub fn observe(&self) -> usize {
        self.each(BreakerHandle::observe)
    }

    /// Ends a forced state, or any other: every breaker starts afresh, closed; how many were not closed.
    pub fn release(&self) -> usize {
        self.each(BreakerHandle::release)
    }

    /// What the process after this one should not forget of every breaker, by name.
    #[expect(
        clippy::disallowed_types,
        reason = "two processes share no other clock; it is passed in"
    )]
    pub fn save(&self, wall_now: SystemTime) -> Vec<SavedBreaker> {
        let handles = self.handles().into_iter();
        handles.map(|handle| handle.save(wall_now)).collect()
    }

    /// Takes over what a process before this one saved, each by [`BreakerHandle::restore`]; how many that
    /// made another state of. Names without a breaker are passed over, so make the breakers first: what
    /// is written in a file makes none.
    #[expect(
        clippy::disallowed_types,
        reason = "two processes share no other clock; it is passed in"
    )]
    pub fn restore<'a>(
        &self,
        saved: impl IntoIterator<Item = &'a SavedBreaker>,
        wall_now: SystemTime,
    ) -> usize {
        let saved = saved.into_iter();
        let restored = saved.filter(|saved| {
            let handle = self.get(&saved.name);
            handle.is_some_and(|handle| handle.restore(saved, wall_now))
        });
        restored.count()
    }

    /// Does it to every breaker there is now, under no lock; to how many it did something.
    fn each(&self, f: impl Fn(&BreakerHandle) -> bool) -> usize {
        self.handles().iter().filter(|handle| f(handle)).count()
    }

    /// Every change of state of any of them from now on. What changes one breaker is in order.
    pub fn subscribe(&self) -> Subscription<Event> {
        self.0.events.subscribe()
    }

    fn find(&self, name: &str) -> Option<Breaker> {
        let breakers = (self.0.breakers.read()).unwrap_or_else(PoisonError::into_inner);
        breakers.get(name).cloned()
    }
}

impl Default for Registry {
    fn default() -> Self {
        Self::new()
    }
}

impl Collect for Registry {
    fn collect(&self, into: &mut Vec<Family>) {
        let breakers: Vec<_> = self.snapshots().into_iter().map(by_name).collect();
        into.extend(families(&breakers, None));
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry")
            .field("breakers", &self.handles())
            .field("cap", &self.0.cap)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Rule, State};
    use buttress_core::events::Received;
    use buttress_core::outcome::{FailureKind, Outcome};

    const BAD: Outcome = Outcome::Failure(FailureKind::Answer);

    fn row(of: u32) -> Config {
        Config::default().rules([Rule::ConsecutiveFailures(of)])
    }

    #[test]
    fn a_name_has_one_breaker_and_its_configuration_is_asked_for_once() {
        let registry = Registry::new();
        let first = registry.get_or_create("a", Config::default).unwrap();
        let same = registry.get_or_create("a", || unreachable!()).unwrap();
        first.handle().force_open();
        assert_eq!(same.state(), State::ForcedOpen);
        registry.get_or_create("B", Config::default).unwrap();
        let names: Vec<_> = registry.snapshots().into_iter().map(|it| it.name).collect();
        assert_eq!(names, ["B".into(), "a".into()] as [Arc<str>; 2]);
        assert!(registry.get("c").is_none());
        assert!(registry.remove("a").is_some() && registry.get("a").is_none());
    }

    #[test]
    fn a_registry_that_is_full_says_so_and_keeps_what_it_has() {
        let registry = Registry::with_cap(1).unwrap();
        registry.get_or_create("a", Config::default).unwrap();
        let refused = registry.get_or_create("b", Config::default).unwrap_err();
        assert_eq!(refused.field(), "registry.cap");
        assert!(registry.get_or_create("a", Config::default).is_ok());
        let refused = Registry::with_cap(0).unwrap_err();
        assert_eq!(refused.field(), "registry.cap");
        let refused = Registry::new().get_or_create("x", || row(0)).unwrap_err();
        assert_eq!(refused.field(), "rules.consecutive_failures");
    }

    #[test]
    fn one_subscription_and_one_page_of_metrics_tell_of_all() {
        let registry = Registry::new();
        let mut events = registry.subscribe();
        for name in ["b", "a"] {
            registry
                .get_or_create(name, Config::default)
                .unwrap()
                .handle()
                .force_open();
        }
        let mut name = || match events.try_recv() {
            Some(Received::Event(event)) => event.name.to_string(),
            other => panic!("{other:?}"),
        };
        assert_eq!([name(), name()], ["b", "a"]);
        let mut families = Vec::new();
        registry.collect(&mut families);
        assert_eq!(families[0].points.len(), 2);
    }

    type Hold = fn(&Registry) -> usize;

    #[test]
    fn all_are_taken_in_hand_and_let_go_at_once() {
        let registry = Registry::new();
        let breakers = ["a", "b"].map(|name| registry.get_or_create(name, || row(9)).unwrap());
        breakers[0].handle().force_open();
        assert_eq!(registry.force_open(), 1, "the other one");
        let holds: [(Hold, State); 4] = [
            (Registry::force_closed, State::ForcedClosed),
            (Registry::observe, State::Observing),
            (Registry::force_open, State::ForcedOpen),
            (Registry::release, State::Closed),
        ];
        for (hold, state) in holds {
            assert_eq!(hold(&registry), 2);
            assert_eq!(breakers.each_ref().map(Breaker::state), [state; 2]);
        }
    }

    #[test]
    #[expect(clippy::disallowed_types, reason = "a wall clock that is made up")]
    fn all_are_saved_and_restored_and_a_file_makes_no_breaker() {
        let before = Registry::new();
        for name in ["a", "b", "c"] {
            before.get_or_create(name, || row(1)).unwrap();
        }
        let down = before.get_or_create("b", || unreachable!()).unwrap();
        down.try_acquire().unwrap().record(BAD);
        let saved = before.save(SystemTime::UNIX_EPOCH);
        let after = Registry::new();
        for name in ["a", "b"] {
            after.get_or_create(name, || row(1)).unwrap();
        }
        let twice = saved.iter().chain(&saved);
        assert_eq!(after.restore(twice, SystemTime::UNIX_EPOCH), 1);
        let states = after.snapshots().into_iter().map(|it| it.state);
        assert_eq!(states.collect::<Vec<_>>(), [State::Closed, State::Open]);
    }

    #[test]
    fn a_configuration_that_panics_leaves_the_registry_to_others() {
        let registry = Registry::new();
        let panics = || registry.get_or_create("a", || panic!("in the configuration"));
        assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(panics)).is_err());
        assert!(registry.get_or_create("a", Config::default).is_ok());
    }
}
