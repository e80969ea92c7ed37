//! What the router may cost.

use crate::bar::Bar;
use crate::report::Row;

use super::buttress::NAME;

/// The most that the median may be, in nanoseconds.
const TIMES: [(&str, f64); 4] = [
    ("pick/10", 100.0),
    ("pick/10000", 150.0),
    ("update/kept", 10e6),
    ("update/new", 10e6),
];
/// Nothing is allocated by these.
const PICKS: [&str; 4] = ["pick/10", "pick/16", "pick/10000", "pick/updating"];
/// The most that one endpoint holds.
const BYTES: (&str, f64) = ("memory/endpoint", 2048.0);

/// The bars, by these rows.
pub(crate) fn bars(rows: &[Row]) -> Vec<Bar> {
    let bar = |of, asked, figure: fn(&Row) -> f64, limit| Bar {
        of,
        asked,
        // One that was not measured meets nothing.
        seen: ours(rows, of).map_or(f64::NAN, figure),
        limit,
    };
    let times = TIMES.map(|(of, most)| bar(of, "median, ns", nanoseconds, most));
    let picks = PICKS.map(|of| bar(of, "allocations", allocations, 0.0));
    let (of, most) = BYTES;
    let memory = bar(of, "bytes of one endpoint", bytes, most);
    times.into_iter().chain(picks).chain([memory]).collect()
}

fn ours<'a>(rows: &'a [Row], bench: &str) -> Option<&'a Row> {
    rows.iter()
        .find(|row| row.bench() == bench && row.name() == NAME)
}

fn nanoseconds(row: &Row) -> f64 {
    match row {
        Row::Time(row) => row.median_ns,
        Row::Memory(_) => f64::NAN,
    }
}

fn allocations(row: &Row) -> f64 {
    match row {
        Row::Time(row) => row.allocs.as_f64().unwrap_or(f64::NAN),
        Row::Memory(_) => f64::NAN,
    }
}

fn bytes(row: &Row) -> f64 {
    match row {
        Row::Time(_) => f64::NAN,
        Row::Memory(row) => row.bytes as f64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{Memory, Time};

    fn time(bench: &'static str, median_ns: f64, allocs: u64) -> Row {
        Row::Time(Time {
            bench,
            name: NAME,
            threads: 1,
            median_ns,
            min_ns: 1.0,
            allocs: allocs.into(),
        })
    }

    fn memory(bytes: u64) -> Row {
        Row::Memory(Memory {
            bench: "memory/endpoint",
            name: NAME,
            bytes,
            allocs: 1,
        })
    }

    /// Just as much as may be, and a peer that needs more.
    fn rows() -> Vec<Row> {
        let mut peer = time("pick/10", 1e9, 7);
        if let Row::Time(row) = &mut peer {
            row.name = "tower-p2c-ewma";
        }
        vec![
            peer,
            time("pick/10", 100.0, 0),
            time("pick/16", 1e9, 0),
            time("pick/10000", 150.0, 0),
            time("update/kept", 10e6, 10_000),
            time("update/new", 10e6, 10_000),
            time("pick/updating", 1e9, 0),
            memory(2048),
        ]
    }

    fn missed(rows: &[Row]) -> Vec<(&'static str, &'static str)> {
        let missed = bars(rows).into_iter().filter(|bar| !bar.is_met());
        missed.map(|bar| (bar.of, bar.asked)).collect()
    }

    #[test]
    fn what_is_more_than_may_be_is_told_of_each_and_what_others_need_is_not() {
        assert_eq!(missed(&rows()), []);
        for (index, worse, expected) in [
            (1, time("pick/10", 100.1, 0), "median, ns"),
            (1, time("pick/10", 100.0, 1), "allocations"),
            (2, time("pick/16", 1.0, 1), "allocations"),
            (3, time("pick/10000", 150.1, 0), "median, ns"),
            (3, time("pick/10000", 150.0, 1), "allocations"),
            (4, time("update/kept", 10.1e6, 0), "median, ns"),
            (5, time("update/new", 10.1e6, 0), "median, ns"),
            (6, time("pick/updating", 1.0, 1), "allocations"),
            (7, memory(2049), "bytes of one endpoint"),
        ] {
            let mut rows = rows();
            let bench = worse.bench();
            rows[index] = worse;
            assert_eq!(missed(&rows), [(bench, expected)]);
        }
    }

    #[test]
    fn what_was_not_measured_is_not_met() {
        assert_eq!(missed(&[]).len(), bars(&rows()).len());
    }
}
