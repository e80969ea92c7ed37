//! How a recorder of exchanges is set up.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use buttress_core::clock::Clock;
use buttress_core::config::{ConfigError, require};
use buttress_core::outcome::Outcome;
use http::StatusCode;

use crate::objective::Objective;
use crate::series::Switches;
use crate::window::Windows;

/// How many series there are at most by default.
const MAX_SERIES: usize = 2_000;

/// The configuration of a [`crate::LatencyHandle`].
///
/// ```
/// use std::time::Duration;
/// use buttress_latency::{Config, LatencyHandle, Windows};
///
/// let windows = Windows::new([30, 600].map(Duration::from_secs))?;
/// let handle = LatencyHandle::new(Config::new().windows(windows).max_series(500))?;
/// # Ok::<(), buttress_core::config::ConfigError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Config {
    pub(crate) windows: Windows,
    pub(crate) max_series: usize,
    pub(crate) switches: Switches,
    pub(crate) streaming: BTreeSet<Box<str>>,
    pub(crate) pool: Option<Arc<str>>,
    pub(crate) clock: Clock,
    pub(crate) observer: Option<Observer>,
    pub(crate) objectives: BTreeMap<Box<str>, Objective>,
}

/// One recorded exchange, as an observer sees it.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Exchange<'a> {
    /// The route template, or the name of a plain service; `None` where none was given.
    pub route: Option<&'a str>,
    /// The method as recorded (unknown ones are `_OTHER`); `None` of a plain call.
    pub method: Option<&'static str>,
    /// The status, if the head of a response came.
    pub status: Option<StatusCode>,
    /// How it ended.
    pub outcome: Outcome,
    /// The `error_type` label, if there is one.
    pub error_type: Option<&'a str>,
    /// How long it took, as recorded.
    pub duration: Duration,
}

/// What is called after each recorded exchange.
#[derive(Clone)]
pub(crate) struct Observer(Arc<dyn Fn(&Exchange<'_>) + Send + Sync>);

impl Config {
    /// Windows of 10 s, 1 min and 5 min, at most 2,000 series, all three times, no routes of streams,
    /// the monotonic clock, no observer.
    pub fn new() -> Self {
        Self {
            windows: Windows::default(),
            max_series: MAX_SERIES,
            switches: Switches::TIMES,
            streaming: BTreeSet::new(),
            pool: None,
            clock: Clock::default(),
            observer: None,
            objectives: BTreeMap::new(),
        }
    }

    /// The rolling windows.
    #[must_use]
    pub fn windows(mut self, windows: Windows) -> Self {
        self.windows = windows;
        self
    }

    /// The most series and the most routes there may be. What comes when there is no more room
    /// shares one series, and is counted by `buttress_series_overflow_total`.
    #[must_use]
    pub const fn max_series(mut self, max_series: usize) -> Self {
        self.max_series = max_series;
        self
    }

    /// Whether it is recorded how long callers wait for the service to be ready before they can call
    /// it, and services inside for theirs. Costs next to nothing where nobody waits.
    #[must_use]
    pub const fn waiting(mut self, on: bool) -> Self {
        self.switches = self.switches.set(Switches::WAITING, on);
        self
    }

    /// Whether the time to the head of the response is recorded. It takes a reading of the clock and a
    /// record more, and another recorder for each series.
    #[must_use]
    pub const fn head(mut self, on: bool) -> Self {
        self.switches = self.switches.set(Switches::HEAD, on);
        self
    }

    /// Whether the time to the end of the response's body is recorded. Without it there are no
    /// percentiles of it; objectives are kept and an observer is shown all the same.
    #[must_use]
    pub const fn end(mut self, on: bool) -> Self {
        self.switches = self.switches.set(Switches::END, on);
        self
    }

    /// Whether the sizes of the bodies of responses are recorded, as far as they passed. Off by default;
    /// it takes a record more, and another recorder for each series. Those of requests are counted
    /// where [`crate::LatencyLayer::request_body_sizes`] says so.
    #[must_use]
    pub const fn response_body_sizes(mut self, on: bool) -> Self {
        self.switches = self.switches.set(Switches::RESPONSE_SIZES, on);
        self
    }

    /// What `route` answers with success are long-lived streams, as those of gRPC are: how long they
    /// last is kept apart. `101` and `text/event-stream` are known as such on any route.
    #[must_use]
    pub fn streaming(mut self, route: impl Into<Box<str>>) -> Self {
        self.streaming.insert(route.into());
        self
    }

    /// The requests come over TLS: `url_scheme` is `https` where the request itself does not say.
    #[must_use]
    pub const fn tls(mut self) -> Self {
        self.switches = self.switches.set(Switches::TLS, true);
        self
    }

    /// What is recorded are the requests that this process sends to the endpoints of `pool`, and not
    /// those that it serves: a route is an endpoint, an answer of 4xx is an error, and to leave is none.
    /// The families are those of clients, with the labels `pool` and `endpoint`.
    ///
    /// A handle measures one pool; its layers go round the services of that pool's endpoints.
    ///
    /// ```
    /// use buttress_latency::{Config, LatencyHandle, LatencyLayer};
    ///
    /// let handle = LatencyHandle::new(Config::new().client("shop"))?;
    /// let layers = ["10.0.0.1:8080", "10.0.0.2:8080"]
    ///     .map(|endpoint| LatencyLayer::new(handle.clone()).route(endpoint));
    /// # Ok::<(), buttress_core::config::ConfigError>(())
    /// ```
    #[must_use]
    pub fn client(mut self, pool: impl Into<Arc<str>>) -> Self {
        self.pool = Some(pool.into());
        self
    }

    /// The clock.
    #[must_use]
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Calls `observer` after each recorded exchange, on that exchange's own path: when its body
    /// ends, or when it is dropped. It has to be quick. A panic in it is contained.
    #[must_use]
    pub fn observe(mut self, observer: impl Fn(&Exchange<'_>) + Send + Sync + 'static) -> Self {
        self.observer = Some(Observer(Arc::new(observer)));
        self
    }

    /// What `route` is to keep. A route has one objective, the last that was given.
    #[must_use]
    pub fn objective(mut self, route: impl Into<Box<str>>, objective: Objective) -> Self {
        self.objectives.insert(route.into(), objective);
        self
    }

    /// Refuses what makes no sense, naming the field and what would be right.
    pub fn validate(&self) -> Result<(), ConfigError> {
        require(
            self.max_series > 0,
            "max_series",
            || "with 0 series all exchanges would share one; use 1 or more",
        )?;
        let routes = self.objectives.len();
        require(routes <= self.max_series, "max_series", || {
            format!(
                "there is no room for the {routes} routes that have objectives; use as many or more"
            )
        })?;
        self.objectives.values().try_for_each(Objective::validate)
    }
}

impl Default for Config {
    fn default() -> Self {
        Self::new()
    }
}

impl Observer {
    /// Shows `exchange`. A panic ends here: this may run while another one unwinds.
    pub(crate) fn show(&self, exchange: &Exchange<'_>) {
        let call = std::panic::AssertUnwindSafe(|| (self.0)(exchange));
        let _ = std::panic::catch_unwind(call);
    }
}

impl fmt::Debug for Observer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Observer")
    }
}
