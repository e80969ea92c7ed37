//! What a check found.

use buttress_core::health::HealthStatus;
use serde_json::{Map, Value};

/// What a check found: a status, and the evidence for it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Finding {
    status: HealthStatus,
    reason: Option<String>,
    details: Map<String, Value>,
}

impl Finding {
    /// A finding of `status`, with nothing more to say.
    pub fn new(status: HealthStatus) -> Self {
        Self {
            status,
            ..Self::default()
        }
    }

    /// Says why, in words.
    #[must_use]
    pub fn because(mut self, reason: impl Into<String>) -> Self {
        self.reason = Some(reason.into());
        self
    }

    /// Adds a figure or a fact that `reason` rests on.
    #[must_use]
    pub fn detail(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.details.insert(name.into(), value.into());
        self
    }

    /// The status.
    pub fn status(&self) -> HealthStatus {
        self.status
    }

    /// Why, in words.
    pub fn reason(&self) -> Option<&str> {
        self.reason.as_deref()
    }

    /// What the reason rests on.
    pub fn details(&self) -> &Map<String, Value> {
        &self.details
    }
}

impl From<HealthStatus> for Finding {
    fn from(status: HealthStatus) -> Self {
        Self::new(status)
    }
}
