//! The metrics, from the same integers as everything else.

mod names;
mod points;
mod side;

use std::borrow::Cow;

use buttress_core::metric::{Collect, Family, Kind as MetricKind, Value};

use crate::handle::LatencyHandle;
use crate::objective;
use crate::series::Kind;
use crate::trend;
use crate::view::SeriesSnapshot;
use points::{Of, durations, histogram, quantiles};
use side::Side;

impl Collect for LatencyHandle {
    fn collect(&self, into: &mut Vec<Family>) {
        let series = self.read_series();
        let (calls, http): (Vec<_>, Vec<_>) = series
            .into_iter()
            .partition(|series| series.method.is_none());
        let pool = self.registry().shared.pool.as_deref();
        let side = pool.map_or(Side::Server, Side::Client);
        if pool.is_none() {
            into.push(self.active_requests());
        }
        self.distributions(side, &http, into);
        if !calls.is_empty() {
            self.distributions(Side::Calls, &calls, into);
        }
        // Trends and objectives are of routes.
        if pool.is_none() {
            let slices = self.slices();
            into.push(trend::family(&slices.trends(trend::FOLLOWED)));
            into.extend(objective::families(&self.read_objectives(&slices)));
        }
        into.push(self.overflow());
    }
}

impl LatencyHandle {
    /// All that is measured on one side.
    fn distributions(&self, side: Side<'_>, series: &[SeriesSnapshot], into: &mut Vec<Family>) {
        let names = side.names();
        let family = |family, of: Of| durations(family, series, of, |one| side.of_series(one));
        into.push(family(names.durations(), |series| {
            (&series.total, &series.exemplars)
        }));
        let bodies = |family, of| points::sizes(family, series, of, |one| side.of_series(one));
        let rare = [
            family(names.heads(), |series| (&series.head.total, &[])),
            family(names.streams(), |series| (&series.streams.total, &[])),
            self.waits(side),
            bodies(names.request_bodies(), |series| &series.request_bodies),
            bodies(names.response_bodies(), |series| &series.response_bodies),
        ];
        into.extend(rare.into_iter().filter(|family| !family.points.is_empty()));
        into.push(quantiles(names.quantiles(), series, |one| {
            side.of_quantiles(one)
        }));
    }

    fn active_requests(&self) -> Family {
        let help = "HTTP requests under way: counted from the call of the service to the end of the \
                    response's body.";
        let mut family = Family::new("http_server_active_requests", MetricKind::UpDown, help);
        for route in self.registry().all_routes() {
            for group in route.groups() {
                let Kind::Http(method, scheme) = group.kind() else {
                    continue;
                };
                let mut labels = vec![
                    ("http_request_method", Cow::Borrowed(method.as_str())),
                    ("url_scheme", Cow::Borrowed(scheme.as_str())),
                ];
                labels.extend(Side::Server.of_route(route.name()));
                family.push(labels, Value::Gauge(group.in_flight() as f64));
            }
        }
        family
    }

    /// What callers waited, where any did.
    fn waits(&self, side: Side<'_>) -> Family {
        let mut family = side.names().waits();
        let now = self.registry().shared.clock.now();
        for route in self.registry().all_routes() {
            let waits = route.waiting(matches!(side, Side::Calls)).read(now).total;
            if !waits.is_empty() {
                let value = Value::Histogram(histogram(&waits, Vec::new()));
                family.push(side.of_route(route.name()), value);
            }
        }
        family
    }

    fn overflow(&self) -> Family {
        let help = "Exchanges that were counted in a shared series because there was no room for \
                    their own. Should stay at 0: something unbounded has become a label.";
        let mut labels = vec![("room", Cow::Borrowed("latency"))];
        if let Some(pool) = &self.registry().shared.pool {
            labels.push(("pool", Cow::Owned(pool.to_string())));
        }
        Family::new("buttress_series_overflow", MetricKind::Counter, help)
            .with(labels, Value::Counter(self.registry().overflowed()))
    }
}
