//! Correlation IDs for Tower services: every request carries one valid ID, in, through and out.
//!
//! ```
//! use buttress_correlation::{CorrelationId, CorrelationLayer, PropagateLayer};
//! use http::{Request, Response};
//! use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), std::convert::Infallible> {
//! // A client that sets the ID of whatever request it is used for.
//! let upstream = service_fn(|request: Request<()>| async move {
//!     assert_eq!(request.headers().get_all("x-correlation-id").iter().count(), 1);
//!     Ok::<_, std::convert::Infallible>(Response::new(()))
//! });
//! let client = PropagateLayer::new().layer(upstream);
//!
//! // A server at the edge, whose handler calls it.
//! let mut server = ServiceBuilder::new()
//!     .layer(CorrelationLayer::default())
//!     .service_fn(move |_: Request<()>| {
//!         let client = client.clone();
//!         async move {
//!             assert!(CorrelationId::current().is_some());
//!             client.oneshot(Request::new(())).await
//!         }
//!     });
//!
//! let response = server.ready().await?.call(Request::new(())).await?;
//! assert!(response.headers().contains_key("x-correlation-id"));
//! # Ok(())
//! # }
//! ```
//!
//! # What it promises
//!
//! - Exactly one valid ID goes inward and comes back, whatever the client sends (420,000 bytes,
//!   duplicates, nothing, control characters, forged log fields): `tests/payloads.rs`, and over
//!   sockets in `ids_on_sockets` of the workspace's tests.
//! - Every answer made inside carries it: errors, rejections, caught panics, 404s, upgrades, event
//!   streams, gRPC calls and failures: `ids_on_sockets` of the workspace's tests.
//! - A byte that no ID has is never echoed and never passed on: `tests/payloads.rs`.
//! - Bytes are an ID exactly if length and charset say so: `id::tests`, and the fuzz target
//!   `correlation_id`, whose corpus `tests/corpus.rs` replays.
//! - The ID is current while the inner service is called, polled and dropped, and not outside:
//!   `tests/carry.rs`, `current::tests`.
//! - It goes along into tasks and threads that take it, and only into these: `tests/spawned.rs`.
//! - A live layer is reconfigured whole or not at all: `tests/reconfigure.rs`.
//! - Exactly one ID goes out, the same through retries, hedges and fallbacks, and none to hosts that
//!   are not ours ([`Hosts`]): `tests/propagate.rs`, `tests/attempts.rs`.
//! - Readiness, errors, bodies and extensions pass through unchanged: `tests/contract.rs`.
//!
//! # What it costs
//!
//! Parsing and minting allocate nothing, and neither does a scope. A request costs one boxed value in
//! each of the two extension maps, one header value for the echo and, where the ID is minted, one for
//! the request; without the maps ([`Config::extensions`]) the header values alone. The first threads
//! count without a locked instruction, others with a relaxed one; the configuration is read without a lock;
//! the wall clock and the generator are asked once a millisecond and thread. The name of each header that
//! is ever configured is kept as long as the process.
//!
//! To a request with headers and extensions of its own an ID that is accepted adds 92 to 97 ns, one that is
//! minted 153 to 156: the medians of four runs of `cargo compare correlation`, `…/full`, whose least are 90 to 92
//! and 143 to 148. tower-http's request IDs add 132 and 260.
//!
//! # From an ID to its story
//!
//! A client reads its ID from the response: `x-correlation-id`, whatever the status. The same ID stands
//! on every log line of that request in every service that it reached (`grep ID`), as `correlation_id`
//! on the spans, and in the body of the gateway's own answers. Where a client is not believed and sent an ID of
//! its own, that one is in the extensions as [`ClientCorrelationId`]. A header that was
//! there and is no ID is counted by what was wrong with it, and never repeated anywhere.
//!
//! # Where in the stack
//!
//! [`CorrelationLayer`] outermost, so that every answer made inside (a rejection, a 404, a caught
//! panic) carries the ID. In axum, around the router and not on it, where what the router itself
//! refuses is to carry one as well. What the server answers before any layer runs carries none: to
//! malformed HTTP (`400`), to a head that is too long (`431`), to a panic that nothing inside catches
//! (the connection ends). If the inner service returns an error there is no response to echo on: turn errors into
//! responses inside. [`PropagateLayer`] innermost, inside of retries and hedges. Where no request is
//! being answered (a job, a client of its own) there is no ID for attempts to share: put the work into
//! a [`CorrelationId::scope`], or a second [`PropagateLayer`] around the retries, whose ID they keep.
//!
//! # When the request is dropped
//!
//! The inner future is dropped with the ID still current, so that what it logs on its way out can be
//! found. A response body outlives the scope: whoever works at its end takes the ID from the
//! extensions.
//!
//! # Features
//!
//! | feature | what it adds |
//! |---|---|
//! | `axum` | [`CorrelationId`] as an argument of an axum handler |
//! | `serde` | an ID is a string in any format, judged when it is read |
#![cfg_attr(docsrs, feature(doc_cfg))]

mod charset;
mod config;
mod counters;
mod current;
#[cfg(feature = "axum")]
mod extract;
mod handle;
mod hosts;
mod id;
mod invalid;
mod layer;
mod live;
mod mint;
mod name;
mod propagate;
#[cfg(feature = "serde")]
mod serialized;
mod spawn;
mod take;
mod trust;
mod uuid_text;
mod v7;

pub use config::{Config, X_CORRELATION_ID, X_REQUEST_ID};
pub use current::Scoped;
#[cfg(feature = "axum")]
#[cfg_attr(docsrs, doc(cfg(feature = "axum")))]
pub use extract::MissingCorrelationId;
pub use handle::{CorrelationHandle, CorrelationSnapshot};
pub use hosts::Hosts;
pub use id::{ClientCorrelationId, CorrelationId, MAX_LEN};
pub use invalid::InvalidId;
pub use layer::{Correlation, CorrelationLayer, ResponseFuture};
pub use mint::Mint;
pub use propagate::{Propagate, PropagateLayer};
pub use spawn::{InCurrentScope, in_current_scope};
pub use trust::{Predicate, RequestHead, Trust};
