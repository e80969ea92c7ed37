//! A discrete-event simulator that drives the real pool and the real breaker on a manual clock.
//!
//! Hosts have workers, queues and faults by script; clients come whether or not anybody is served
//! (open loop); one to twenty routers see their own calls alone. Under test are
//! `buttress_route::HealthRouter` as it is, tower's own balancer as it is, and models of what others
//! do. The suite, S0 to S20, and three settings in which others have published figures are in
//! [`scenario`].
//!
//! ```
//! use buttress_sim::router::Policy;
//! use buttress_sim::{scenario, world};
//!
//! let suite = scenario::suite(10, 0.75);
//! let slow = suite.iter().find(|it| it.name == "S1").unwrap();
//! let seen = world::run(slow, Policy::Buttress, 1, 7);
//! assert!(seen.success() > 0.999);
//! assert_eq!(seen.wedged(), 0);
//! ```
//!
//! # What it promises
//!
//! - The same seed gives the same run, to the request: `tests/runs.rs`.
//! - A pool that is nobody's to spoil behaves as queueing theory says: `tests/runs.rs`.
//! - No copy of the logic: a router here is the service that a gateway calls, and what it does in the
//!   background are calls that load the hosts: `tests/runs.rs`.
//!
//! # What it leaves out
//!
//! Connections, processors and the network but for a fixed delay. Models of other proxies know the
//! rules that their documentation states and none of their other machinery; a figure of theirs here
//! is a figure of those rules.

pub mod agenda;
pub mod distribution;
pub mod grid;
pub mod host;
pub mod judge;
pub mod measure;
pub mod plot;
pub mod report;
pub mod router;
pub mod scenario;
pub mod world;
