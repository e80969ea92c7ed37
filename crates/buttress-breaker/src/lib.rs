//! A circuit breaker for Tower services, with leased probes and generations.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod breaker;
mod config;
mod gate;
mod handle;
mod layer;
mod machine;
mod metrics;
mod permit;
mod readying;
mod rules;
mod service;

#[cfg(feature = "http")]
pub mod http;
pub mod plain;

pub use breaker::Breaker;
pub use config::{Config, Rule, Window};
pub use handle::{BreakerHandle, Event, Snapshot};
pub use layer::BreakerLayer;
pub use machine::{Calls, TransitionCount};
pub use permit::Permit;
pub use plain::BreakerError;
pub use rules::WindowCounts;
pub use service::BreakerService;

/// What the circuit under a breaker is set to, and the states it has.
pub use buttress_core::circuit::{Backoff, Jitter, Settings, State};
