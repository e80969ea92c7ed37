//! Contract probes, scripted services and fake upstreams, for testing any Tower layer.
//!
//! ```
//! use buttress_testing::{ContractProbe, Scripted, drop_at_every_poll};
//! use tower_service::Service;
//!
//! // A service that answers `1`, then fails; the probe panics if it is ever called unready.
//! let script = Scripted::<u32, &'static str>::new().ok(1).err("down");
//! let mut service = ContractProbe::new(script.clone());
//! let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
//! assert!(Service::<()>::poll_ready(&mut service, &mut cx).is_ready());
//!
//! // Drops the future unpolled, then after one poll, and so on until it completes.
//! let mut first = Some(service.call(()));
//! let drops = drop_at_every_poll(|| first.take().unwrap_or_else(|| script.clone().call(())), |_| ());
//! assert_eq!(drops, 1);
//! assert_eq!(service.calls(), 1);
//! ```
//!
//! # What it promises
//!
//! Each tool notices what it is made to notice: every one has a test in this crate that makes it
//! fail. Nothing here sleeps; waits are for conditions, and end with a message after ten seconds.
//!
//! # What it costs
//!
//! It is for tests and panics freely; no other crate depends on it but in its tests.

pub mod auto_traits;
mod body;
#[cfg(feature = "otlp")]
#[cfg_attr(docsrs, doc(cfg(feature = "otlp")))]
pub mod collector;
mod drops;
mod probe;
mod scripted;
mod upstream;

pub use body::{ScriptedBody, ScriptedError, assert_transparent_body};
pub use drops::{drop_after_polls, drop_at_every_poll};
pub use probe::ContractProbe;
pub use scripted::{Release, Scripted, ScriptedFuture};
pub use upstream::{Behaviour, FakeUpstream, UpstreamBody, body};

/// The error type of services that mix errors, as tower's own.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks although a panic was scripted while the lock was held.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
