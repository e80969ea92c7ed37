//! Metrics as plain data. Rooms hand these out; only `buttress-telemetry` encodes and serves them.

use std::borrow::Cow;
use std::time::Duration;

use crate::trace_context::TraceContext;

/// One metric with all its points.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Family {
    /// The full name, in Prometheus form, with its unit and without the `_total` of counters.
    pub name: &'static str,
    /// What it counts, what moves it, how to read it.
    pub help: &'static str,
    /// What kind of points it has; all of them have the same.
    pub kind: Kind,
    /// The points, one for each set of labels.
    pub points: Vec<Point>,
}

/// What the points of a [`Family`] are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// Only ever grows, until the process restarts.
    Counter,
    /// Goes up and down; what several say of the same thing cannot be added up.
    Gauge,
    /// Goes up and down by what comes and goes, so that what several count is added up. Its points are
    /// [`Value::Gauge`].
    UpDown,
    /// One of a closed set of states, exposed from birth as one 0-or-1 series per state.
    StateSet,
    /// A distribution.
    Histogram,
}

/// One point of a [`Family`].
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Point {
    /// Names and values, in the order in which they are shown.
    pub labels: Vec<Label>,
    /// What it holds.
    pub value: Value,
}

/// A label's name and value.
pub type Label = (&'static str, Cow<'static, str>);

/// What a [`Point`] holds.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Value {
    /// Of a counter.
    Counter(u64),
    /// Of a counter of time, shown in seconds.
    Time(Duration),
    /// Of a gauge.
    Gauge(f64),
    /// Of a state set: the label that names the state, every state, and the index of the present one.
    State {
        /// The label that names the state.
        label: &'static str,
        /// Every state there is.
        states: &'static [&'static str],
        /// The index of the present state in `states`.
        current: usize,
    },
    /// Of a histogram.
    Histogram(Histogram),
}

/// A distribution, as cumulative integers. Its unit is in the name of its family: seconds, bytes.
///
/// The samples in `native`, `below` and `above` together are `count`; one that has classic buckets
/// alone leaves all three empty.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Histogram {
    /// Upper bounds with the number of samples at or below each; exact.
    pub classic: Vec<(f64, u64)>,
    /// Base-2 scale-6 buckets that hold anything, ascending, by Prometheus index: bucket `i` takes
    /// what is in `(2^((i-1)/64), 2^(i/64)]`.
    pub native: Vec<(i32, u64)>,
    /// The octaves that `native` covers: powers of two, the lowest edge and the highest; by default
    /// those of durations in seconds, from `2^-20` (about a microsecond) to `2^12` (over an hour).
    pub octaves: (i32, i32),
    /// Samples at or below the lowest edge.
    pub below: u64,
    /// Samples above the highest edge.
    pub above: u64,
    /// All samples.
    pub count: u64,
    /// The sum of all samples.
    pub sum: f64,
    /// The least and the greatest of all samples, where they are known exactly.
    pub extremes: Option<(f64, f64)>,
    /// Samples that lead to their traces, in ascending order of their values. A few: one for each
    /// octave at most.
    pub exemplars: Vec<Exemplar>,
}

/// One sample of a [`Histogram`], with the trace that it belongs to.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Exemplar {
    /// The trace's 128 bits.
    pub trace_id: u128,
    /// The span's 64 bits.
    pub span_id: u64,
    /// The sample, in the unit of its histogram.
    pub value: f64,
    /// When it was taken, since the Unix epoch.
    pub at: Duration,
}

impl Exemplar {
    /// The sample `value`, taken `at` so long after the Unix epoch in the span of `trace`.
    pub const fn new(trace: &TraceContext, value: f64, at: Duration) -> Self {
        Self {
            trace_id: trace.trace_id,
            span_id: trace.span_id,
            value,
            at,
        }
    }
}

impl Default for Histogram {
    fn default() -> Self {
        Self {
            classic: Vec::new(),
            native: Vec::new(),
            octaves: (-20, 12),
            below: 0,
            above: 0,
            count: 0,
            sum: 0.0,
            extremes: None,
            exemplars: Vec::new(),
        }
    }
}

impl Family {
    /// A family without points.
    pub const fn new(name: &'static str, kind: Kind, help: &'static str) -> Self {
        Self {
            name,
            help,
            kind,
            points: Vec::new(),
        }
    }

    /// Adds a point.
    pub fn push(&mut self, labels: Vec<Label>, value: Value) {
        self.points.push(Point { labels, value });
    }

    /// Adds a point, for chains.
    #[must_use]
    pub fn with(mut self, labels: Vec<Label>, value: Value) -> Self {
        self.push(labels, value);
        self
    }
}

/// Whatever can be asked for its metrics: a room's handle.
pub trait Collect: Send + Sync {
    /// Adds this room's families to `into`.
    fn collect(&self, into: &mut Vec<Family>);
}
