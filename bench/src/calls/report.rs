//! What was measured, as a table or as JSON lines.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::Number;

use crate::Error;
use crate::counted::Counted;
use crate::measure::Measured;

/// One line: times, or what is held.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum Row {
    /// What a call takes.
    Time(Time),
    /// What one of a thing holds.
    Memory(Memory),
}

/// What a call takes.
#[derive(Debug, Serialize)]
pub(crate) struct Time {
    pub(crate) bench: &'static str,
    #[serde(rename = "impl")]
    pub(crate) name: &'static str,
    pub(crate) threads: usize,
    pub(crate) median_ns: f64,
    pub(crate) min_ns: f64,
    pub(crate) allocs: Number,
}

/// What one of a thing holds.
#[derive(Debug, Serialize)]
pub(crate) struct Memory {
    pub(crate) bench: &'static str,
    #[serde(rename = "impl")]
    pub(crate) name: &'static str,
    /// Held once it is made, as asked of the allocator.
    pub(crate) bytes: u64,
    /// In so many pieces.
    pub(crate) allocs: u64,
}

impl Row {
    /// The median and the minimum of what was measured.
    pub(crate) fn of(measured: &Measured) -> Self {
        let median = median(&measured.rounds);
        let minimum = minimum(&measured.rounds);
        Self::time(measured, median, minimum, measured.allocations)
    }

    /// As they are given, about what `measured` is about.
    pub(crate) fn time(measured: &Measured, median: f64, minimum: f64, allocations: f64) -> Self {
        Self::Time(Time {
            bench: measured.bench,
            name: measured.name,
            threads: measured.threads,
            median_ns: rounded(median, 10.0),
            min_ns: rounded(minimum, 10.0),
            allocs: number(rounded(allocations, 100.0)),
        })
    }
}

/// Takes over what the program whose allocator counts has said.
pub(crate) fn adopt(rows: &mut [Row], counted: &[Counted]) -> Result<(), Error> {
    for row in rows {
        let (bench, name) = (row.bench(), row.name());
        let said = counted
            .iter()
            .find(|it| it.bench == bench && it.name == name);
        let said = said.ok_or_else(|| format!("{bench} of {name} was not counted"))?;
        match row {
            Row::Time(row) => row.allocs = said.allocs.clone(),
            Row::Memory(row) => {
                row.bytes = said.bytes.unwrap_or_default();
                row.allocs = said.allocs.as_u64().unwrap_or_default();
            }
        }
    }
    Ok(())
}

/// Writes the table, or one JSON object a line.
pub(crate) fn write(out: &mut impl Write, rows: &[Row], json: bool) -> Result<(), Error> {
    if json {
        for row in rows {
            writeln!(out, "{}", serde_json::to_string(row)?)?;
        }
    } else {
        write_table(out, rows)?;
    }
    Ok(())
}

fn write_table(out: &mut impl Write, rows: &[Row]) -> io::Result<()> {
    writeln!(
        out,
        "{:<28} {:<17} {:>7} {:>10} {:>10} {:>11}",
        "", "", "threads", "median ns", "min ns", "allocations"
    )?;
    let mut last = "";
    for row in rows {
        let bench = row.bench();
        let shown = if bench == last { "" } else { bench };
        last = bench;
        match row {
            Row::Time(row) => writeln!(
                out,
                "{shown:<28} {:<17} {:>7} {:>10.1} {:>10.1} {:>11}",
                row.name,
                row.threads,
                row.median_ns,
                row.min_ns,
                row.allocs.to_string()
            )?,
            Row::Memory(row) => writeln!(
                out,
                "{shown:<28} {:<17} {:>23} bytes {:>11}",
                row.name, row.bytes, row.allocs
            )?,
        }
    }
    Ok(())
}

impl Row {
    pub(crate) fn bench(&self) -> &'static str {
        match self {
            Self::Time(row) => row.bench,
            Self::Memory(row) => row.bench,
        }
    }

    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Time(row) => row.name,
            Self::Memory(row) => row.name,
        }
    }
}

/// Not a number where there is none.
pub(crate) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = |index: usize| sorted.get(index).copied().unwrap_or(f64::NAN);
    f64::midpoint(at(sorted.len().saturating_sub(1) / 2), at(sorted.len() / 2))
}

/// Infinite where there is none.
pub(crate) fn minimum(values: &[f64]) -> f64 {
    values.iter().copied().fold(f64::INFINITY, f64::min)
}

fn rounded(value: f64, parts: f64) -> f64 {
    (value * parts).round() / parts
}

/// A whole count looks like one.
fn number(value: f64) -> Number {
    #[expect(clippy::cast_possible_truncation, reason = "whole, and a few")]
    let whole = (value.fract() == 0.0).then(|| Number::from(value as i64));
    whole
        .or_else(|| Number::from_f64(value))
        .unwrap_or_else(|| 0.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_the_form_that_readers_of_the_figures_expect() {
        let measured = Measured {
            bench: "closed/count",
            name: "buttress",
            threads: 1,
            rounds: vec![12.04, 11.0, 30.0],
            allocations: 0.0,
        };
        let mut out = Vec::new();
        write(&mut out, &[Row::of(&measured)], true).unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "{\"bench\":\"closed/count\",\"impl\":\"buttress\",\"threads\":1,\
             \"median_ns\":12.0,\"min_ns\":11.0,\"allocs\":0}\n"
        );
    }

    #[test]
    fn a_median_lies_between_the_two_middle_values() {
        let even = median(&[4.0, 1.0, 2.0, 3.0]);
        assert_eq!(even.to_string(), "2.5");
        let odd = median(&[3.0, 1.0, 2.0]);
        assert_eq!(odd.to_string(), "2");
    }
}
