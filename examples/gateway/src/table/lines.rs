//! Plain lines, for a file or a pipe.

use std::fmt::Write as _;

use super::picture::millis;
use super::view::View;

/// A line for each endpoint and each route, and the last verdict.
pub(super) fn write(view: &View) -> String {
    let mut text = String::new();
    for row in &view.endpoints {
        let (p50, p99) = row.quantiles;
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "endpoint {}: {}, {:.0}% of traffic, {:.0}% good, P50 {}, P99 {}",
            row.name,
            row.state,
            row.share * 100.0,
            row.success * 100.0,
            millis(p50),
            millis(p99),
        );
    }
    for row in &view.routes {
        let (p50, p99) = row.quantiles;
        let _ = writeln!(
            text,
            "route {}: breaker {}, {:.1} requests/s, P50 {}, P99 {}, {} rejected",
            row.name,
            row.breaker,
            row.rate,
            millis(p50),
            millis(p99),
            row.rejected,
        );
    }
    let _ = writeln!(text, "last verdict: {}", view.last);
    text
}
