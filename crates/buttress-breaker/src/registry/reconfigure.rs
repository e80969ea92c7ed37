//! A new configuration for all breakers of a registry.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use buttress_core::config::ConfigError;

use super::Registry;
use crate::breaker::Breaker;
use crate::config::Config;
use crate::handle::BreakerHandle;

/// What breakers are to be like, while that is carried out: by several at once, it may be, and no lock is held
/// meanwhile, for a breaker that is reconfigured may tell subscribers.
#[derive(Default)]
pub(super) struct Plans(Mutex<Wanted>);

#[derive(Default)]
struct Wanted {
    /// By where the breaker lies. Whoever looks one up holds that breaker, and has said what is wanted of it.
    configs: BTreeMap<usize, Arc<Config>>,
    at_it: usize,
}

/// Somebody who is at it. What is wanted is forgotten when nobody is.
struct CarryingOut<'a>(&'a Plans);

impl Plans {
    /// From now on this is wanted.
    fn begin(&self, planned: &[(BreakerHandle, Config)]) -> CarryingOut<'_> {
        let new = planned.iter().map(|(handle, config)| {
            let place = handle.breaker().place().addr();
            (place, Arc::new(config.clone()))
        });
        let new: Vec<_> = new.collect();
        let mut wanted = self.wanted();
        wanted.at_it += 1;
        let replaced: Vec<_> = (new.into_iter())
            .filter_map(|(place, config)| wanted.configs.insert(place, config))
            .collect();
        drop(wanted);
        // Rules of the user's go under no lock.
        drop(replaced);
        CarryingOut(self)
    }

    fn of(&self, breaker: &Breaker) -> Option<Arc<Config>> {
        let wanted = self.wanted();
        wanted.configs.get(&breaker.place().addr()).map(Arc::clone)
    }

    fn wanted(&self) -> MutexGuard<'_, Wanted> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl CarryingOut<'_> {
    /// Makes `breaker` what is wanted of it. Where somebody wants something else meanwhile they may have been here
    /// before: what is wanted last holds.
    fn follow(&self, breaker: &Breaker) {
        while let Some(config) = self.0.of(breaker) {
            breaker.shared().reconfigure(Config::clone(&config));
            if (self.0.of(breaker)).is_none_or(|last| Arc::ptr_eq(&last, &config)) {
                return;
            }
        }
    }
}

impl Drop for CarryingOut<'_> {
    fn drop(&mut self) {
        let mut wanted = self.0.wanted();
        wanted.at_it -= 1;
        let over = if wanted.at_it == 0 {
            std::mem::take(&mut wanted.configs)
        } else {
            BTreeMap::new()
        };
        drop(wanted);
        drop(over);
    }
}

impl Registry {
    /// Replaces the configuration of every breaker for which `config` gives one, all of them or, if one
    /// makes no sense, none; how many. What each of them knows stays, as by
    /// [`BreakerHandle::reconfigure`].
    ///
    /// "Every" are all that are registered at the moment when `config` has been asked for each: what comes
    /// while it is being asked is asked for as well. One that comes after that moment, or whose maker
    /// asked for its configuration before and comes after, has the configuration that it was made of. From
    /// then on one after the other is replaced, each at once. Where two of these cross, a breaker that both are
    /// about has in the end what the one says that came to that moment last: all of them agree.
    pub fn reconfigure(
        &self,
        config: impl Fn(&str) -> Option<Config>,
    ) -> Result<usize, ConfigError> {
        let planned = self.planned(config);
        for (handle, config) in &planned {
            config.validate().map_err(|error| {
                let problem = format!("of breaker {:?}: {}", handle.name(), error.problem());
                ConfigError::new(error.field().to_owned(), problem)
            })?;
        }
        let carrying_out = self.0.plans.begin(&planned);
        for (handle, _) in &planned {
            carrying_out.follow(handle.breaker());
        }
        Ok(planned.len())
    }

    /// What `config` says of all breakers there are once it has said it.
    fn planned(&self, config: impl Fn(&str) -> Option<Config>) -> Vec<(BreakerHandle, Config)> {
        // Kept, so that no other breaker comes to lie in its place.
        let mut asked = BTreeMap::new();
        let mut planned = Vec::new();
        // Names come from the program. One that comes with every answer is not waited for for ever.
        for _ in 0..self.0.cap {
            let is_new = |handle: &BreakerHandle| !asked.contains_key(&handle.breaker().place());
            let new: Vec<_> = self.handles().into_iter().filter(is_new).collect();
            if new.is_empty() {
                break;
            }
            let places = new.iter().map(|handle| handle.breaker().place());
            asked.extend(places.zip(new.iter().cloned()));
            let given = new.into_iter();
            planned.extend(given.filter_map(|handle| {
                let config = config(handle.name())?;
                Some((handle, config))
            }));
        }
        planned
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Rule, State};
    use buttress_core::outcome::{FailureKind, Outcome};
    use std::task::{Context, Wake, Waker};

