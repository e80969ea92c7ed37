//! One route: its groups by kind of exchange.

use std::sync::{Arc, OnceLock};

use super::{Counted, Group, Kind, Live, LiveSwitches, Rare, Shared, Switches};
use crate::objective::Goals;
use arc_swap::ArcSwapOption;
use buttress_core::clock::Instant;

/// A route template, or a name for a plain service.
#[derive(Debug)]
pub(crate) struct Route {
    home: Arc<Home>,
    groups: [OnceLock<Counted>; Kind::COUNT],
}

/// What the groups of a route have in common.
#[derive(Debug)]
pub(super) struct Home {
    pub(super) name: Arc<str>,
    pub(super) shared: Arc<Shared>,
    /// Looked at only where the switches say so.
    pub(super) objectives: ArcSwapOption<Goals>,
    pub(super) switches: LiveSwitches,
    /// What callers waited for the service to be ready, of those that did: for HTTP, and for others.
    pub(super) waiting: [Rare; 2],
    /// This stands for all routes beyond the cap.
    pub(super) overflow: bool,
}

impl Route {
    pub(super) fn new(name: &str, shared: Arc<Shared>, overflow: bool) -> Self {
        let live = shared.in_force.get();
        let objectives = ArcSwapOption::new(live.objectives_of(name));
        let switches = LiveSwitches::new(live.switches_of(name));
        drop(live);
        let name = name.into();
        Self {
            home: Arc::new(Home {
                name,
                shared,
                objectives,
                switches,
                waiting: Default::default(),
                overflow,
            }),
            groups: [const { OnceLock::new() }; Kind::COUNT],
        }
    }

    pub(crate) fn name(&self) -> &Arc<str> {
        &self.home.name
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.home.shared
    }

    #[inline]
    pub(crate) fn switches(&self) -> Switches {
        self.home.switches.get()
    }

    /// From `now` on as `live` says.
    pub(super) fn fit(&self, live: &Live, now: Instant) {
        let home = &self.home;
        home.objectives.store(live.objectives_of(&home.name));
        home.switches.set(live.switches_of(&home.name));
        for waiting in &home.waiting {
            waiting.fit(&live.config.windows, now);
        }
    }

    /// What callers waited for plain services of this name, or for HTTP services of this route.
    pub(crate) fn waiting(&self, plain: bool) -> &Rare {
        self.home.waiting(plain)
    }

    /// The group of `kind`.
    #[inline]
    #[expect(clippy::indexing_slicing, reason = "there is a place for every kind")]
    pub(crate) fn group(&self, kind: Kind) -> &Counted {
        self.groups[kind.index()].get_or_init(|| Counted::new(Group::new(&self.home, kind)))
    }

    /// The groups that have been used.
    pub(crate) fn groups(&self) -> impl Iterator<Item = &Counted> {
        self.groups.iter().filter_map(OnceLock::get)
    }
}

impl Home {
    pub(super) const fn waiting(&self, plain: bool) -> &Rare {
        let [http, calls] = &self.waiting;
        if plain { calls } else { http }
    }
}
