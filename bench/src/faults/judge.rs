//! What users may see of the cases that have bars: at 500 requests a second to three origins, one of them ill.

use super::report::Row;
use crate::bar::Bar;

/// A figure of a row, and the most that it may be.
type Asked = (&'static str, fn(&Row) -> f64, f64);

const OF_SLOW: &[Asked] = &[
    ("its share from 1 s on, %", |row| row.share, 0.5),
    ("P99 from 1 s on, ms", |row| row.p99_ill_ms, 10.0),
];

/// Nobody hears of its probes or of its return.
const OF_500: &[Asked] = &[
    ("not answered, %", NOT_ANSWERED, 0.1),
    FOUND,
    ("failed from 1 s on", |row| row.failed_later as f64, 0.0),
    AFTERWARDS,
    BACK,
];

const OF_500_WITH_FAILOVER: &[Asked] = &[
    ("not answered, %", NOT_ANSWERED, 0.0),
    FOUND,
    AFTERWARDS,
    BACK,
];

/// One alone that fails at a return is no burst.
const OF_SILENCE: &[Asked] = &[
    ("not answered, %", NOT_ANSWERED, 0.1),
    FOUND,
    (
        "failed in one second, from 1 s on",
        |row| row.worst_second as f64,
        1.0,
    ),
];

const NOT_ANSWERED: fn(&Row) -> f64 = |row| 100.0 - row.success;
const FOUND: Asked = (
    "asked before it was left alone",
    |row| row.asked_first as f64,
    5.0,
);
const AFTERWARDS: Asked = (
    "failed after its recovery",
    |row| row.failed_after_recovery as f64,
    0.0,
);
const BACK: Asked = (
    "back at its share, s",
    |row| row.back_s.unwrap_or(f64::INFINITY),
    5.0,
);

/// What is asked in this case; in most nothing is.
fn asked(case: &str) -> &'static [Asked] {
    match case {
        "slow" => OF_SLOW,
        "500" => OF_500,
        "500-failover" => OF_500_WITH_FAILOVER,
        "resets" | "resets-failover" | "hangs" | "hangs-failover" => OF_SILENCE,
        _ => &[],
    }
}

/// The bars of this row.
pub(super) fn bars(row: &Row) -> impl Iterator<Item = Bar> {
    asked(row.case).iter().map(|&(asked, figure, limit)| Bar {
        of: row.case,
        asked,
        seen: figure(row),
        limit,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Just as much as may be.
    fn row(case: &'static str) -> Row {
        Row {
            bench: "faults",
            case,
            requests: 20_000,
            success: if case == "500-failover" { 100.0 } else { 99.9 },
            failed_first_second: 5,
            failed_later: 0,
            failed_after_recovery: 0,
            worst_second: 1,
            asked_first: 5,
            share: 0.5,
            p99_before_ms: 5.0,
            p99_ill_ms: 10.0,
            back_s: Some(5.0),
            peak: 1.0,
        }
    }

    /// What is not met.
    fn missed(row: &Row) -> Vec<&'static str> {
        let missed = bars(row).filter(|bar| !bar.is_met());
        missed.map(|bar| bar.asked).collect()
    }

    /// What is missed in `case` if this is done to its figures.
    fn missed_with(case: &'static str, by: impl Fn(&mut Row)) -> Vec<&'static str> {
        let mut row = row(case);
        by(&mut row);
        missed(&row)
    }

    const FAILING: [&str; 6] = [
        "500",
        "500-failover",
        "resets",
        "resets-failover",
        "hangs",
        "hangs-failover",
    ];

    #[test]
    fn the_cases_that_have_bars_are_held_to_them_and_no_others_are() {
        let judged: Vec<_> = super::super::case::all()
            .map(|case| (case.name, bars(&row(case.name)).count()))
            .filter(|(_, bars)| *bars > 0)
            .collect();
        let expected = [
            ("slow", 2),
            ("500", 5),
            ("500-failover", 4),
            ("resets", 3),
            ("resets-failover", 3),
            ("hangs", 3),
            ("hangs-failover", 3),
        ];
        assert_eq!(judged, expected);
        for (case, _) in expected {
            assert!(missed(&row(case)).is_empty(), "{case}");
        }
    }

    #[test]
    fn who_is_slow_has_next_to_no_share_and_nobody_waits_for_it() {
        let share = missed_with("slow", |row| row.share = 0.51);
        assert_eq!(share, ["its share from 1 s on, %"]);
        let p99 = missed_with("slow", |row| row.p99_ill_ms = 10.1);
        assert_eq!(p99, ["P99 from 1 s on, ms"]);
        let none = missed_with("slow", |row| row.p99_ill_ms = f64::NAN);
        assert_eq!(none, ["P99 from 1 s on, ms"]);
    }

    #[test]
    fn who_fails_is_found_in_five_requests_and_all_but_one_in_a_thousand_are_answered() {
        for case in FAILING {
            let fewer = missed_with(case, |row| row.success -= 0.01);
            assert_eq!(fewer, ["not answered, %"], "{case}");
            let late = missed_with(case, |row| row.asked_first = 6);
            assert_eq!(late, ["asked before it was left alone"], "{case}");
        }
    }

    #[test]
    fn nobody_hears_of_the_probes_of_who_fails_nor_of_its_return_which_is_soon() {
        let later = missed_with("500", |row| row.failed_later = 1);
        assert_eq!(later, ["failed from 1 s on"]);
        for case in ["500", "500-failover"] {
            let after = missed_with(case, |row| row.failed_after_recovery = 1);
            assert_eq!(after, ["failed after its recovery"], "{case}");
            let slowly = missed_with(case, |row| row.back_s = Some(5.1));
            assert_eq!(slowly, ["back at its share, s"], "{case}");
            let never = missed_with(case, |row| row.back_s = None);
            assert_eq!(never, ["back at its share, s"], "{case}");
        }
    }

    #[test]
    fn a_return_is_no_burst_of_failures() {
        for case in ["resets", "resets-failover", "hangs", "hangs-failover"] {
            let burst = missed_with(case, |row| row.worst_second = 2);
            assert_eq!(burst, ["failed in one second, from 1 s on"], "{case}");
        }
    }
}
