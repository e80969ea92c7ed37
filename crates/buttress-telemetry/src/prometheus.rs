//! The Prometheus text page.
//!
//! Format 0.0.4, which every Prometheus and everything that reads like it understands.

use std::collections::BTreeMap;
use std::fmt::Write;

use buttress_core::metric::{Family, Histogram, Kind, Label, Point, Value};

/// The `Content-Type` of the page.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Writes `families` as a page. Families of the same name, of several rooms or of several instances
/// of one, become one; the order is that of the first of each.
///
/// A counter's name ends in `_total`, a state set becomes one 0-or-1 series for each of its states,
/// a histogram its buckets, sum and count. Point and family disagreeing on the kind is a bug of the
/// room; the point is left out.
pub fn encode(families: &[Family]) -> String {
    let mut page = String::new();
    for merged in merge(families) {
        write_family(&mut page, &merged);
    }
    page
}

/// All points of one name.
struct Merged<'a> {
    first: &'a Family,
    points: Vec<&'a Point>,
}

fn merge(families: &[Family]) -> Vec<Merged<'_>> {
    let mut merged: Vec<Merged<'_>> = Vec::new();
    let mut places = BTreeMap::new();
    for family in families {
        let place = *places.entry(family.name).or_insert_with(|| {
            let points = Vec::new();
            merged.push(Merged {
                first: family,
                points,
            });
            merged.len() - 1
        });
        if let Some(found) = merged.get_mut(place)
            && found.first.kind == family.kind
        {
            found.points.extend(&family.points);
        }
    }
    merged
}

fn write_family(page: &mut String, family: &Merged<'_>) {
    let Family {
        name, help, kind, ..
    } = family.first;
    let (suffix, kind_name) = match kind {
        Kind::Counter => ("_total", "counter"),
        Kind::Histogram => ("", "histogram"),
        _ => ("", "gauge"),
    };
    page.push_str("# HELP ");
    page.push_str(name);
    page.push_str(suffix);
    page.push(' ');
    escape(page, help, false);
    // Writing to a string cannot fail.
    let _ = writeln!(page, "\n# TYPE {name}{suffix} {kind_name}");
    for point in &family.points {
        write_point(page, name, *kind, point);
    }
}

fn write_point(page: &mut String, name: &str, kind: Kind, point: &Point) {
    let labels = &point.labels;
    match (kind, &point.value) {
        (Kind::Counter, Value::Counter(count)) => {
            series(page, name, "_total", labels, None);
            let _ = writeln!(page, "{count}");
        }
        (Kind::Gauge, Value::Gauge(value)) => {
            series(page, name, "", labels, None);
            number(page, *value);
            page.push('\n');
        }
        (
            Kind::StateSet,
            Value::State {
                label,
                states,
                current,
            },
        ) => {
            for (index, state) in states.iter().enumerate() {
                series(page, name, "", labels, Some((label, state)));
                page.push_str(if index == *current { "1\n" } else { "0\n" });
            }
        }
        (Kind::Histogram, Value::Histogram(histogram)) => {
            write_histogram(page, name, labels, histogram);
        }
        _ => {}
    }
}

fn write_histogram(page: &mut String, name: &str, labels: &[Label], histogram: &Histogram) {
    for (bound, count) in &histogram.classic {
        let mut le = String::new();
        number(&mut le, *bound);
        series(page, name, "_bucket", labels, Some(("le", &le)));
        let _ = writeln!(page, "{count}");
    }
    series(page, name, "_bucket", labels, Some(("le", "+Inf")));
    let _ = writeln!(page, "{}", histogram.count);
    series(page, name, "_sum", labels, None);
    number(page, histogram.sum);
    page.push('\n');
    series(page, name, "_count", labels, None);
    let _ = writeln!(page, "{}", histogram.count);
}

/// Writes `name{labels} `, up to where the value goes.
fn series(
    page: &mut String,
    name: &str,
    suffix: &str,
    labels: &[Label],
    extra: Option<(&str, &str)>,
) {
    page.push_str(name);
    page.push_str(suffix);
    let all = labels.iter().map(|(key, value)| (*key, value.as_ref()));
    let mut open = false;
    for (key, value) in all.chain(extra) {
        page.push(if open { ',' } else { '{' });
        open = true;
        page.push_str(key);
        page.push_str("=\"");
        escape(page, value, true);
        page.push('"');
    }
    page.push_str(if open { "} " } else { " " });
}

