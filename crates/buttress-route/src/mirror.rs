//! Mirroring: a share of the requests is copied to a shadow, whose answers are thrown away.
//!
//! ```
//! use std::convert::Infallible;
//! use buttress_core::spawn::Spawn;
//! use buttress_route::mirror::{Config, MirrorLayer};
//! use bytes::Bytes;
//! use http::{Request, Response};
//! use http_body_util::Full;
//! use tower::{Layer, Service, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // Each is mostly a pool of its own: a `HealthRouter`.
//! let version = |name: &'static str| {
//!     service_fn(move |_: Request<()>| async move {
//!         Ok::<_, Infallible>(Response::new(Full::new(Bytes::from(name))))
//!     })
//! };
//! let config = Config::new("next").share(0.5);
//! let layer = MirrorLayer::new(config, version("v2"), Spawn::current()?)?;
//! let mut service = layer.layer(version("v1"));
//! let answer = service.ready().await?.call(Request::new(())).await?;
//! assert!(layer.handle().snapshot().in_flight <= 1);
//! # Ok(())
//! # }
//! ```
//!
//! A copy is made of a request that is safe (RFC 9110 §9.2.1), has no body and is no handshake;
//! [`Config::requests`] chooses others by their head. It carries
//! [`Attempt::copy`](buttress_core::attempt::Attempt::copy) in its extensions, so that counts and spans tell it apart.
//!
//! # What it promises
//!
//! - No user waits for a shadow: it is made ready and called in a task of its own, and whatever it does, hang and panic
//!   among it, is its own: `tests/mirror.rs`.
//! - No more copies are under way than [`Config::max_in_flight`], and none for longer than [`Config::timeout`]; what finds
//!   no room is not sent, and counted.
//! - Copies end with the last layer, service and handle.
//!
//! # What it costs
//!
//! A request that is not copied: one number drawn, no allocation and no lock. One that is: the copy of its head, and a task.
//! The future is that of the service inside.
//!
//! # What it does not do
//!
//! Requests with a body are not copied: the shadow could not have it before the user's answer is complete.

mod config;
mod handle;
mod metrics;
mod run;
mod service;
mod shared;

pub use config::{Config, Select};
pub use handle::{MirrorHandle, MirrorSnapshot};
pub use service::{Mirror, MirrorLayer};
