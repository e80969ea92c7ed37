//! All routes and series, each bounded.

use std::collections::BTreeSet;
use std::sync::Arc;

use buttress_core::bounded::Bounded;
use buttress_core::clock::Clock;

use super::found::Found;
use super::{Ending, Key, Kind, Method, Route, Scheme, Series, Switches};
use crate::config::{Config, Observer};
use crate::objective::{Tracked, track};
use crate::window::Windows;

/// The route of all that came when there was no more room.
const OVERFLOW: &str = "_OVERFLOW";

/// What a handle holds.
#[derive(Debug)]
pub(crate) struct Registry {
    pub(crate) shared: Arc<Shared>,
    pub(crate) routes: Bounded<Box<str>, Route>,
    unrouted: Arc<Route>,
    found: Found,
}

/// What routes hold of it.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) clock: Clock,
    pub(crate) windows: Windows,
    pub(crate) max_series: usize,
    pub(crate) switches: Switches,
    pub(crate) streaming: BTreeSet<Box<str>>,
    pub(crate) scheme: Scheme,
    /// Whose endpoints are measured, if it is not a server.
    pub(crate) pool: Option<Arc<str>>,
    pub(crate) observer: Option<Observer>,
    pub(crate) series: Bounded<Key, Series>,
    pub(crate) objectives: Tracked,
}

impl Shared {
    /// What is measured on the route called `name`.
    pub(super) fn switches_of(&self, name: &str) -> Switches {
        let streaming = self.streaming.contains(name);
        self.switches.set(Switches::STREAMING, streaming)
    }
}

impl Registry {
    pub(crate) fn new(config: Config) -> Self {
        let overflow = Key {
            route: OVERFLOW.into(),
            kind: Kind::Http(Method::Other, Scheme::Other),
            ending: Ending::UNKNOWN,
        };
        let now = config.clock.now();
        let overflow = Series::new(overflow, &config.windows, now);
        let shared = Arc::new(Shared {
            clock: config.clock,
            windows: config.windows,
            max_series: config.max_series,
            switches: config.switches,
            streaming: config.streaming,
            scheme: config.scheme,
            pool: config.pool,
            observer: config.observer,
            series: Bounded::new(config.max_series, overflow),
            objectives: track(&config.objectives, now),
        });
        let beyond = Route::new(OVERFLOW, Arc::clone(&shared), true);
        let registry = Self {
            routes: Bounded::new(config.max_series, beyond),
            unrouted: Arc::new(Route::new("", Arc::clone(&shared), false)),
            found: Found::new(),
            shared,
        };
        // Before anybody can use up the room by inventing names: no objective goes blind.
        for route in config.objectives.keys() {
            registry.look_up(route);
        }
        registry
    }

    /// The route called `name`, or the one that all routes beyond the cap share.
    #[inline]
    pub(crate) fn route(&self, name: &str) -> Arc<Route> {
        match self.known(name) {
            Some(route) => Arc::clone(route),
            None => self.look_up(name),
        }
    }

    /// The route called `name`, if it has been asked for before and there was room for it.
    #[inline]
    pub(crate) fn known(&self, name: &str) -> Option<&Arc<Route>> {
        self.found.get(name)
    }

    #[cold]
    fn look_up(&self, name: &str) -> Arc<Route> {
        if name.is_empty() {
            return Arc::clone(&self.unrouted);
        }
        if name == OVERFLOW {
            return Arc::clone(self.routes.overflow());
        }
        let make = |name: &str| Route::new(name, Arc::clone(&self.shared), false);
        let route = self.routes.get_or_insert_with(name, make);
        // The overflow route is not remembered, so that all that shares it is counted.
        if !Arc::ptr_eq(&route, self.routes.overflow()) {
            self.found.remember(&route);
        }
        route
    }

    /// The route of exchanges that have none.
    pub(crate) const fn unrouted(&self) -> &Arc<Route> {
        &self.unrouted
    }

    /// Every route there is, the overflow among them.
    pub(crate) fn all_routes(&self) -> Vec<Arc<Route>> {
        let mut routes: Vec<_> = self
            .routes
            .entries()
            .into_iter()
            .map(|(_, route)| route)
            .collect();
        routes.sort_unstable_by(|a, b| a.name().cmp(b.name()));
        routes.insert(0, Arc::clone(&self.unrouted));
        routes.push(Arc::clone(self.routes.overflow()));
        routes
    }

    /// Every series that holds anything, the overflow among them.
    pub(crate) fn all_series(&self) -> Vec<Arc<Series>> {
        let series = &self.shared.series;
        let mut all: Vec<_> = series
            .entries()
            .into_iter()
            .map(|(_, series)| series)
            .collect();
        all.push(Arc::clone(series.overflow()));
        all
    }

    /// How many exchanges had no series of their own.
    pub(crate) fn overflowed(&self) -> u64 {
        self.routes
            .overflowed()
            .saturating_add(self.shared.series.overflowed())
    }
}
