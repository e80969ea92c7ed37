//! Refusing a configuration that makes no sense.

use std::borrow::Cow;
use std::fmt;

/// A configuration was refused, whole: what was in force stays in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    field: Cow<'static, str>,
    problem: String,
}

impl ConfigError {
    /// Refuses `field`; `problem` says what is wrong and what would be right.
    pub fn new(field: impl Into<Cow<'static, str>>, problem: impl Into<String>) -> Self {
        Self {
            field: field.into(),
            problem: problem.into(),
        }
    }

    /// The field, or fields, at fault.
    pub fn field(&self) -> &str {
        &self.field
    }

    /// What is wrong, and what would be right.
    pub fn problem(&self) -> &str {
        &self.problem
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.problem)
    }
}

impl std::error::Error for ConfigError {}

/// Refuses `field` unless what it has to be `holds`; `problem` says what is wrong and what would be right.
pub fn require<P: Into<String>>(
    holds: bool,
    field: impl Into<Cow<'static, str>>,
    problem: impl FnOnce() -> P,
) -> Result<(), ConfigError> {
    if holds {
        return Ok(());
    }
    Err(ConfigError::new(field, problem()))
}

/// Refuses a name that is empty; `what` says whose it is, such as `a pool`.
pub fn require_name(field: &'static str, name: &str, what: &str) -> Result<(), ConfigError> {
    require(!name.is_empty(), field, || format!("{what} needs a name"))
}

/// Refuses what is no share of 0 to 1, NaN too.
pub fn require_share(field: &'static str, share: f64) -> Result<(), ConfigError> {
    let holds = (0.0..=1.0).contains(&share);
    require(holds, field, || format!("{share} is no share; use 0 to 1"))
}
