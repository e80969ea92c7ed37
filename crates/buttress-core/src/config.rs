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
