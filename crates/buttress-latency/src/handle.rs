//! What readers hold.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use buttress_core::clock::Instant;
use buttress_core::config::ConfigError;
use buttress_core::outcome::Outcome;
use buttress_core::trace_context::TraceContext;

use crate::config::Config;
use crate::objective::ObjectiveSnapshot;
use crate::recorder::Sampled;
use crate::series::{Counted, Ending, Kind, Party, Registry, Route, Series};
use crate::snapshot::Snapshot;
use crate::trend::{FOLLOWED, RouteTrend, Slices};
use crate::view::{Distribution, LatencySnapshot, RouteSnapshot, SeriesSnapshot, merge_windows};

/// All that has been recorded, for readers; and what layers record through. Cheap to clone.
///
/// Reading takes no lock that a record waits for.
#[derive(Clone, Debug)]
pub struct LatencyHandle(Arc<Registry>);

impl LatencyHandle {
    /// A handle that has recorded nothing.
    pub fn new(config: Config) -> Result<Self, ConfigError> {
        config.validate()?;
        Ok(Self(Arc::new(Registry::new(config))))
    }

    /// Replaces the configuration, without losing anything that was recorded. Clock, cap and pool stay
    /// as they were.
    ///
    /// A window that is cut into the same slices as before keeps what it holds; any other begins, and so
    /// does an objective that does not ask just the same. What is switched off is counted no further
    /// and still shown. An exchange under way ends as the configuration says that is in force when it
    /// does.
    ///
    /// Refuses what makes no sense, and objectives of routes for which there is no room left, and then
    /// changes nothing.
    pub fn reconfigure(&self, config: Config) -> Result<(), ConfigError> {
        self.0.reconfigure(config)
    }

    /// The configuration in force.
    pub fn config(&self) -> Config {
        self.0.shared.in_force.get().config.clone()
    }

    /// Every route and series with its windows, as of now.
    pub fn snapshot(&self) -> LatencySnapshot {
        let now = self.0.shared.clock.now();
        let series = self.read_each(|series| SeriesSnapshot::with_slope(series, now));
        let slices = self.slices();
        let mut routes = self.routes(&series);
        add_trends(&mut routes, slices.trends(FOLLOWED));
        LatencySnapshot {
            routes,
            series,
            objectives: self.read_objectives(&slices),
            overflowed: self.0.overflowed(),
        }
    }

    /// Counts a call of `route` that was timed by hand: it ended `now` in `outcome` and had taken
    /// `duration`. It is one of the [plain](crate::LatencyLayer::plain) calls of that name, and not
    /// shown to an observer.
    ///
    /// ```
    /// use buttress_core::clock::Clock;
    /// use buttress_core::outcome::Outcome;
    /// use buttress_latency::LatencyHandle;
    ///
    /// let (handle, clock) = (LatencyHandle::default(), Clock::default());
    /// let start = clock.now();
    /// // … a query, a job, anything …
    /// let now = clock.now();
    /// handle.record("nightly-report", Outcome::Success, now, now.saturating_since(start));
    /// assert_eq!(handle.snapshot().route("nightly-report").unwrap().total.count(), 1);
    /// ```
    ///
    /// # Cost
    ///
    /// A record, and finding the route by a hash of its name, without a lock for the first few
    /// hundred routes; about fifteen nanoseconds.
    #[inline]
    pub fn record(&self, route: &str, outcome: Outcome, now: Instant, duration: Duration) {
        self.record_in(route, outcome, now, duration, None);
    }

    /// Counts a call as [`LatencyHandle::record`] does, that was made in `trace`: if that is sampled, the
    /// call may become an [exemplar](crate::SeriesSnapshot::exemplars).
    #[inline]
    pub fn record_traced(
        &self,
        route: &str,
        outcome: Outcome,
        now: Instant,
        duration: Duration,
        trace: &TraceContext,
    ) {
        self.record_in(route, outcome, now, duration, Sampled::of(trace));
    }

    #[inline]
    fn record_in(
        &self,
        route: &str,
        outcome: Outcome,
        now: Instant,
        duration: Duration,
        trace: Option<Sampled>,
    ) {
        let ending = Ending::of(Party::Caller, outcome, None, None);
        let record = |route: &Route| {
            let group = route.group(Kind::Plain);
            group.record(ending, now, duration, trace);
        };
        match self.0.known(route) {
            Some(route) => record(route),
            None => record(&self.0.route(route)),
        }
    }

