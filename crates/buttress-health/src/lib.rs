//! Health of a service, told from evidence: liveness, readiness, and a report per component.
//!
//! ```
//! use buttress_core::health::{HealthSignal, HealthStatus};
//! use buttress_health::{Finding, Health, Readiness};
//!
//! # fn main() -> Result<(), buttress_core::config::ConfigError> {
//! let breaker = HealthSignal::new(); // published by a breaker, say
//! let readiness = Readiness::starting();
//! let health = Health::new()
//!     .readiness(readiness.clone())
//!     .critical_signal("payments", breaker.clone())
//!     .optional("cache", || {
//!         Finding::new(HealthStatus::Degraded)
//!             .because("1 of 3 nodes is away")
//!             .detail("nodes", 2)
//!     })
//!     .build()?;
//!
//! readiness.set_ready();
//! breaker.publish(HealthStatus::Healthy);
//! assert!(health.is_live() && health.is_ready());
//! assert_eq!(health.report().status(), HealthStatus::Degraded);
//! assert_eq!(health.report().to_json()["status"], "warn");
//!
//! readiness.drain();
//! assert!(!health.is_ready() && health.is_live());
//! # Ok(())
//! # }
//! ```
//!
//! # Three questions, three answers
//!
//! - **Live**: would a restart help? It rests on the process alone, never on a dependency: otherwise
//!   one that is away restarts every replica at once.
//! - **Ready**: should traffic come here? It rests on the life of the process (starting, ready,
//!   draining), not on dependencies that all replicas share: otherwise one that is away leaves no
//!   replica to answer.
//! - **The report**: how is each component? The service is as its worst critical component is; an
//!   optional one degrades it at most. `Degraded` serves.
//!
//! # What it promises
//!
//! - The overall status is that of the worst critical component, and an optional one never takes the
//!   service down: `report::tests`.
//! - A check that panics harms neither the report nor the other checks: `registry::tests`.
//! - Draining is final; no late start-up undoes it: `readiness::tests`.
//! - Every component and the phase are metrics from birth: `metrics::tests`.
//! - Two components of one name are refused when the registry is built: `registry::tests`.
//!
//! # What it costs
//!
//! Checks run on the caller's thread, one after another, each time a report is asked for: a check
//! reads what is known already and never waits. Nothing is on any request path.
//!
//! # Where in the stack
//!
//! Beside it: rooms publish [`buttress_core::health::HealthSignal`]s, `buttress-admin` serves the
//! report.

mod finding;
mod metrics;
mod readiness;
mod registry;
mod report;

pub use finding::Finding;
pub use readiness::{Phase, Readiness};
pub use registry::{Health, HealthHandle};
pub use report::{CONTENT_TYPE, Component, Report};
