//! The components of a service, and who may ask for their health.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use buttress_core::config::ConfigError;
use buttress_core::health::{HealthSignal, HealthStatus};

use crate::finding::Finding;
use crate::readiness::Readiness;
use crate::report::{Component, Report};

type Check = Box<dyn Fn() -> Finding + Send + Sync>;

/// Gathers the components of a service; [`Health::build`] makes the handle that is asked.
#[derive(Debug)]
#[must_use = "nothing is checked before `build`"]
pub struct Health {
    components: Vec<Entry>,
    readiness: Readiness,
}

struct Entry {
    name: String,
    critical: bool,
    check: Check,
}

/// Tells the health of a service. Cheap to clone.
#[derive(Clone, Debug)]
pub struct HealthHandle(Arc<Health>);

impl Default for Health {
    fn default() -> Self {
        Self::new()
    }
}

impl Health {
    /// A service of no components that is ready.
    pub fn new() -> Self {
        Self {
            components: Vec::new(),
            readiness: Readiness::ready(),
        }
    }

    /// Is ready when `readiness` says so.
    pub fn readiness(mut self, readiness: Readiness) -> Self {
        self.readiness = readiness;
        self
    }

    /// A component without which the service cannot do its work.
    ///
    /// `check` runs whenever a report is asked for: it tells what is known, and does not wait.
    pub fn critical<F, T>(self, name: impl Into<String>, check: F) -> Self
    where
        F: Fn() -> T + Send + Sync + 'static,
        T: Into<Finding>,
    {
        self.component(name.into(), true, Box::new(move || check().into()))
    }

    /// A component whose loss degrades the service, and no more.
    ///
    /// `check` runs whenever a report is asked for: it tells what is known, and does not wait.
    pub fn optional<F, T>(self, name: impl Into<String>, check: F) -> Self
    where
        F: Fn() -> T + Send + Sync + 'static,
        T: Into<Finding>,
    {
        self.component(name.into(), false, Box::new(move || check().into()))
    }

    /// As [`Health::critical`], by what a room publishes.
    pub fn critical_signal(self, name: impl Into<String>, signal: HealthSignal) -> Self {
        self.critical(name, move || signal.status())
    }

    /// As [`Health::optional`], by what a room publishes.
    pub fn optional_signal(self, name: impl Into<String>, signal: HealthSignal) -> Self {
        self.optional(name, move || signal.status())
    }

    /// The handle. Refuses a name that is empty or given twice.
    pub fn build(self) -> Result<HealthHandle, ConfigError> {
        for (at, entry) in self.components.iter().enumerate() {
            if entry.name.is_empty() {
                let problem = "a component has an empty name; give it one of its own";
                return Err(ConfigError::new("component", problem));
            }
            let before = self.components.iter().take(at);
            if before.into_iter().any(|other| other.name == entry.name) {
                let problem = format!("two components are named `{}`; name them apart", entry.name);
                return Err(ConfigError::new("component", problem));
            }
        }
        Ok(HealthHandle(Arc::new(self)))
    }

    fn component(mut self, name: String, critical: bool, check: Check) -> Self {
        self.components.push(Entry {
            name,
            critical,
            check,
        });
        self
    }
}

impl HealthHandle {
    /// Whether the process works. It does if it can answer; no dependency is asked.
    pub fn is_live(&self) -> bool {
        true
    }

    /// Whether traffic should come.
    pub fn is_ready(&self) -> bool {
        self.0.readiness.is_ready()
    }

    /// Where in its life the process is.
    pub fn readiness(&self) -> &Readiness {
        &self.0.readiness
    }

    /// Asks every component.
    pub fn report(&self) -> Report {
        Report::new(self.0.components.iter().map(Entry::ask).collect())
    }
}

impl Entry {
    fn ask(&self) -> Component {
        Component {
            name: self.name.clone(),
            critical: self.critical,
            finding: catch_unwind(AssertUnwindSafe(&self.check)).unwrap_or_else(|_| panicked()),
        }
    }
}

/// Nothing is known of the component, and a broken check is no reason to send all traffic away.
fn panicked() -> Finding {
    Finding::new(HealthStatus::Degraded)
        .because("the check panicked; nothing is known of this component")
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry")
            .field("name", &self.name)
            .field("critical", &self.critical)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use HealthStatus::{Degraded, Healthy, Unhealthy};

    #[test]
    fn a_component_is_asked_each_time_and_a_signal_is_read() {
        let signal = HealthSignal::new();
        let health = Health::new().critical_signal("pool", signal.clone());
        let health = health.build().unwrap();
        for status in [Healthy, Degraded, Unhealthy] {
            signal.publish(status);
            assert_eq!(health.report().status(), status);
        }
    }

    #[test]
    fn a_check_that_panics_is_named_and_the_others_are_still_asked() {
        let health = Health::new()
            .critical("broken", || -> HealthStatus { panic!("in a check") })
            .critical("sound", || Healthy)
            .build()
            .unwrap();
        let report = health.report();
        let [broken, sound] = report.components() else {
            panic!("{report:?}");
        };
        assert_eq!(broken.finding.status(), Degraded);
        assert!(broken.finding.reason().unwrap().contains("panicked"));
        assert_eq!(sound.finding.status(), Healthy);
    }

    #[test]
    fn a_name_given_twice_or_empty_is_refused() {
        let twice = Health::new().critical("a", || Healthy);
        let twice = twice.optional("b", || Healthy).optional("a", || Healthy);
        let error = twice.build().unwrap_err();
        assert!(error.to_string().contains("`a`"), "{error}");
        assert!(Health::new().optional("", || Healthy).build().is_err());
    }

    #[test]
    fn a_dependency_that_is_away_restarts_nothing_and_sends_no_traffic_away() {
        let health = Health::new().critical("database", || Unhealthy);
        let health = health.build().unwrap();
        assert!(health.is_live() && health.is_ready());
        assert!(!health.report().status().serves());
        health.readiness().drain();
        assert!(health.is_live() && !health.is_ready());
    }
}