    /// How the quantile `q` of each route has moved over the slices of the longest window: is it
    /// getting worse?
    ///
    /// Worked out when asked for, at some tens of microseconds for each series.
    pub fn trends(&self, q: f64) -> Vec<RouteTrend> {
        self.slices().trends(q)
    }

    /// How many exchanges are under way.
    pub fn in_flight(&self) -> u64 {
        self.0
            .all_routes()
            .iter()
            .map(|route| in_flight(route))
            .sum()
    }

    pub(crate) fn registry(&self) -> &Registry {
        &self.0
    }

    /// Every series that holds anything, sorted by its labels.
    pub(crate) fn read_series(&self) -> Vec<SeriesSnapshot> {
        let now = self.0.shared.clock.now();
        self.read_each(|series| SeriesSnapshot::of(series, now))
    }

    fn read_each(&self, read: impl Fn(&Series) -> SeriesSnapshot) -> Vec<SeriesSnapshot> {
        let series = self.0.all_series();
        let mut read: Vec<_> = series.iter().map(|series| read(series)).collect();
        read.retain(|series| !series.is_empty());
        read.sort_by(|a, b| labels(a).cmp(&labels(b)));
        read
    }

    /// Every goal, sorted by its route, with where its route is heading by `slices`.
    pub(crate) fn read_objectives(&self, slices: &Slices) -> Vec<ObjectiveSnapshot> {
        let now = self.0.shared.clock.now();
        let live = self.0.shared.in_force.get();
        let routes = live.objectives.iter();
        routes
            .flat_map(|(route, goals)| goals.iter().map(|goal| goal.read(route, now)))
            .map(|goal| goal.heading(slices))
            .collect()
    }

    /// What was recorded in each slice of the longest window.
    pub(crate) fn slices(&self) -> Slices {
        Slices::of(&self.0.all_series(), self.0.shared.clock.now())
    }

    fn routes(&self, series: &[SeriesSnapshot]) -> Vec<RouteSnapshot> {
        let now = self.0.shared.clock.now();
        let mut routes: BTreeMap<Arc<str>, RouteSnapshot> = BTreeMap::new();
        for route in self.0.all_routes() {
            if route.groups().next().is_some() {
                let name = Arc::clone(route.name());
                let shown = routes.entry(name).or_insert_with_key(empty);
                shown.in_flight += in_flight(&route);
                shown.waiting.merge(&route.waiting(false).read(now));
                shown.waiting.merge(&route.waiting(true).read(now));
            }
        }
        for series in series {
            let name = Arc::clone(&series.route);
            let route = routes.entry(name).or_insert_with_key(empty);
            route.total += &series.total;
            merge_windows(&mut route.windows, &series.windows);
            route.head.merge(&series.head);
            route.streams.merge(&series.streams);
        }
        routes.into_values().collect()
    }
}

impl Default for LatencyHandle {
    fn default() -> Self {
        Self(Arc::new(Registry::new(Config::default())))
    }
}

fn empty(route: &Arc<str>) -> RouteSnapshot {
    RouteSnapshot {
        route: Arc::clone(route),
        in_flight: 0,
        total: Snapshot::default(),
        windows: Vec::new(),
        waiting: Distribution::default(),
        head: Distribution::default(),
        streams: Distribution::default(),
        trend: None,
    }
}

/// Gives each of `routes` its trend. Both are sorted by name.
fn add_trends(routes: &mut [RouteSnapshot], trends: Vec<RouteTrend>) {
    for RouteTrend { route, trend } in trends {
        if let Ok(at) = routes.binary_search_by(|one| one.route.cmp(&route))
            && let Some(found) = routes.get_mut(at)
        {
            found.trend = Some(trend);
        }
    }
}

fn in_flight(route: &Route) -> u64 {
    route.groups().map(Counted::in_flight).sum()
}

fn labels(series: &SeriesSnapshot) -> impl Ord + '_ {
    let outcome = (series.outcome, series.error_type.as_deref());
    (
        &*series.route,
        series.method,
        series.scheme,
        series.status.map(|s| s.as_u16()),
        outcome,
    )
}
