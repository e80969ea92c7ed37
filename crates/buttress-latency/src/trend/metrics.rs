//! Trends as metrics.

use std::borrow::Cow;

use buttress_core::metric::{Family, Kind, Value};

use super::{RouteTrend, Slope};

/// The slope of each route that has one.
pub(crate) fn family(trends: &[RouteTrend]) -> Family {
    let help = "By how many seconds the quantile of a route grows in a second, over the slices of the \
                longest window: the slope of Theil and Sen, and the ends of its interval of 95 %. Where \
                low is above 0 it is getting worse. Absent where there are too few samples.";
    let mut family = Family::new("buttress_duration_slope_ratio", Kind::Gauge, help);
    let slopes = trends
        .iter()
        .filter_map(|one| Some((one, one.trend.slope?)));
    for (one, slope) in slopes {
        for (estimate, value) in estimates(slope) {
            let labels = vec![
                ("route", Cow::Owned(one.route.to_string())),
                ("q", Cow::Owned(one.trend.q.to_string())),
                ("estimate", Cow::Borrowed(estimate)),
            ];
            family.push(labels, Value::Gauge(value));
        }
    }
    family
}

const fn estimates(slope: Slope) -> [(&'static str, f64); 3] {
    [
        ("median", slope.median),
        ("low", slope.low),
        ("high", slope.high),
    ]
}
