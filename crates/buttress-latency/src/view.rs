//! What a handle shows: plain data.

use std::sync::Arc;
use std::time::Duration;

use buttress_core::clock::Instant;
use buttress_core::metric::Exemplar;
use http::StatusCode;

use crate::objective::ObjectiveSnapshot;
use crate::quantile::{PERCENTILES, Quantile};
use crate::series::{Key, Kind, Series};
use crate::sizes::BodySizes;
use crate::snapshot::Snapshot;
use crate::trend::{FOLLOWED, Slope, Trend};
use crate::window::WindowSnapshot;

/// All that a [`crate::LatencyHandle`] knows at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct LatencySnapshot {
    /// Each route, by name.
    pub routes: Vec<RouteSnapshot>,
    /// Each series.
    pub series: Vec<SeriesSnapshot>,
    /// Each goal of each route that has an [objective](crate::Objective).
    pub objectives: Vec<ObjectiveSnapshot>,
    /// How many exchanges share the overflow series, for want of room for their own.
    pub overflowed: u64,
}

/// One route: its series added up.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct RouteSnapshot {
    /// The route template or name; empty where none was given, `_OVERFLOW` for those beyond the cap.
    #[cfg_attr(feature = "serde", serde(serialize_with = "text"))]
    pub route: Arc<str>,
    /// Exchanges under way.
    pub in_flight: u64,
    /// All that was ever recorded.
    pub total: Snapshot,
    /// The rolling windows, as configured.
    pub windows: Vec<WindowSnapshot>,
    /// How its P99 moves over the longest window; none if that has nothing yet.
    pub trend: Option<Trend>,
    /// What callers waited for the service to be ready before they called it: of those that had to,
    /// all others waited for nothing.
    pub waiting: Distribution,
    /// The time to the head of the response, wherever one came.
    pub head: Distribution,
    /// How long those exchanges lasted whose answers are long-lived streams. They are in nothing else
    /// but [`RouteSnapshot::head`].
    pub streams: Distribution,
}

/// What was measured apart from the time to the end: empty where nothing was.
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Distribution {
    /// All that was ever recorded.
    pub total: Snapshot,
    /// The rolling windows, as configured.
    pub windows: Vec<WindowSnapshot>,
}

/// One series.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct SeriesSnapshot {
    /// The route template or name.
    #[cfg_attr(feature = "serde", serde(serialize_with = "text"))]
    pub route: Arc<str>,
    /// The method, `_OTHER` if it is not a known one; `None` of plain calls.
    pub method: Option<&'static str>,
    /// `http`, `https` or `_OTHER`; `None` of plain calls.
    pub scheme: Option<&'static str>,
    /// The status; `None` where no head came.
    #[cfg_attr(feature = "serde", serde(serialize_with = "status"))]
    pub status: Option<StatusCode>,
    /// `success`, `failure`, `ignored`, `abandoned`; `_OTHER` for the overflow.
    pub outcome: &'static str,
    /// What went wrong, if anything did.
    pub error_type: Option<Box<str>>,
    /// All that was ever recorded.
    pub total: Snapshot,
    /// The rolling windows, as configured.
    pub windows: Vec<WindowSnapshot>,
    /// Of each octave of durations at most one that belongs to a sampled trace, by its duration,
    /// ascending. Each is in the total.
    #[cfg_attr(feature = "serde", serde(serialize_with = "exemplars"))]
    pub exemplars: Vec<Exemplar>,
    /// How fast its P99 grows over the longest window; none where that is not known.
    pub slope: Option<Slope>,
    /// The time to the head of the response. An answer that begins well is here as a success as soon
    /// as it does, whatever becomes of its body.
    pub head: Distribution,
    /// How long the exchanges lasted whose answers are long-lived streams.
    pub streams: Distribution,
    /// The sizes of the bodies of requests, where they are counted.
    pub request_bodies: BodySizes,
    /// The sizes of the bodies of responses, where they are counted.
    pub response_bodies: BodySizes,
}

/// The quantiles that matter.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Percentiles {
    /// Half are faster.
    pub p50: Quantile,
    /// One in ten is slower.
    pub p90: Quantile,
    /// One in twenty is slower.
    pub p95: Quantile,
    /// One in a hundred is slower.
    pub p99: Quantile,
    /// One in a thousand is slower.
    pub p999: Quantile,
}

