//! Health as metrics, from birth.

use std::borrow::Cow;

use buttress_core::health::HealthStatus;
use buttress_core::metric::{Collect, Family, Kind, Value};

use crate::readiness::Phase;
use crate::registry::HealthHandle;

const STATUSES: [HealthStatus; 4] = [
    HealthStatus::Unknown,
    HealthStatus::Healthy,
    HealthStatus::Degraded,
    HealthStatus::Unhealthy,
];
const STATUS_NAMES: &[&str] = &["unknown", "healthy", "degraded", "unhealthy"];
const PHASES: [Phase; 3] = [Phase::Starting, Phase::Ready, Phase::Draining];
const PHASE_NAMES: &[&str] = &["starting", "ready", "draining"];

/// Asks every component, as a report does.
impl Collect for HealthHandle {
    fn collect(&self, into: &mut Vec<Family>) {
        let help =
            "Health of a component of the service: 1 for the present status, 0 for the others.";
        let mut statuses = Family::new("buttress_health_status", Kind::StateSet, help);
        for component in self.report().components() {
            let critical = if component.critical { "true" } else { "false" };
            let labels = vec![
                ("component", Cow::Owned(component.name.clone())),
                ("critical", Cow::Borrowed(critical)),
            ];
            let status = component.finding.status();
            statuses.push(labels, state("status", STATUS_NAMES, &STATUSES, status));
        }
        let help = "Where in its life the process is: 1 for the present phase, 0 for the others.";
        let phase = state("phase", PHASE_NAMES, &PHASES, self.readiness().phase());
        into.push(statuses);
        into.push(
            Family::new("buttress_readiness_phase", Kind::StateSet, help).with(vec![], phase),
        );
    }
}

fn state<T: Copy + PartialEq>(
    label: &'static str,
    states: &'static [&'static str],
    all: &[T],
    now: T,
) -> Value {
    Value::State {
        label,
        states,
        current: all.iter().position(|one| *one == now).unwrap_or(0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Health, Readiness};

    fn shown(handle: &HealthHandle) -> Vec<(Vec<String>, &'static str)> {
        let mut families = Vec::new();
        handle.collect(&mut families);
        let points = families.into_iter().flat_map(|family| family.points);
        let point = |point: buttress_core::metric::Point| {
            let labels = point.labels.iter().map(|(_, value)| value.to_string());
            match point.value {
                Value::State {
                    states, current, ..
                } => (labels.collect(), states[current]),
                other => panic!("{other:?}"),
            }
        };
        points.map(point).collect()
    }

    #[test]
    fn every_component_and_the_phase_are_there_from_birth_and_follow() {
        let readiness = Readiness::starting();
        let handle = Health::new()
            .readiness(readiness.clone())
            .critical("db", || HealthStatus::Unhealthy)
            .optional("cache", || HealthStatus::Unknown)
            .build()
            .unwrap();
        let labels = |name: &str, critical: &str| vec![name.to_owned(), critical.to_owned()];
        assert_eq!(
            shown(&handle),
            [
                (labels("db", "true"), "unhealthy"),
                (labels("cache", "false"), "unknown"),
                (vec![], "starting"),
            ]
        );
        readiness.drain();
        assert_eq!(shown(&handle)[2].1, "draining");
    }

    #[test]
    fn every_name_is_that_of_its_status_and_phase() {
        let statuses: Vec<_> = STATUSES.iter().map(|status| status.as_str()).collect();
        assert_eq!(statuses, STATUS_NAMES);
        let phases: Vec<_> = PHASES.iter().map(|phase| phase.as_str()).collect();
        assert_eq!(phases, PHASE_NAMES);
    }
}
