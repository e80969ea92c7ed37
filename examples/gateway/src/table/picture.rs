//! The table, drawn over itself.

use std::fmt::Write as _;
use std::time::Duration;

use super::view::{EndpointRow, RouteRow, View};

/// To the upper left, and from there to the end of the screen nothing.
const HOME: &str = "\x1b[H\x1b[J";
const BOLD: &str = "\x1b[1m";
const DIM: &str = "\x1b[2m";
const GREEN: &str = "\x1b[32m";
const YELLOW: &str = "\x1b[33m";
const RED: &str = "\x1b[31m";
const PLAIN: &str = "\x1b[0m";
/// Cells of a full bar.
const BAR: usize = 20;

/// One frame.
pub(super) fn draw(view: &View) -> String {
    let mut frame = String::from(HOME);
    // Writing to a string cannot fail.
    let _ = head(&mut frame, view);
    for row in &view.endpoints {
        let _ = endpoint(&mut frame, row);
    }
    let _ = writeln!(
        frame,
        "\n{DIM}{:<28} {:<12} {:>8} {:>10} {:>10} {:>10}{PLAIN}",
        "ROUTE", "BREAKER", "REQ/S", "P50", "P99", "REJECTED"
    );
    for row in &view.routes {
        let _ = route(&mut frame, row);
    }
    let _ = writeln!(frame, "\n{DIM}last verdict{PLAIN}  {}", view.last);
    frame
}

fn head(frame: &mut String, view: &View) -> std::fmt::Result {
    writeln!(
        frame,
        "{BOLD}buttress{PLAIN}  proxy http://{}  admin http://{}",
        view.proxy, view.admin
    )?;
    if let Some((good, bad)) = view.traffic {
        writeln!(
            frame,
            "{DIM}own traffic{PLAIN}  {good} good, {bad} bad   {DIM}Ctrl-C ends{PLAIN}"
        )?;
    }
    writeln!(
        frame,
        "\n{DIM}{:<28} {:<12} {:<BAR$} {:>5} {:>8} {:>9} {:>10} {:>10}{PLAIN}",
        "ENDPOINT", "CIRCUIT", "SHARE", "", "SUCCESS", "IN FLIGHT", "P50", "P99"
    )
}

fn endpoint(frame: &mut String, row: &EndpointRow) -> std::fmt::Result {
    let (p50, p99) = row.quantiles;
    write!(
        frame,
        "{:<28} {}{:<12}{PLAIN} {} {:>4.0}% {:>7.0}% {:>9} {:>10} {:>10}",
        row.name,
        colour(row.state),
        row.state,
        bar(row.share),
        row.share * 100.0,
        row.success * 100.0,
        row.in_flight,
        millis(p50),
        millis(p99),
    )?;
    match row.retry_after {
        Some(wait) => writeln!(
            frame,
            "  {DIM}probe in {:.0} s{PLAIN}",
            wait.as_secs_f64().ceil()
        ),
        None => writeln!(frame),
    }
}

fn route(frame: &mut String, row: &RouteRow) -> std::fmt::Result {
    let (p50, p99) = row.quantiles;
    writeln!(
        frame,
        "{:<28} {}{:<12}{PLAIN} {:>8.1} {:>10} {:>10} {:>10}",
        row.name,
        colour(row.breaker),
        row.breaker,
        row.rate,
        millis(p50),
        millis(p99),
        row.rejected,
    )
}

fn colour(state: &str) -> &'static str {
    match state {
        "active" | "closed" => GREEN,
        "probing" | "half_open" => YELLOW,
        _ => RED,
    }
}

fn bar(share: f64) -> String {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "0 to BAR"
    )]
    let full = (share.clamp(0.0, 1.0) * BAR as f64).round() as usize;
    format!(
        "{}{DIM}{}{PLAIN}",
        "█".repeat(full),
        "·".repeat(BAR.saturating_sub(full))
    )
}

/// A dash where there are too few samples to know.
pub(super) fn millis(duration: Option<Duration>) -> String {
    duration.map_or_else(
        || "–".to_owned(),
        |d| format!("{:.1} ms", d.as_secs_f64() * 1e3),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view() -> View {
        View {
            proxy: "127.0.0.1:8080".parse().unwrap(),
            admin: "127.0.0.1:8081".parse().unwrap(),
            routes: vec![RouteRow {
                name: "demo".to_owned(),
                breaker: "closed",
                rejected: 0,
                rate: 60.0,
                quantiles: (Some(Duration::from_micros(4_200)), None),
            }],
            endpoints: vec![EndpointRow {
                name: "steady 127.0.0.1:9001".to_owned(),
                state: "active",
                share: 0.5,
                success: 1.0,
                in_flight: 1,
                quantiles: (
                    Some(Duration::from_micros(3_100)),
                    Some(Duration::from_millis(9)),
                ),
                retry_after: None,
            }],
            last: "none yet".to_owned(),
            traffic: Some((10, 1)),
        }
    }

    #[test]
    fn a_frame_begins_by_clearing_the_one_before() {
        assert!(draw(&view()).starts_with(HOME));
    }

    #[test]
    fn a_frame_shows_share_quantiles_breaker_and_verdict() {
        let frame = draw(&view());
        for shown in [
            "steady 127.0.0.1:9001",
            "50%",
            "3.1 ms",
            "9.0 ms",
            "closed",
            "none yet",
        ] {
            assert!(frame.contains(shown), "{shown} is missing:\n{frame}");
        }
    }

    #[test]
    fn what_is_not_known_is_a_dash() {
        assert_eq!(millis(None), "–");
    }
}
