//! From series to the points of a family.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use buttress_core::metric::{Exemplar, Family, Histogram, Label, Value};

use crate::quantile::PERCENTILES;
use crate::recorder::merge_exemplars;
use crate::sizes::BodySizes;
use crate::snapshot::Snapshot;
use crate::view::{SeriesSnapshot, merge_windows};
use crate::window::WindowSnapshot;

const QUANTILE_NAMES: [&str; PERCENTILES.len()] = ["0.5", "0.9", "0.95", "0.99", "0.999"];

/// One of the distributions of a series, with its exemplars.
pub(super) type Of = fn(&SeriesSnapshot) -> (&Snapshot, &[Exemplar]);

/// One histogram for each set of labels for which anything was recorded.
pub(super) fn durations(
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

/// One histogram for each set of labels for which anything was counted.
pub(super) fn sizes(
    mut family: Family,
    series: &[SeriesSnapshot],
    of: fn(&SeriesSnapshot) -> &BodySizes,
    labels: impl Fn(&SeriesSnapshot) -> Vec<Label>,
) -> Family {
    let mut points: BTreeMap<Vec<Label>, BodySizes> = BTreeMap::new();
    for series in series.iter().filter(|series| !of(series).is_empty()) {
        points.entry(labels(series)).or_default().merge(of(series));
    }
    for (labels, sizes) in points {
        family.push(labels, Value::Histogram(sizes.histogram()));
    }
    family
}

/// One gauge for each set of labels, window and known quantile.
pub(super) fn quantiles(
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
        // Not `quantile`, which is reserved for summaries, and this is a gauge.
        labels.push(("q", Cow::Borrowed(name)));
        labels.push(("window", Cow::Owned(format!("{:?}", window.length))));
        family.push(labels, Value::Gauge(value));
    }
}

pub(super) fn histogram(snapshot: &Snapshot, exemplars: Vec<Exemplar>) -> Histogram {
    let mut histogram = Histogram::from(snapshot);
    histogram.exemplars = exemplars;
    histogram
}

/// In seconds, for a family of one's own.
impl From<&Snapshot> for Histogram {
    fn from(snapshot: &Snapshot) -> Self {
        let mut histogram = Self::default();
        histogram.classic = snapshot.classic().collect();
        histogram.native = snapshot.native();
        histogram.count = snapshot.count();
        histogram.below = snapshot.below();
        histogram.above = snapshot.above();
        histogram.sum = snapshot.sum().as_secs_f64();
        let seconds = |(shortest, longest): (Duration, Duration)| {
            (shortest.as_secs_f64(), longest.as_secs_f64())
        };
        histogram.extremes = snapshot.extremes().map(seconds);
        histogram
    }
}
