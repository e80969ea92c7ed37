//! Which form an `Accept` header asks for (RFC 9110, section 12.5.1).

use http::HeaderMap;
use http::header::ACCEPT;

use super::Format;

/// The forms, those preferred among equals last.
const FORMS: &[Format] = &[
    Format::Text,
    Format::OpenMetrics,
    #[cfg(feature = "protobuf")]
    Format::Protobuf,
];

/// How well a range fits a form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fit {
    Anything,
    Type,
    Name,
    Version,
}

/// What is known of one form: the best fit among the ranges, and its weight in thousandths.
type Found = Option<(Fit, u16)>;

pub(super) fn preferred(headers: &HeaderMap) -> Format {
    let mut best = (0, false, Format::Text);
    for &form in FORMS {
        let Some((fit, weight)) = found(headers, form) else {
            continue;
        };
        let named = fit >= Fit::Name;
        // Among wildcards text, which comes first, stays.
        let better =
            (weight, named) > (best.0, best.1) || (named && (weight, named) == (best.0, best.1));
        if weight > 0 && better {
            best = (weight, named, form);
        }
    }
    best.2
}

/// The range that fits `form` best says its weight, whatever less fitting ones say.
fn found(headers: &HeaderMap, form: Format) -> Found {
    let values = headers.get_all(ACCEPT).iter();
    let ranges = values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| split(value, ','));
    ranges.filter_map(|range| fit(range, form)).max()
}

/// How `range` fits `form`, if it does and is well formed.
fn fit(range: &str, form: Format) -> Found {
    let mut parts = split(range, ';').map(str::trim);
    let (of_type, subtype) = parts.next()?.split_once('/')?;
    let (mut weight, mut asked) = (1000, Parameters::default());
    for part in parts.filter(|part| !part.is_empty()) {
        let (name, value) = part.split_once('=')?;
        if name.trim_end().eq_ignore_ascii_case("q") {
            weight = thousandths(value.trim_start())?;
        } else {
            asked.take(name.trim_end(), unquoted(value.trim_start()));
        }
    }
    let fit = asked.fit(of_type, subtype, form)?;
    Some((fit, weight))
}

/// The parameters that tell forms apart; what else there may be (`charset`, `escaping`) changes
/// nothing: every name on a page is one that needs no escaping.
#[derive(Default)]
struct Parameters<'a> {
    version: Option<&'a str>,
    proto: Option<&'a str>,
    encoding: Option<&'a str>,
}

impl<'a> Parameters<'a> {
    fn take(&mut self, name: &str, value: &'a str) {
        let known = [
            ("version", &mut self.version),
            ("proto", &mut self.proto),
            ("encoding", &mut self.encoding),
        ];
        for (known, place) in known {
            if name.eq_ignore_ascii_case(known) {
                *place = Some(value);
            }
        }
    }

    fn fit(&self, of_type: &str, subtype: &str, form: Format) -> Option<Fit> {
        let wildcard = |own: &str| match (of_type, subtype) {
            ("*", "*") => Some(Fit::Anything),
            (_, "*") if of_type.eq_ignore_ascii_case(own) => Some(Fit::Type),
            _ => None,
        };
        let named = |own: (&str, &str)| {
            of_type.eq_ignore_ascii_case(own.0) && subtype.eq_ignore_ascii_case(own.1)
        };
        match form {
            Format::Text if named(("text", "plain")) => self.of_version("0.0.4"),
            Format::Text => wildcard("text"),
            Format::OpenMetrics if named(("application", "openmetrics-text")) => {
                self.of_version("1.0.0")
            }
            Format::OpenMetrics => wildcard("application"),
            #[cfg(feature = "protobuf")]
            Format::Protobuf => {
                let asked = named(("application", "vnd.google.protobuf"))
                    && self.proto == Some("io.prometheus.client.MetricFamily")
                    && self.encoding == Some("delimited");
                asked.then_some(Fit::Version)
            }
        }
    }

    fn of_version(&self, own: &str) -> Option<Fit> {
        match self.version {
            None => Some(Fit::Name),
            Some(version) => (version == own).then_some(Fit::Version),
        }
    }
}

/// A weight: 0 to 1 with up to three digits after the point.
fn thousandths(text: &str) -> Option<u16> {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
    let digits = decimals.len() <= 3 && decimals.bytes().all(|byte| byte.is_ascii_digit());
    if !digits {
        return None;
    }
    let decimals = format!("{decimals:0<3}").parse::<u16>().ok()?;
    match (whole, decimals) {
        ("0", _) => Some(decimals),
        ("1", 0) => Some(1000),
        _ => None,
    }
}

fn unquoted(value: &str) -> &str {
    let inside = value
        .strip_prefix('"')
        .and_then(|value| value.strip_suffix('"'));
    inside.unwrap_or(value)
}

/// The parts between `separator`s that are not within quotes.
fn split(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let (mut quoted, mut escaped) = (false, false);
    text.split(move |char| {
        match char {
            _ if escaped => escaped = false,
            '\\' => escaped = quoted,
            '"' => quoted = !quoted,
            _ => return char == separator && !quoted,
        }
        false
    })
}
