//! The bodies that pass through the gateway: streamed both ways, each with an end to every wait.
//!
//! Neither is boxed per request: a request without a body is a marker, a response is hyper's own
//! body beside a timer that is made when it first pauses. Only where a route has a canary the
//! response's is ([`crate::fork`]).

mod idle;
mod pace;
mod request;
mod response;
mod spare;
mod watch;
mod wrapped;

pub(crate) use idle::{IdleTimer, now};
pub use request::{KeptBody, RequestBody, UploadError, UploadLimits};
pub use response::{BodyError, ResponseBody};
pub(crate) use spare::SpareTimers;
pub use watch::UploadWatch;
pub(crate) use watch::{Excuse, UploadSlot};
pub use wrapped::Wrapped;
