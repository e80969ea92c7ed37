//! The health of a service, component by component.

use buttress_core::health::HealthStatus;
use serde_json::{Map, Value, json};

use crate::finding::Finding;

/// The content type of [`Report::to_json`], of draft-inadarei-api-health-check-06.
pub const CONTENT_TYPE: &str = "application/health+json";

/// The health of a service at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    status: HealthStatus,
    components: Vec<Component>,
}

/// One component in a [`Report`].
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Component {
    /// Its name, the only one in its report.
    pub name: String,
    /// Whether the service can do its work without it.
    pub critical: bool,
    /// How it is.
    pub finding: Finding,
}

impl Report {
    pub(crate) fn new(components: Vec<Component>) -> Self {
        let worst = components.iter().map(Component::weight).max();
        Self {
            // Of no components nothing bad is known, and the process answers.
            status: worst.unwrap_or(HealthStatus::Healthy),
            components,
        }
    }

    /// The status of the service: that of its worst critical component; an optional one degrades it
    /// at most, and one of which nothing is known yet does not count beside others.
    pub fn status(&self) -> HealthStatus {
        self.status
    }

    /// The components, in the order in which they were registered.
    pub fn components(&self) -> &[Component] {
        &self.components
    }

    /// The report as `application/health+json`: `status` is `pass`, `warn` or `fail`, `health` says
    /// it in buttress's own word, `checks` has an entry for each component.
    pub fn to_json(&self) -> Value {
        let checks: Map<String, Value> = self.components.iter().map(Component::to_json).collect();
        json!({
            "status": word(self.status),
            "health": self.status.as_str(),
            "checks": checks,
        })
    }
}

impl Component {
    fn weight(&self) -> HealthStatus {
        let status = self.finding.status();
        if self.critical {
            status
        } else {
            status.min(HealthStatus::Degraded)
        }
    }

    fn to_json(&self) -> (String, Value) {
        let status = self.finding.status();
        let mut check = Map::new();
        check.insert("status".into(), word(status).into());
        check.insert("health".into(), status.as_str().into());
        check.insert("critical".into(), self.critical.into());
        if let Some(reason) = self.finding.reason() {
            check.insert("output".into(), reason.into());
        }
        if !self.finding.details().is_empty() {
            check.insert("details".into(), self.finding.details().clone().into());
        }
        // A list, because the format has one entry for each node of a component.
        (self.name.clone(), Value::Array(vec![check.into()]))
    }
}

/// The format's word for a status. It has none for what is not known; such a component serves.
fn word(status: HealthStatus) -> &'static str {
    match status {
        HealthStatus::Healthy => "pass",
        HealthStatus::Unhealthy => "fail",
        _ => "warn",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use HealthStatus::{Degraded, Healthy, Unhealthy, Unknown};

    fn report(components: &[(bool, HealthStatus)]) -> Report {
        let components = components
            .iter()
            .enumerate()
            .map(|(n, &(critical, status))| {
                let finding = Finding::new(status);
                let name = n.to_string();
                Component {
                    name,
                    critical,
                    finding,
                }
            });
        Report::new(components.collect())
    }

    #[test]
    fn the_service_is_as_its_worst_critical_component() {
        let cases: [(&[(bool, HealthStatus)], HealthStatus); 7] = [
            (&[], Healthy),
            (&[(true, Unknown)], Unknown),
            (&[(true, Unknown), (true, Healthy)], Healthy),
            (&[(true, Degraded), (true, Healthy)], Degraded),
            (
                &[(true, Healthy), (true, Unhealthy), (true, Degraded)],
                Unhealthy,
            ),
            (&[(true, Healthy), (false, Unhealthy)], Degraded),
            (&[(true, Unhealthy), (false, Healthy)], Unhealthy),
        ];
        for (components, expected) in cases {
            assert_eq!(report(components).status(), expected, "{components:?}");
        }
    }

    #[test]
    fn the_json_names_each_component_with_its_evidence() {
        let finding = Finding::new(Unhealthy)
            .because("all away")
            .detail("endpoints", 3);
        let component = Component {
            name: "pool".into(),
            critical: true,
            finding,
        };
        let expected = json!({
            "status": "fail",
            "health": "unhealthy",
            "checks": { "pool": [{
                "status": "fail",
                "health": "unhealthy",
                "critical": true,
                "output": "all away",
                "details": { "endpoints": 3 },
            }]},
        });
        assert_eq!(Report::new(vec![component]).to_json(), expected);
    }

    #[test]
    fn what_serves_passes_or_warns() {
        let words = [Healthy, Degraded, Unknown, Unhealthy].map(|s| report(&[(true, s)]).to_json());
        let words = words.map(|json| json["status"].clone());
        assert_eq!(words, ["pass", "warn", "warn", "fail"]);
    }
}