impl LatencySnapshot {
    /// The route called `name`.
    pub fn route(&self, name: &str) -> Option<&RouteSnapshot> {
        self.routes.iter().find(|route| &*route.route == name)
    }
}

impl RouteSnapshot {
    /// The window of this length.
    pub fn window(&self, length: Duration) -> Option<&WindowSnapshot> {
        self.windows.iter().find(|window| window.length == length)
    }
}

impl Snapshot {
    /// P50, P90, P95, P99 and P99.9.
    pub fn percentiles(&self) -> Percentiles {
        let [p50, p90, p95, p99, p999] = PERCENTILES.map(|q| self.quantile(q));
        Percentiles {
            p50,
            p90,
            p95,
            p99,
            p999,
        }
    }
}

impl WindowSnapshot {
    /// P50, P90, P95, P99 and P99.9 of the window.
    pub fn percentiles(&self) -> Percentiles {
        self.counts.percentiles()
    }

    /// Adds another series' window of the same length.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.covered = self.covered.max(other.covered);
        self.counts += &other.counts;
    }
}

/// Adds windows up, one by one.
pub(crate) fn merge_windows(into: &mut Vec<WindowSnapshot>, windows: &[WindowSnapshot]) {
    if into.is_empty() {
        windows.clone_into(into);
        return;
    }
    for (sum, window) in into.iter_mut().zip(windows) {
        sum.merge(window);
    }
}

impl SeriesSnapshot {
    pub(crate) fn of(series: &Series, now: Instant) -> Self {
        let Key {
            route,
            kind,
            ending,
        } = &series.key;
        // Before the total, which then has each of them.
        let exemplars = series.rolling.exemplars();
        let (total, windows) = series.rolling.read(now);
        Self {
            route: Arc::clone(route),
            method: kind.method(),
            scheme: match kind {
                Kind::Plain => None,
                Kind::Http(_, scheme) => Some(scheme.as_str()),
            },
            status: ending.status,
            outcome: ending.class.as_str(),
            error_type: ending.error_type().map(Into::into),
            total,
            windows,
            exemplars,
            slope: None,
            head: series.head.read(now),
            streams: series.stream.read(now),
            request_bodies: series.request_sizes.read(),
            response_bodies: series.response_sizes.read(),
        }
    }

    /// With how fast it grows, which takes a while to work out.
    pub(crate) fn with_slope(series: &Series, now: Instant) -> Self {
        Self {
            slope: series.rolling.trend(FOLLOWED, now).slope,
            ..Self::of(series, now)
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        let times = [&self.total, &self.head.total, &self.streams.total];
        let sizes = [&self.request_bodies, &self.response_bodies];
        times.iter().all(|times| times.is_empty()) && sizes.iter().all(|sizes| sizes.is_empty())
    }
}

impl Distribution {
    /// The window of this length.
    pub fn window(&self, length: Duration) -> Option<&WindowSnapshot> {
        self.windows.iter().find(|window| window.length == length)
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        self.total += &other.total;
        merge_windows(&mut self.windows, &other.windows);
    }
}

/// Written as its number.
#[cfg(feature = "serde")]
#[expect(
    clippy::ref_option,
    clippy::trivially_copy_pass_by_ref,
    reason = "what serde hands over"
)]
fn status<S: serde::Serializer>(status: &Option<StatusCode>, to: S) -> Result<S::Ok, S::Error> {
    serde::Serialize::serialize(&status.map(|status| status.as_u16()), to)
}

/// IDs as the hexadecimal digits that traces are looked up by.
#[cfg(feature = "serde")]
fn exemplars<S: serde::Serializer>(exemplars: &[Exemplar], to: S) -> Result<S::Ok, S::Error> {
    #[derive(serde::Serialize)]
    struct Written {
        trace_id: String,
        span_id: String,
        value: f64,
        at: Duration,
    }
    to.collect_seq(exemplars.iter().map(|one| Written {
        trace_id: format!("{:032x}", one.trace_id),
        span_id: format!("{:016x}", one.span_id),
        value: one.value,
        at: one.at,
    }))
}

#[cfg(feature = "serde")]
pub(crate) fn text<S: serde::Serializer>(text: &Arc<str>, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(text)
}
