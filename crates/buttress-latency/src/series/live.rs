//! The configuration in force, which readers on the path of requests take without a lock.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::{ArcSwap, Guard};
use buttress_core::clock::Instant;

use super::Switches;
use crate::config::Config;
use crate::objective::{Goals, Tracked, track};

/// A configuration, and what counts for it.
#[derive(Debug)]
pub(crate) struct Live {
    pub(crate) config: Config,
    pub(crate) objectives: Tracked,
}

/// The one in force.
#[derive(Debug)]
pub(crate) struct InForce {
    live: ArcSwap<Live>,
    /// Held by who changes it, and by whoever brings into line what is new.
    changing: Mutex<()>,
}

impl Live {
    pub(super) fn new(config: Config, now: Instant) -> Self {
        Self {
            objectives: track(&config.objectives, &Tracked::new(), now),
            config,
        }
    }

    /// `config` from `now` on; what it asks as this one does is counted on.
    pub(super) fn followed_by(&self, config: Config, now: Instant) -> Self {
        Self {
            objectives: track(&config.objectives, &self.objectives, now),
            config,
        }
    }

    /// What is measured on the route called `name`.
    pub(super) fn switches_of(&self, name: &str) -> Switches {
        let streaming = self.config.streaming.contains(name);
        let objectives = self.objectives.contains_key(name);
        self.switches()
            .set(Switches::STREAMING, streaming)
            .set(Switches::OBJECTIVES, objectives)
    }

    /// What is measured on any route.
    fn switches(&self) -> Switches {
        let observed = self.config.observer.is_some();
        self.config.switches.set(Switches::OBSERVED, observed)
    }

    pub(super) fn objectives_of(&self, name: &str) -> Option<Arc<Goals>> {
        self.objectives.get(name).cloned()
    }
}

impl InForce {
    pub(super) fn new(live: Live) -> Self {
        Self {
            live: ArcSwap::from_pointee(live),
            changing: Mutex::new(()),
        }
    }

    #[inline]
    pub(crate) fn get(&self) -> Guard<Arc<Live>> {
        self.live.load()
    }

    /// Brings something into line that was made by a configuration and is known to others by now: it
    /// may have been made by the last one while that was replaced.
    pub(crate) fn in_line(&self, bring: impl FnOnce(&Live)) {
        let _changing = self.changing();
        bring(&self.live.load());
    }

    /// Replaces it by what `next` makes of it, and brings into line all that is known.
    pub(super) fn change(&self, next: impl FnOnce(&Live) -> Live, bring: impl FnOnce(&Live)) {
        let changing = self.changing();
        let next = Arc::new(next(&self.live.load()));
        let last = self.live.swap(Arc::clone(&next));
        bring(&next);
        drop(changing);
        // With it goes an observer, which is somebody else's code.
        drop(last);
    }

    fn changing(&self) -> MutexGuard<'_, ()> {
        self.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
