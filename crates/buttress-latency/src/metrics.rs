//! The metrics, from the same integers as everything else.

use std::borrow::Cow;
use std::collections::BTreeMap;

use buttress_core::metric::{
    Collect, Exemplar, Family, Histogram, Kind as MetricKind, Label, Value,
};

use crate::handle::LatencyHandle;
use crate::objective;
use crate::quantile::PERCENTILES;
use crate::recorder::merge_exemplars;
use crate::series::{Kind, status_class};
use crate::snapshot::Snapshot;
use crate::trend;
use crate::view::{SeriesSnapshot, merge_windows};
use crate::window::WindowSnapshot;

const QUANTILE_NAMES: [&str; PERCENTILES.len()] = ["0.5", "0.9", "0.95", "0.99", "0.999"];

impl Collect for LatencyHandle {
    fn collect(&self, into: &mut Vec<Family>) {
        let series = self.read_series();
        let (plain, http): (Vec<_>, Vec<_>) = series
            .into_iter()
            .partition(|series| series.method.is_none());
        into.push(self.active_requests());
        let distributions = |family, of: Of| durations(family, &http, of, http_labels);
        into.push(distributions(http_durations(), |series| {
            (&series.total, &series.exemplars)
        }));
        let heads = distributions(http_heads(), |series| (&series.head.total, &[]));
        let streams = distributions(http_streams(), |series| (&series.streams.total, &[]));
        let rare = [heads, streams, self.waits(false)];
        into.extend(rare.into_iter().filter(|family| !family.points.is_empty()));
        into.push(quantiles(http_quantiles(), &http, |series| {
            let class = status_class(series.status);
            vec![
                ("route", route(series)),
                ("status_class", Cow::Borrowed(class)),
            ]
        }));
        if !plain.is_empty() {
            let total: Of = |series| (&series.total, &series.exemplars);
            into.push(durations(call_durations(), &plain, total, plain_labels));
            let waits = self.waits(true);
            into.extend(Some(waits).filter(|family| !family.points.is_empty()));
            into.push(quantiles(call_quantiles(), &plain, |series| {
                vec![("name", route(series))]
            }));
        }
        let slices = self.slices();
        into.push(trend::family(&slices.trends(trend::FOLLOWED)));
        into.extend(objective::families(&self.read_objectives(&slices)));
        into.push(self.overflow());
    }
}

impl LatencyHandle {
    fn active_requests(&self) -> Family {
        let help = "HTTP requests under way: counted from the call of the service to the end of the \
                    response's body.";
        let mut family = Family::new("http_server_active_requests", MetricKind::Gauge, help);
        for each in self.registry().all_routes() {
            for group in each.groups() {
                let Kind::Http(method, scheme) = group.kind() else {
                    continue;
                };
                let mut labels = vec![
                    ("http_request_method", Cow::Borrowed(method.as_str())),
                    ("url_scheme", Cow::Borrowed(scheme.as_str())),
                ];
                push_route(&mut labels, each.name());
                family.push(labels, Value::Gauge(group.in_flight() as f64));
            }
        }
        family
    }

    /// What callers waited for plain services or for HTTP services, where any did.
    fn waits(&self, plain: bool) -> Family {
        let mut family = if plain { call_waits() } else { http_waits() };
        let now = self.registry().shared.clock.now();
        for route in self.registry().all_routes() {
            let waits = route.waiting(plain).read(now).total;
            if waits.is_empty() {
                continue;
            }
            let mut labels = Vec::new();
            if plain {
                labels.push(("name", Cow::Owned(route.name().to_string())));
            } else {
                push_route(&mut labels, route.name());
            }
            family.push(labels, Value::Histogram(histogram(&waits, Vec::new())));
        }
        family
    }

    fn overflow(&self) -> Family {
        let help = "Exchanges that were counted in a shared series because there was no room for \
                    their own. Should stay at 0: something unbounded has become a label.";
        let labels = vec![("room", Cow::Borrowed("latency"))];
        Family::new("buttress_series_overflow", MetricKind::Counter, help)
            .with(labels, Value::Counter(self.registry().overflowed()))
    }
}

fn http_durations() -> Family {
    let help = "How long HTTP exchanges took, from the call of the service to the end of the \
                response's body or until they were abandoned.";
    Family::new(
        "http_server_request_duration_seconds",
        MetricKind::Histogram,
        help,
    )
}

fn http_heads() -> Family {
    let help = "How long it took to the heads of HTTP responses, from the call of the service. An \
                answer that begins well is here as a success, whatever becomes of its body.";
    Family::new(
        "buttress_http_server_request_head_duration_seconds",
        MetricKind::Histogram,
        help,
    )
}

fn http_streams() -> Family {
    let help = "How long HTTP exchanges lasted whose answers are long-lived streams: event streams, \
                switched protocols, routes that say so. They are in no other duration but the heads'.";
    Family::new(
        "buttress_http_server_stream_duration_seconds",
        MetricKind::Histogram,
        help,
    )
}

fn http_waits() -> Family {
    let help = "How long callers waited for the service to be ready before they could call it: of \
                those that had to, all others waited for nothing.";
    Family::new(
        "buttress_http_server_request_waiting_duration_seconds",
        MetricKind::Histogram,
        help,
    )
}

