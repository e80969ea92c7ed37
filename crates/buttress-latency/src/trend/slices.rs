//! What each route recorded in each slice of the longest window.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use buttress_core::clock::Instant;

use super::{RouteTrend, Trend, TrendPoint};
use crate::series::{Class, Series};
use crate::snapshot::Snapshot;

/// By the moment at which the slice ended.
pub(crate) type BySlice = BTreeMap<Instant, Snapshot>;

/// The slices of all series by route, as of one moment.
pub(crate) struct Slices {
    routes: BTreeMap<Arc<str>, Vec<(Class, BySlice)>>,
    now: Instant,
}

impl Slices {
    /// Those of `series` that hold anything.
    pub(crate) fn of(series: &[Arc<Series>], now: Instant) -> Self {
        let mut routes: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for series in series {
            let slices = series.rolling.slices(now);
            if !slices.is_empty() {
                let route = routes.entry(Arc::clone(&series.key.route)).or_default();
                route.push((series.key.ending.class, slices));
            }
        }
        Self { routes, now }
    }

    /// How `q` moves in each route.
    pub(crate) fn trends(&self, q: f64) -> Vec<RouteTrend> {
        let of = |(route, series): (&Arc<str>, &Vec<(Class, BySlice)>)| RouteTrend {
            route: Arc::clone(route),
            trend: trend_of(q, &sum(series, |_, counts| Some(counts.clone())), self.now),
        };
        self.routes.iter().map(of).collect()
    }

    /// How that quantile of `route` moves which an objective wants within `threshold`, over the exchanges
    /// that the objective is about: what succeeded, and whatever took longer.
    pub(crate) fn trend_to(&self, route: &str, q: f64, threshold: Duration) -> Option<Trend> {
        let judged = |class, counts: &Snapshot| match class {
            Class::Success => Some(counts.clone()),
            Class::Failure | Class::Abandoned => Some(counts.longer_than(threshold)),
            Class::Ignored | Class::Other => None,
        };
        let slices = sum(self.routes.get(route)?, judged);
        Some(trend_of(q, &slices, self.now))
    }
}

/// Slice by slice, what `of` makes of each series.
fn sum(series: &[(Class, BySlice)], of: impl Fn(Class, &Snapshot) -> Option<Snapshot>) -> BySlice {
    let mut all = BySlice::new();
    for (class, slices) in series {
        for (end, counts) in slices {
            if let Some(counts) = of(*class, counts) {
                *all.entry(*end).or_default() += &counts;
            }
        }
    }
    all
}

/// The trend of `q` over `slices`, as of `now`; those that do not bear it give no point.
pub(crate) fn trend_of(q: f64, slices: &BySlice, now: Instant) -> Trend {
    let at = |instant: Instant| Duration::from_nanos(instant.as_nanos());
    let point = |(end, counts): (&Instant, &Snapshot)| {
        let quantile = counts.quantile(q);
        Some(TrendPoint {
            at: at(*end),
            value: quantile.value()?,
            count: quantile.count,
        })
    };
    Trend::of(q, slices.iter().filter_map(point).collect(), at(now))
}