    const BAD: Outcome = Outcome::Failure(FailureKind::Answer);

    fn row(of: u32) -> Config {
        Config::default().rules([Rule::ConsecutiveFailures(of)])
    }

    #[test]
    fn all_are_reconfigured_or_none() {
        let registry = Registry::new();
        let breakers = ["a", "b"].map(|name| registry.get_or_create(name, || row(9)).unwrap());
        let refused = registry.reconfigure(|name| Some(row(u32::from(name == "a"))));
        assert!(refused.unwrap_err().to_string().contains("\"b\""));
        for breaker in &breakers {
            breaker.try_acquire().unwrap().record(BAD);
            assert_eq!(breaker.state(), State::Closed, "the old rules hold");
        }
        assert_eq!(
            registry.reconfigure(|name| (name == "a").then(|| row(1))),
            Ok(1)
        );
        assert_eq!(breakers.map(|it| it.state()), [State::Open, State::Closed]);
    }

    #[test]
    fn a_breaker_that_comes_while_all_are_reconfigured_is_one_of_them() {
        let registry = Registry::new();
        registry.get_or_create("a", || row(9)).unwrap();
        let meanwhile = |name: &str| {
            let next = format!("{name}a");
            let comes = next.len() < 4;
            comes.then(|| registry.get_or_create(next.as_str(), || row(9)));
            Some(row(1))
        };
        assert_eq!(registry.reconfigure(meanwhile), Ok(3));
        for name in ["a", "aa", "aaa"] {
            let breaker = registry.get_or_create(name, || unreachable!()).unwrap();
            breaker.try_acquire().unwrap().record(BAD);
            assert_eq!(breaker.state(), State::Open, "{name}");
        }
        let later = registry.get_or_create("later", || row(9)).unwrap();
        later.try_acquire().unwrap().record(BAD);
        assert_eq!(later.state(), State::Closed, "its maker's own");
    }

    #[test]
    fn breakers_that_come_with_every_answer_do_not_keep_it_for_ever() {
        let registry = Registry::with_cap(10).unwrap();
        registry.get_or_create("0", || row(9)).unwrap();
        let replaced = |name: &str| {
            let next = name.parse::<u64>().unwrap() + 1;
            registry.remove(name);
            registry.get_or_create(next.to_string(), || row(9)).unwrap();
            Some(row(1))
        };
        assert_eq!(registry.reconfigure(replaced), Ok(10));
    }

    /// Reconfigures all, as soon as it is woken.
    struct Meddles(Registry);

    impl Wake for Meddles {
        fn wake(self: Arc<Self>) {
            assert_eq!(self.0.reconfigure(|_| Some(row(5))), Ok(3));
        }
    }

    #[test]
    fn of_two_new_configurations_for_all_that_cross_one_holds_for_all() {
        let registry = Registry::new();
        let breakers = ["a", "b", "c"];
        let breakers = breakers.map(|name| registry.get_or_create(name, || row(9)).unwrap());
        let [_, b, _] = &breakers;
        b.try_acquire().unwrap().record(BAD);
        let mut events = registry.subscribe();
        let waker = Waker::from(Arc::new(Meddles(registry.clone())));
        let mut next = std::pin::pin!(events.recv());
        let waits = next.as_mut().poll(&mut Context::from_waker(&waker));
        assert!(waits.is_pending());
        // The first has its new configuration, the second opens by its own, and the third has its old one.
        assert_eq!(registry.reconfigure(|_| Some(row(1))), Ok(3));
        let states = || breakers.each_ref().map(Breaker::state);
        assert_eq!(states(), [State::Closed, State::Open, State::Closed]);
        b.handle().release();
        for (failures, state) in [(4, State::Closed), (1, State::Open)] {
            for breaker in &breakers {
                (0..failures).for_each(|_| breaker.try_acquire().unwrap().record(BAD));
            }
            assert_eq!(states(), [state; 3]);
        }
        let nothing_is_kept = registry.0.plans.wanted().configs.is_empty();
        assert!(nothing_is_kept);
    }
}
