//! Active checks: endpoints are asked how they are, whether anybody uses them or not.
//!
//! [`RouterHandle::check`](crate::RouterHandle::check) begins them: every endpoint of the pool is asked
//! again and again, through the service that requests take, by a [`Check`]: [`HttpCheck`], [`GrpcCheck`],
//! `TcpCheck` (feature `tcp`), which does no more than connect, or a function ([`CheckFn`]).
//!
//! ```
//! use buttress_core::spawn::Spawn;
//! use buttress_route::check::{Checks, HttpCheck};
//! use buttress_route::{Config, Endpoint, HealthRouter};
//! # use std::convert::Infallible;
//! # use http::{Request, Response};
//! # use http_body_util::Full;
//! # use bytes::Bytes;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let client = tower::service_fn(|_: Request<Full<Bytes>>| async {
//! #     Ok::<_, Infallible>(Response::new(Full::new(Bytes::from("all is well"))))
//! # });
//! let endpoints = ["10.0.0.1:80", "10.0.0.2:80"].map(|id| Endpoint::new(id, client.clone()));
//! let router = HealthRouter::new(Config::new("orders"), endpoints)?;
//! let well = HttpCheck::<Full<Bytes>>::get("/healthz")?.body_contains("well");
//! router.handle().check(well, Checks::default(), &Spawn::current()?)?;
//! # Ok(())
//! # }
//! ```
//!
//! # What a check may do
//!
//! - [`Checks::fall`] failures in a row take the endpoint out, as far as the budget bears it
//!   (`active_check`); where it does not the endpoint stays as a suspect and gets little traffic.
//!   [`Checks::rise`] successes in a row take that word back.
//! - An endpoint that its answers to requests have thrown out is asked as soon as its backoff is over:
//!   the check is the first probe, and no request has to be. If it fails, the endpoint stays out for
//!   longer, and nobody has paid for it. If it passes, requests prove the rest: an endpoint that answers
//!   its checks and fails its requests is thrown out all the same, and no check lets it back before its
//!   backoff is over.
//! - Where the checks do not come, because their task is gone or has no room, requests probe as they do
//!   without checks.
//!
//! # What it promises
//!
//! All in `tests/checks.rs`:
//!
//! - Checks run side by side, no more at once than [`Checks::concurrency`], spread by
//!   [`Checks::jitter`], and each ends by [`Checks::timeout`]: one that hangs delays no other.
//! - An answer is read up to a bound, whatever it claims to be.
//! - A check that panics has failed; the others go on.
//! - The task ends with the pool, and when other checks take over.
//!
//! # What it costs
//!
//! One task for a pool, and about 200 bytes for an endpoint. The task wakes for what is due, and once a
//! second to see who has joined.

mod config;
mod drive;
mod function;
mod grpc;
mod http;
mod kind;
mod read;
mod schedule;
#[cfg(feature = "tcp")]
mod tcp;

pub(crate) use drive::Answer;
pub(crate) use schedule::Turn;

pub use config::Checks;
pub use function::CheckFn;
pub use grpc::GrpcCheck;
pub use http::HttpCheck;
pub use kind::{Check, CheckError, CheckFailed};
#[cfg(feature = "tcp")]
pub use tcp::TcpCheck;
