//! The two text forms: Prometheus' own of version 0.0.4, and `OpenMetrics` 1.0.

use std::fmt::Write;

use buttress_core::metric::{Exemplar, Family, Histogram, Kind, Point, Value};

use super::classic::buckets;
use super::lines::{escape, pair, series};
use super::merged::{Merged, merge, pairs};
use super::sample::{Number, Sample, samples};

/// Which of the two.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    Prometheus,
    OpenMetrics,
}

/// The units that a name may end in.
const UNITS: [&str; 3] = ["seconds", "bytes", "ratio"];

pub(super) fn encode(families: &[Family], dialect: Dialect) -> String {
    let mut page = String::new();
    for family in merge(families) {
        dialect.head(&mut page, &family);
        for point in &family.points {
            dialect.point(&mut page, &family, point);
        }
    }
    if dialect == Dialect::OpenMetrics {
        page.push_str("# EOF\n");
    }
    page
}

// Writing to a string cannot fail.
impl Dialect {
    fn head(self, page: &mut String, family: &Merged<'_>) {
        let of_family = match self {
            Self::Prometheus => family.suffix(),
            Self::OpenMetrics => "",
        };
        let name = format_args!("{}{of_family}", family.name);
        let _ = write!(page, "# HELP {name} ");
        escape(page, family.help, self == Self::OpenMetrics);
        let _ = writeln!(page, "\n# TYPE {name} {}", self.kind(family.kind));
        if self == Self::OpenMetrics
            && let Some(unit) = unit(family)
        {
            let _ = writeln!(page, "# UNIT {name} {unit}");
        }
    }

    const fn kind(self, kind: Kind) -> &'static str {
        match (kind, self) {
            (Kind::Counter, _) => "counter",
            (Kind::Histogram, _) => "histogram",
            (Kind::StateSet, Self::OpenMetrics) => "stateset",
            _ => "gauge",
        }
    }

    fn point(self, page: &mut String, family: &Merged<'_>, point: &Point) {
        if let (Kind::Histogram, Value::Histogram(histogram)) = (family.kind, &point.value) {
            self.histogram(page, family.name, point, histogram);
        }
        for sample in samples(family.kind, &point.value) {
            self.sample(page, family, point, &sample);
        }
    }

    fn sample(self, page: &mut String, family: &Merged<'_>, point: &Point, sample: &Sample) {
        let named = match (self, sample.state) {
            (Self::OpenMetrics, Some((_, state))) => Some((family.name, state)),
            _ => None,
        };
        let labels = pairs(&point.labels).chain(sample.state).chain(named);
        series(page, family.name, family.suffix(), labels);
        match sample.number {
            Number::Integer(integer) => {
                let _ = write!(page, "{integer}");
            }
            Number::Real(real) => self.number(page, real),
        }
        page.push('\n');
    }

    fn histogram(self, page: &mut String, name: &str, point: &Point, histogram: &Histogram) {
        let mut le = String::new();
        for bucket in buckets(histogram) {
            le.clear();
            self.number(&mut le, bucket.bound);
            let labels = pairs(&point.labels).chain([("le", le.as_str())]);
            series(page, name, "_bucket", labels);
            let _ = write!(page, "{}", bucket.count);
            if self == Self::OpenMetrics
                && let Some(exemplar) = bucket.exemplar
            {
                self.exemplar(page, exemplar);
            }
            page.push('\n');
        }
        series(page, name, "_sum", pairs(&point.labels));
        self.number(page, histogram.sum);
        page.push('\n');
        series(page, name, "_count", pairs(&point.labels));
        let _ = writeln!(page, "{}", histogram.count);
    }

    /// ` # {trace_id="…",span_id="…"} value time`.
    fn exemplar(self, page: &mut String, exemplar: &Exemplar) {
        page.push_str(" # {");
        pair(page, "trace_id", &format!("{:032x}", exemplar.trace_id));
        page.push(',');
        pair(page, "span_id", &format!("{:016x}", exemplar.span_id));
        page.push_str("} ");
        self.number(page, exemplar.value);
        let (seconds, millis) = (exemplar.at.as_secs(), exemplar.at.subsec_millis());
        let _ = write!(page, " {seconds}.{millis:03}");
    }

    /// Writes a number in its shortest form that is read back to the bit. In `OpenMetrics` it has a
    /// point or an exponent: the bound of a bucket is `1.0` there and `1` in Prometheus' text.
    fn number(self, page: &mut String, value: f64) {
        let _ = match (self, value.is_infinite()) {
            (_, true) => write!(page, "{}Inf", if value > 0.0 { '+' } else { '-' }),
            (Self::Prometheus, false) => write!(page, "{value}"),
            (Self::OpenMetrics, false) => write!(page, "{value:?}"),
        };
    }
}

/// The unit, if the name says one and the kind may have one.
fn unit(family: &Merged<'_>) -> Option<&'static str> {
    let (before, last) = family.name.rsplit_once('_')?;
    let unit = UNITS.into_iter().find(|unit| *unit == last)?;
    (!before.is_empty() && family.kind != Kind::StateSet).then_some(unit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::borrow::Cow;

    use buttress_core::metric::Label;

    fn encode(families: &[Family]) -> String {
        super::encode(families, Dialect::Prometheus)
    }

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
