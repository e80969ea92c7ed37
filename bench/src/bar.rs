//! A figure and the most that it may be, for `--judge`.

use std::io::{self, Write};

use serde::Serialize;

use crate::Error;

/// A figure, and the most that it may be.
#[derive(Debug, Serialize)]
pub(crate) struct Bar {
    /// What was measured
    pub(crate) of: &'static str,
    /// What is asked of it
    pub(crate) asked: &'static str,
    /// Not a number where nothing was seen, which meets nothing
    pub(crate) seen: f64,
    pub(crate) limit: f64,
}

impl Bar {
    pub(crate) fn is_met(&self) -> bool {
        self.seen <= self.limit
    }

    fn write_line(&self, out: &mut impl Write) -> io::Result<()> {
        let mark = if self.is_met() { "met" } else { "NOT met" };
        let Self {
            of,
            asked,
            seen,
            limit,
        } = self;
        writeln!(
            out,
            "{mark:<8} {of:<16} {asked:<36} {seen:>12.2}, may be {limit}"
        )
    }
}

#[derive(Serialize)]
struct Line<'a> {
    #[serde(flatten)]
    bar: &'a Bar,
    met: bool,
}

/// Writes a line of each and how many are met, or one JSON object a line; tells whether all are.
pub(crate) fn write(out: &mut impl Write, bars: &[Bar], json: bool) -> Result<bool, Error> {
    let met = bars.iter().filter(|bar| bar.is_met()).count();
    if json {
        for bar in bars {
            let met = bar.is_met();
            writeln!(out, "{}", serde_json::to_string(&Line { bar, met })?)?;
        }
    } else {
        writeln!(out)?;
        for bar in bars {
            bar.write_line(out)?;
        }
        writeln!(out, "{met} of {} are met", bars.len())?;
    }
    Ok(met == bars.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bar(seen: f64, limit: f64) -> Bar {
        Bar {
            of: "pick/10",
            asked: "median, ns",
            seen,
            limit,
        }
    }

    fn written(bars: &[Bar], json: bool) -> (String, bool) {
        let mut out = Vec::new();
        let all = write(&mut out, bars, json).unwrap();
        (String::from_utf8(out).unwrap(), all)
    }

    #[test]
    fn a_limit_itself_is_met_and_what_is_beyond_it_or_was_not_seen_is_not() {
        for (seen, met) in [
            (0.9, true),
            (1.0, true),
            (1.1, false),
            (f64::INFINITY, false),
            (f64::NAN, false),
        ] {
            assert_eq!(bar(seen, 1.0).is_met(), met, "{seen}");
        }
    }

    #[test]
    fn each_is_told_with_its_limit_and_one_that_is_not_met_is_enough() {
        let (text, all) = written(&[bar(99.0, 100.0), bar(3.0, 2.5)], false);
        assert!(!all && text.contains("1 of 2 are met"), "{text}");
        let lines: Vec<_> = text.lines().filter(|line| line.contains("pick")).collect();
        assert!(lines[0].starts_with("met ") && lines[0].ends_with("99.00, may be 100"));
        assert!(lines[1].starts_with("NOT met ") && lines[1].ends_with("3.00, may be 2.5"));
        assert!(written(&[bar(99.0, 100.0)], false).1);
    }

    #[test]
    fn a_line_of_json_says_what_was_seen_what_may_be_and_whether_it_is_met() {
        let (text, _) = written(&[bar(100.5, 100.0)], true);
        let line: serde_json::Value = serde_json::from_str(&text).unwrap();
        let expected = serde_json::json!({
            "of": "pick/10", "asked": "median, ns", "seen": 100.5, "limit": 100.0, "met": false,
        });
        assert_eq!(line, expected);
    }
}