fn call_waits() -> Family {
    let help = "How long callers waited for a service to be ready before they could call it: of \
                those that had to, all others waited for nothing.";
    Family::new(
        "buttress_call_waiting_duration_seconds",
        MetricKind::Histogram,
        help,
    )
}

fn http_quantiles() -> Family {
    let help = "Quantiles of the duration of HTTP exchanges over rolling windows, right to 0.55 %. \
                Absent where there are too few samples. Not to be added up or averaged.";
    Family::new(
        "buttress_http_request_duration_quantile_seconds",
        MetricKind::Gauge,
        help,
    )
}

fn call_durations() -> Family {
    let help = "How long calls to services took, until they returned or were abandoned.";
    Family::new(
        "buttress_call_duration_seconds",
        MetricKind::Histogram,
        help,
    )
}

fn call_quantiles() -> Family {
    let help = "Quantiles of the duration of calls to services over rolling windows, right to \
                0.55 %. Absent where there are too few samples. Not to be added up or averaged.";
    Family::new(
        "buttress_call_duration_quantile_seconds",
        MetricKind::Gauge,
        help,
    )
}

/// One of the distributions of a series, with its exemplars.
type Of = fn(&SeriesSnapshot) -> (&Snapshot, &[Exemplar]);

/// One histogram for each set of labels for which anything was recorded.
fn durations(
    mut family: Family,
    series: &[SeriesSnapshot],
    of: Of,
    labels: impl Fn(&SeriesSnapshot) -> Vec<Label>,
) -> Family {
    let mut points: BTreeMap<Vec<Label>, (Snapshot, Vec<Exemplar>)> = BTreeMap::new();
    for series in series.iter().filter(|series| !of(series).0.is_empty()) {
        let (more, traced) = of(series);
        let (total, exemplars) = points.entry(labels(series)).or_default();
        *total += more;
        merge_exemplars(exemplars, traced);
    }
    for (labels, (total, exemplars)) in points {
        let histogram = histogram(&total, exemplars);
        family.push(labels, Value::Histogram(histogram));
    }
    family
}

/// One gauge for each set of labels, window and known quantile.
fn quantiles(
    mut family: Family,
    series: &[SeriesSnapshot],
    labels: impl Fn(&SeriesSnapshot) -> Vec<Label>,
) -> Family {
    let mut points: BTreeMap<Vec<Label>, Vec<WindowSnapshot>> = BTreeMap::new();
    for series in series {
        merge_windows(points.entry(labels(series)).or_default(), &series.windows);
    }
    for (labels, windows) in points {
        for window in &windows {
            push_quantiles(&mut family, &labels, window);
        }
    }
    family
}

fn push_quantiles(family: &mut Family, labels: &[Label], window: &WindowSnapshot) {
    for (q, name) in PERCENTILES.into_iter().zip(QUANTILE_NAMES) {
        let Some(value) = window.counts.quantile(q).as_gauge() else {
            continue;
        };
        let mut labels = labels.to_vec();
        labels.push(("quantile", Cow::Borrowed(name)));
        labels.push(("window", Cow::Owned(format!("{:?}", window.length))));
        family.push(labels, Value::Gauge(value));
    }
}

fn histogram(snapshot: &Snapshot, exemplars: Vec<Exemplar>) -> Histogram {
    let mut histogram = Histogram::default();
    histogram.classic = snapshot.classic().collect();
    histogram.native = snapshot.native();
    histogram.count = snapshot.count();
    histogram.below = snapshot.below();
    histogram.above = snapshot.above();
    histogram.sum = snapshot.sum().as_secs_f64();
    histogram.exemplars = exemplars;
    histogram
}

fn http_labels(series: &SeriesSnapshot) -> Vec<Label> {
    let mut labels = vec![
        (
            "http_request_method",
            Cow::Borrowed(series.method.unwrap_or("_OTHER")),
        ),
        (
            "url_scheme",
            Cow::Borrowed(series.scheme.unwrap_or("_OTHER")),
        ),
    ];
    push_route(&mut labels, &series.route);
    if let Some(status) = series.status {
        labels.push((
            "http_response_status_code",
            Cow::Owned(status.as_str().to_owned()),
        ));
    }
    push_error(&mut labels, series);
    labels
}

fn plain_labels(series: &SeriesSnapshot) -> Vec<Label> {
    let mut labels = vec![
        ("name", route(series)),
        ("outcome", Cow::Borrowed(series.outcome)),
    ];
    push_error(&mut labels, series);
    labels
}

fn push_route(labels: &mut Vec<Label>, route: &str) {
    if !route.is_empty() {
        labels.push(("http_route", Cow::Owned(route.to_owned())));
    }
}

fn push_error(labels: &mut Vec<Label>, series: &SeriesSnapshot) {
    if let Some(error) = &series.error_type {
        labels.push(("error_type", Cow::Owned(error.to_string())));
    }
}

fn route(series: &SeriesSnapshot) -> Cow<'static, str> {
    Cow::Owned(series.route.to_string())
}
