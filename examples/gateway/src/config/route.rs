//! `[[route]]`: which requests go where, and the breaker that guards them.

use std::num::NonZeroU32;
use std::time::Duration;

use super::PoolAffinity;

/// `[[route]]`: which requests go to which pool, and the breaker that guards them.
#[derive(Clone, Debug, PartialEq)]
pub struct Route {
    /// Fit to be a label; no other route has it.
    pub name: String,
    /// Lower case, without a port; `None` matches any host.
    pub host: Option<String>,
    /// Begins with `/`; matches at segment boundaries.
    pub path_prefix: String,
    /// Index into [`pools`](super::Config::pools).
    pub pool: usize,
    /// What its clients may change to, if anything.
    pub upgrade: Option<RouteUpgrade>,
    /// The breaker over the whole pool.
    pub breaker: RouteBreaker,
    /// Where copies of some requests go, if anywhere.
    pub mirror: Option<RouteMirror>,
    /// Which share of its requests goes to another pool, if any does.
    pub split: Option<RouteSplit>,
}

/// Protocols that a route's clients may go on in, and how long such a connection may be silent.
#[derive(Clone, Debug, PartialEq)]
pub struct RouteUpgrade {
    /// As `Upgrade` names them, in lower case: at least one.
    pub protocols: Vec<String>,
    /// It ends where nothing passes either way for so long.
    pub idle: Duration,
}

impl RouteUpgrade {
    /// Pings are the application's own affair, and most send none for minutes. What is guarded is a place among the
    /// connections, which who has vanished without a word keeps no longer than this.
    pub(crate) const DEFAULT_IDLE: Duration = Duration::from_secs(3600);
}

/// A canary: a pool that takes a share of a route's requests, more of them by and by, and none if it does worse.
#[derive(Clone, Debug, PartialEq)]
pub struct RouteSplit {
    /// Index into [`pools`](super::Config::pools); not the route's own.
    pub canary: usize,
    /// What ties a request to one of the two; without it chance decides.
    pub key: Option<PoolAffinity>,
    /// The canary's share in each step: above 0, at most 1, rising.
    pub steps: Vec<f64>,
    /// A step lasts at least as long,
    pub step_for: Duration,
    /// and until so many of its calls to the canary have ended.
    pub min_calls: u64,
    /// Both pools are held against each other over this time.
    pub window: Duration,
    /// The canary does worse if it fails by so many standard errors more,
    pub significance: f64,
    /// by so much of its calls,
    pub above: f64,
    /// and so often at least.
    pub min_failures: u64,
    /// A client that waits for its answer for so long has waited for long; more of those is worse as well.
    pub late_after: Duration,
}

/// Where copies of a route's requests go, whose answers are thrown away.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RouteMirror {
    /// Index into [`pools`](super::Config::pools); not the route's own.
    pub pool: usize,
    /// The share of the requests that is copied, of those that are safe and without a body.
    pub share: f64,
    /// So many copies are under way at once at most.
    pub max_in_flight: usize,
    /// For how long a copy is under way at most.
    pub timeout: Duration,
}

/// When a route's breaker trips, and how it recovers. At least one rule is set.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RouteBreaker {
    /// Trips on failures in a row.
    pub consecutive_failures: Option<NonZeroU32>,
    /// Trips on a share of failures.
    pub failure_rate: Option<FailureRate>,
    /// How long it rejects before it probes; each time that probes fail twice as long, up to ten times.
    pub open_for: Duration,
    /// Probes let through at once.
    pub probes: NonZeroU32,
    /// Whether traffic rises step by step once the probes have succeeded.
    pub ramp: bool,
}

impl RouteBreaker {
    pub(crate) const DEFAULT: Self = Self {
        consecutive_failures: None,
        failure_rate: Some(FailureRate::DEFAULT),
        open_for: Duration::from_millis(500),
        probes: NonZeroU32::new(3).unwrap(),
        ramp: true,
    };
}

/// A share of failures over a window.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FailureRate {
    /// Share of failures that trips, above 0 and at most 1.
    pub ratio: f64,
    /// Fewer calls than this in the window say nothing.
    pub min_calls: NonZeroU32,
    /// How far back the rule looks.
    pub window: Duration,
}

impl FailureRate {
    pub(crate) const DEFAULT: Self = Self {
        ratio: 0.5,
        min_calls: NonZeroU32::new(20).unwrap(),
        window: Duration::from_secs(10),
    };
}
