//! Plain lines, for a file or a pipe.

use std::fmt::Write as _;

use super::figures::{percent, time};
use super::view::View;

/// A line for each endpoint and each route, and the last verdict.
pub(super) fn write(view: &View) -> String {
    let mut text = String::new();
    for row in &view.endpoints {
        let (p50, p99) = row.quantiles;
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "endpoint {}: {}, {} of traffic, {} good, cost {}, P50 {}, P99 {}",
            row.name,
            row.state,
            percent(Some(row.share)),
            percent(row.success),
            time(row.cost),
            time(p50),
            time(p99),
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
            time(p50),
            time(p99),
            row.rejected,
        );
    }
    let _ = writeln!(text, "last verdict: {}", view.last);
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::view::tests::view;

    #[test]
    fn the_lines_tell_what_an_endpoint_costs_and_claim_nothing_of_one_that_gets_nothing() {
        let lines = write(&view());
        for line in [
            "endpoint steady 127.0.0.1:9001: active, 97% of traffic, 100% good, cost 6.9 ms, P50 3.1 ms, P99 9.0 ms",
            "endpoint turns-slow 127.0.0.1:9002: active, 0% of traffic, – good, cost 311 ms, P50 –, P99 –",
            "last verdict: turns-flaky 127.0.0.1:9003 is out for 2.0 s: it failed a probe",
        ] {
            assert!(
                lines.lines().any(|it| it == line),
                "no {line:?} in\n{lines}"
            );
        }
    }
}
