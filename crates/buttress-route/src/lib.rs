//! Health-aware routing.

mod alias;
mod config;
mod endpoint;
mod evidence;
mod future;
mod handle;
mod ledger;
mod members;
mod metrics;
mod permit;
mod pick;
mod pool;
mod service;
mod slot;
mod snapshot;
mod state;
mod tally;

pub use config::{Config, FailureRate, Rules};
pub use endpoint::Endpoint;
pub use future::{ResponseFuture, RoutedBody};
pub use handle::RouterHandle;
pub use permit::Permit;
pub use service::{HealthRouter, Picked};
pub use snapshot::{Change, EndpointSnapshot, EndpointState, Event, Outcomes, PoolSnapshot};