/// Escapes what would end a line, or a label's value.
fn escape(page: &mut String, text: &str, quoted: bool) {
    for char in text.chars() {
        match char {
            '\\' => page.push_str("\\\\"),
            '\n' => page.push_str("\\n"),
            '"' if quoted => page.push_str("\\\""),
            char => page.push(char),
        }
    }
}

fn number(page: &mut String, value: f64) {
    if value.is_infinite() {
        page.push_str(if value > 0.0 { "+Inf" } else { "-Inf" });
    } else {
        // NaN is written so, and any other number in its shortest form that reads back the same.
        let _ = write!(page, "{value}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::borrow::Cow;

    fn one(value: Cow<'static, str>) -> Vec<Label> {
        vec![("label", value)]
    }

    #[test]
    fn families_of_one_name_become_one_in_the_order_of_the_first() {
        let counter = |label: &'static str, count| {
            Family::new("jobs", Kind::Counter, "Jobs.")
                .with(one(label.into()), Value::Counter(count))
        };
        let gauge = Family::new("depth", Kind::Gauge, "Depth.").with(vec![], Value::Gauge(0.5));
        let page = encode(&[counter("a", 1), gauge, counter("b", 2)]);
        assert_eq!(
            page,
            "# HELP jobs_total Jobs.\n# TYPE jobs_total counter\n\
             jobs_total{label=\"a\"} 1\njobs_total{label=\"b\"} 2\n\
             # HELP depth Depth.\n# TYPE depth gauge\ndepth 0.5\n"
        );
    }

    #[test]
    fn a_state_set_is_one_series_for_each_state() {
        let value = Value::State {
            label: "state",
            states: &["closed", "open"],
            current: 1,
        };
        let family = Family::new("breaker_state", Kind::StateSet, "State.");
        let page = encode(&[family.with(one("b".into()), value)]);
        assert!(page.contains("# TYPE breaker_state gauge\n"));
        assert!(page.contains("breaker_state{label=\"b\",state=\"closed\"} 0\n"));
        assert!(page.contains("breaker_state{label=\"b\",state=\"open\"} 1\n"));
    }

    #[test]
    fn a_histogram_ends_in_its_infinite_bucket_sum_and_count() {
        let mut histogram = Histogram::default();
        histogram.classic = vec![(0.005, 1), (1.0, 2)];
        (histogram.count, histogram.sum) = (3, 12.25);
        let family = Family::new("wait_seconds", Kind::Histogram, "Wait.");
        let page = encode(&[family.with(vec![], Value::Histogram(histogram))]);
        let lines: Vec<_> = page.lines().skip(1).collect();
        assert_eq!(
            lines,
            [
                "# TYPE wait_seconds histogram",
                "wait_seconds_bucket{le=\"0.005\"} 1",
                "wait_seconds_bucket{le=\"1\"} 2",
                "wait_seconds_bucket{le=\"+Inf\"} 3",
                "wait_seconds_sum 12.25",
                "wait_seconds_count 3",
            ]
        );
    }

    #[test]
    fn a_point_of_another_kind_than_its_family_is_left_out() {
        let family = Family::new("odd", Kind::Counter, "Odd.").with(vec![], Value::Gauge(1.0));
        assert_eq!(
            encode(&[family]),
            "# HELP odd_total Odd.\n# TYPE odd_total counter\n"
        );
    }

    #[test]
    fn the_numbers_that_are_none_are_written_as_the_format_wants() {
        let family = Family::new("g", Kind::Gauge, "G.")
            .with(one("inf".into()), Value::Gauge(f64::INFINITY))
            .with(one("neg".into()), Value::Gauge(f64::NEG_INFINITY))
            .with(one("nan".into()), Value::Gauge(f64::NAN));
        let page = encode(&[family]);
        assert!(page.contains("\"inf\"} +Inf\n"));
        assert!(page.contains("\"neg\"} -Inf\n"));
        assert!(page.contains("\"nan\"} NaN\n"));
    }
}
