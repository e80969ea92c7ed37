//! All routes and series, each bounded.

use std::sync::Arc;

use buttress_core::bounded::Bounded;
use buttress_core::clock::Clock;
use buttress_core::config::ConfigError;

use super::found::Found;
use super::{Ending, InForce, Key, Kind, Live, Method, Route, Scheme, Series};
use crate::config::Config;

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
    pub(crate) max_series: usize,
    /// Whose endpoints are measured, if it is not a server.
    pub(crate) pool: Option<Arc<str>>,
    pub(crate) series: Bounded<Key, Series>,
    pub(crate) in_force: InForce,
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
            clock: config.clock.clone(),
            max_series: config.max_series,
            pool: config.pool.clone(),
            series: Bounded::new(config.max_series, overflow),
            in_force: InForce::new(Live::new(config, now)),
        });
        let beyond = Route::new(OVERFLOW, Arc::clone(&shared), true);
        let registry = Self {
            routes: Bounded::new(shared.max_series, beyond),
            unrouted: Arc::new(Route::new("", Arc::clone(&shared), false)),
            found: Found::new(),
            shared,
        };
        registry.make_room();
        registry
    }

    /// Replaces the configuration, which is known to make sense. Clock, cap and pool stay as they were.
    pub(crate) fn reconfigure(&self, mut config: Config) -> Result<(), ConfigError> {
        config.clock = self.shared.clock.clone();
        config.max_series = self.shared.max_series;
        config.pool.clone_from(&self.shared.pool);
        config.validate()?;
        self.has_room_for(&config)?;
        let now = self.shared.clock.now();
        let in_force = &self.shared.in_force;
        in_force.change(
            |live| live.followed_by(config, now),
            |live| {
                for route in self.all_routes() {
                    route.fit(live, now);
                }
                for series in self.all_series() {
                    series.fit(&live.config.windows, now);
                }
            },
        );
        self.make_room();
        Ok(())
    }

    /// Before anybody can use up the room by inventing names: no objective goes blind.
    fn make_room(&self) {
        let live = self.shared.in_force.get();
        for route in live.config.objectives.keys() {
            self.look_up(route);
        }
    }

    /// Refuses objectives for which that is too late.
    fn has_room_for(&self, config: &Config) -> Result<(), ConfigError> {
        let routes = config.objectives.keys();
        let new = routes
            .filter(|route| self.routes.get(&***route).is_none())
            .count();
        if new > 0 && self.routes.len() + new > self.shared.max_series {
            let problem = format!("there is no room for {new} more routes; drop some objectives");
            return Err(ConfigError::new("objective", problem));
        }
        Ok(())
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
        let mut made = false;
        let route = self.routes.get_or_insert_with(name, |name: &str| {
            made = true;
            Route::new(name, Arc::clone(&self.shared), false)
        });
        if made {
            let now = self.shared.clock.now();
            self.shared.in_force.in_line(|live| route.fit(live, now));
        }
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
