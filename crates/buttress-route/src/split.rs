//! Traffic split: a share of the requests goes to a canary, more of them by and by, and none if it does worse.
//!
//! ```
//! use std::convert::Infallible;
//! use buttress_route::split::{Config, SplitLayer};
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
//! let either = |name| tower::util::BoxCloneSyncService::new(version(name));
//! let layer = SplitLayer::new(Config::new("checkout"), either("v2"))?;
//! let mut service = layer.layer(either("v1"));
//! service.ready().await?.call(Request::new(())).await?;
//!
//! let handle = layer.handle();
//! assert!((handle.snapshot().share - 0.05).abs() < 1e-9, "the first step");
//! handle.roll_back();
//! assert_eq!(handle.snapshot().share, 0.0);
//! # Ok(())
//! # }
//! ```
//!
//! # The rollout
//!
//! The canary takes the share of its step ([`Config::steps`]: 5, 25, 50, 100 %). A step is over when it has lasted
//! [`Config::hold`] and [`Config::min_calls`] of its calls have ended. With a key ([`Config::affinity`]) the same
//! requests go to the canary again and again, and whoever went there in one step does in the next.
//!
//! # When it is rolled back
//!
//! At each failure of the canary its share of failures is held against the stable's of the same time by a one-sided test
//! of two proportions, that of the likelihood ratio (Wilks 1938). It is asked at each failure and not once, so the
//! difference has to be large: 4.5 standard errors by default ([`Config::significance`]), which chance reached in none of
//! 18,000 simulated rollouts of 4,000 requests, where 4 were reached in one of 1,500. And it has to matter
//! ([`Config::above`]), and rest on a few failures ([`Config::min_failures`]). What both share is no reason: where an
//! upstream of both is away, both fail, and the canary stays. Then all requests go to the stable until somebody says
//! [`SplitHandle::restart`]; the verdict is in the event and the snapshot.
//!
//! So is the share of the clients that wait for [`Config::late_after`] or longer for the head of an answer, whether it comes or
//! they leave before, by the same test and apart from failures; the verdict's rule is `late` then, and `two_proportions` for
//! failures. What a classifier calls [`Outcome::Slow`](buttress_core::outcome::Outcome::Slow)
//! is late as well. Where both are as late, as where a route answers late by its nature, that is no reason; a client that leaves
//! sooner says nothing of the canary, nor do the first twenty answers of a step say how long it takes. With a key answers that come late are
//! not held against it: a few users make many calls then, and those that are late by nature are with one of the two.
//!
//! # What it promises
//!
//! - Shares, steps and keys are kept to, and whoever is not worse is not rolled back; whoever is, soon:
//!   `tests/split.rs`.
//! - What an arm refuses itself, as a pool without endpoints or an open breaker does, is a failure of it here: no client
//!   was answered. What anybody else refuses, for the client's sake or for want of descriptors, is not.
//! - A canary that hangs is rolled back although none of its clients waits for the deadline, and one that answers late although all
//!   its answers are good.
//! - A canary that is not ready costs nobody a wait: its request goes to the stable.
//! - An outcome from an earlier step changes nothing.
//!
//! # What it costs
//!
//! Two reads of the clock and a few counters; no allocation, and no lock but where the canary fails or is late. The response's body is
//! watched to its end.
//!
//! # Where in the stack
//!
//! Outside of the two pools and of their failover, inside the route's breaker: it sees what clients would.
//!
//! # What it does not do
//!
//! At 100 % there is nothing to hold the canary against: it is not rolled back any more. A canary that is slower
//! than the stable and sooner than [`Config::late_after`] stays.

mod arms;
mod config;
mod handle;
mod metrics;
mod rollout;
mod sample;
mod service;
mod shared;

pub use config::Config;
pub use handle::{ArmSnapshot, Event, SplitHandle, SplitSnapshot};
pub use rollout::Stage;
pub use sample::Sample;
pub use service::{Split, SplitLayer};
