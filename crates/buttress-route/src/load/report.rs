//! A report, read and written.

use std::error::Error;
use std::fmt;

use super::{binary, json, text};

/// A longer header is not read.
pub(super) const LONGEST: usize = 4096;
/// A utilisation beyond a hundred times what there is says nothing.
const MOST_UTILIZATION: f64 = 100.0;
/// Nobody takes more requests a second.
const MOST_RATE: f64 = 1e9;

/// What an endpoint says of its load. What it does not say is `None`; what is beyond its bounds is not printed.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct LoadReport {
    /// The share of the CPU that is used; above 1 where more is asked for than there is. 0 to 100.
    pub cpu_utilization: Option<f64>,
    /// How busy the application is by its own measure, such as places taken of those there are. 0 to 100; above 1 it
    /// has more than it should.
    pub application_utilization: Option<f64>,
    /// The share of the memory that is used, 0 to 1.
    pub mem_utilization: Option<f64>,
    /// Requests a second, 0 to 1e9.
    pub rps_fractional: Option<f64>,
    /// Errors a second, 0 to 1e9.
    pub eps: Option<f64>,
}

/// Why a report is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Malformed {
    /// It is longer than 4096 bytes.
    TooLong,
    /// It is neither `TEXT` nor `JSON`.
    Form,
    /// It is not what its form asks for.
    Syntax,
    /// A value is no number, negative or absurd.
    Value,
    /// A metric is there twice.
    Repeated,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooLong => "the load report is longer than 4096 bytes",
            Self::Form => "the load report has to begin with TEXT or JSON",
            Self::Syntax => {
                "the load report has to be name=value, by commas, a flat JSON object, or protobuf in base64"
            }
            Self::Value => "a metric of the load report is no number within its bounds",
            Self::Repeated => "a metric is in the load report twice",
        })
    }
}

impl Error for Malformed {}

impl LoadReport {
    /// One that says nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The share of the CPU that is used.
    #[must_use]
    pub const fn cpu_utilization(mut self, utilization: f64) -> Self {
        self.cpu_utilization = Some(utilization);
        self
    }

    /// How busy the application is by its own measure.
    #[must_use]
    pub const fn application_utilization(mut self, utilization: f64) -> Self {
        self.application_utilization = Some(utilization);
        self
    }

    /// The share of the memory that is used.
    #[must_use]
    pub const fn mem_utilization(mut self, utilization: f64) -> Self {
        self.mem_utilization = Some(utilization);
        self
    }

    /// Requests a second.
    #[must_use]
    pub const fn rps_fractional(mut self, rate: f64) -> Self {
        self.rps_fractional = Some(rate);
        self
    }

    /// Errors a second.
    #[must_use]
    pub const fn eps(mut self, rate: f64) -> Self {
        self.eps = Some(rate);
        self
    }

    /// Reads a header's value, whole or not at all. Metrics that are not named here (`named_metrics.…`,
    /// `utilization.…`, `request_cost.…` and any other) have to be numbers and are passed over.
    pub fn parse(value: &[u8]) -> Result<Self, Malformed> {
        if value.len() > LONGEST {
            return Err(Malformed::TooLong);
        }
        let value = str::from_utf8(value).map_err(|_| Malformed::Syntax)?.trim();
        let (form, metrics) = value.split_once(' ').unwrap_or((value, ""));
        match form {
            "TEXT" => text::read(metrics.trim()),
            "JSON" => json::read(metrics.trim()),
            _ => Err(Malformed::Form),
        }
    }

    /// Reads the value of `endpoint-load-metrics-bin`, whole or not at all: `OrcaLoadReport` in protobuf, in base64.
    pub fn parse_binary(value: &[u8]) -> Result<Self, Malformed> {
        if value.len() > LONGEST {
            return Err(Malformed::TooLong);
        }
        binary::read(value)
    }

    /// How busy the endpoint is: the application's measure if it has one that says anything, else the CPU's.
    pub fn utilization(&self) -> Option<f64> {
        let application = self.application_utilization;
        // To those who always send all of them 0 is what was not set.
        let says = application.filter(|utilization| *utilization > 0.0);
        says.or(self.cpu_utilization).or(application)
    }

    /// Takes a metric by its name, or passes over it.
    pub(super) fn take(&mut self, name: &str, value: f64) -> Result<(), Malformed> {
        let Some((field, most)) = self.field(name) else {
            return Ok(());
        };
        if field.is_some() {
            return Err(Malformed::Repeated);
        }
        *field = Some(within(value, most).ok_or(Malformed::Value)?);
        Ok(())
    }

    /// Whether a metric of this name is kept.
    pub(super) fn knows(&mut self, name: &str) -> bool {
        self.field(name).is_some()
    }

    /// Where a metric is kept, and its bound. JSON has names in either of protobuf's manners.
    fn field(&mut self, name: &str) -> Option<(&mut Option<f64>, f64)> {
        Some(match name {
            "cpu_utilization" | "cpuUtilization" => (&mut self.cpu_utilization, MOST_UTILIZATION),
            "application_utilization" | "applicationUtilization" => {
                (&mut self.application_utilization, MOST_UTILIZATION)
            }
            "mem_utilization" | "memUtilization" => (&mut self.mem_utilization, 1.0),
            "rps_fractional" | "rpsFractional" => (&mut self.rps_fractional, MOST_RATE),
            "eps" => (&mut self.eps, MOST_RATE),
            _ => return None,
        })
    }

    /// The metrics that would be believed, in the order in which they are printed.
    fn metrics(&self) -> impl Iterator<Item = (&'static str, f64)> {
        let all = [
            ("cpu_utilization", self.cpu_utilization, MOST_UTILIZATION),
            (
                "application_utilization",
                self.application_utilization,
                MOST_UTILIZATION,
            ),
            ("mem_utilization", self.mem_utilization, 1.0),
            ("rps_fractional", self.rps_fractional, MOST_RATE),
            ("eps", self.eps, MOST_RATE),
        ];
        let believed =
            |(name, value, most): (_, Option<f64>, _)| Some((name, within(value?, most)?));
        all.into_iter().filter_map(believed)
    }

    /// Whether there is nothing in it that would be believed.
    pub fn is_empty(&self) -> bool {
        self.metrics().next().is_none()
    }
}

/// The `TEXT` form, without what no reader would believe.
impl fmt::Display for LoadReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TEXT")?;
        for (n, (name, value)) in self.metrics().enumerate() {
            let before = if n == 0 { ' ' } else { ',' };
            write!(f, "{before}{name}={value}")?;
        }
        Ok(())
    }
}

/// The value, without a sign, if it is one from 0 to `most`.
fn within(value: f64, most: f64) -> Option<f64> {
    (0.0..=most).contains(&value).then(|| value.abs())
}

/// A number that is written in full: begins and ends with a digit, and is finite.
pub(super) fn number(written: &str) -> Result<f64, Malformed> {
    let ends: [Option<&u8>; 2] = [written.as_bytes().first(), written.as_bytes().last()];
    let plain = (ends.iter()).all(|end| end.is_some_and(u8::is_ascii_digit));
    let value = written.parse().ok().filter(|value: &f64| value.is_finite());
    value.filter(|_| plain).ok_or(Malformed::Value)
}
