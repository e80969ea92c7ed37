//! Sends a request that failed at one endpoint to another.
//!
//! ```
//! use std::convert::Infallible;
//! use buttress_route::failover::{Config, FailoverLayer};
//! use buttress_route::{Endpoint, HealthRouter};
//! use http::{Request, Response, StatusCode};
//! use http_body_util::Empty;
//! use tower::{Layer, Service, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let answering = |status: u16| {
//!     let answer = move |_: Request<()>| async move {
//!         let mut response = Response::new(Empty::<&[u8]>::new());
//!         *response.status_mut() = StatusCode::from_u16(status).unwrap_or_default();
//!         Ok::<_, Infallible>(response)
//!     };
//!     Endpoint::new(status.to_string(), service_fn(answer))
//! };
//! let router = HealthRouter::new(Default::default(), [503, 200].map(answering))?;
//! let mut service = FailoverLayer::new(Config::default())?.layer(router);
//! for _ in 0..20 {
//!     assert_eq!(service.ready().await?.call(Request::new(())).await?.status(), 200);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # Which requests
//!
//! One that **never reached** an endpoint goes to another at once, whatever its method: the connection was
//! refused, the stream was, the endpoint was not ready. The marker is [`Unsent`], in the response's
//! extensions or along the chain of an error; a refused connection needs none.
//!
//! While the other endpoints have more to do than they can ([`PoolSnapshot::in_turn`](crate::PoolSnapshot::in_turn)) nothing goes to another:
//! the router has none to give (`no_endpoint`).
//!
//! Any other failure ([`Config::statuses`], a broken transport, a deadline that passed) is tried again only
//! if the request is idempotent: by its method (RFC 9110 §9.2.2), by [`Config::idempotent`], or by
//! [`Config::idempotency_key`]; and only within the budget. What a layer of buttress refuses
//! ([`Rejected`]) is not tried again, unless it is also marked as unsent.
//!
//! The body has to be [`Replayable`]: none, or no longer than [`Config::max_body`]. It is streamed as it
//! comes and held as far as it has passed; a longer one is sent once.
//!
//! # How often
//!
//! Up to [`Config::attempts`], never to an endpoint that has had the request while the router knows of
//! another ([`Attempted`]), and none is begun later than [`Config::within`] after the request came or after
//! its [`Deadline`]. Where requests belong to endpoints by a key ([`Policy::ConsistentHash`]) the next attempt goes to whom
//! the key belongs to without those. [`Budget`] is shared by all clones: a share of the requests that were answered well,
//! and a few a second. In an outage nothing is answered well, so that what is sent beyond what clients
//! send is a few a second and no more; and where what is sent again fails as well, each costs up to four times as much and time
//! brings ever less, or the few of each of many routers would be more than a drowning pool can bear.
//!
//! If no other endpoint is left, the answer that there was is given, as it came.
//!
//! # Where in the stack
//!
//! Outside the router, inside the route's breaker and what measures the route: these see what the client
//! sees. What is set for each attempt (IDs, spans, timeouts) belongs inside, round the endpoint. Attempts
//! after the first carry [`Attempt`] in their extensions.
//!
//! # What it promises
//!
//! `tests/failover.rs`: which failures are tried again and which are not, that no endpoint is asked
//! twice, that bodies arrive whole, that the budget never grows in an outage, that a dropped request is
//! dropped wherever it is, and that the first service called is the one that was ready.
//!
//! # What it costs
//!
//! Switched off ([`Config::enabled`]), one load. Switched on, a copy of each request's head on the heap,
//! as bytes (two allocations, and no reference to what it shares), and a load of the budget. A request that is sent again
//! pays for what that takes. The answer of a failed attempt is held, unread, until the next attempt has
//! one; it is never read to its end.
//!
//! [`Attempt`]: buttress_core::attempt::Attempt
//! [`Attempted`]: crate::Attempted
//! [`Deadline`]: buttress_core::deadline::Deadline
//! [`Policy::ConsistentHash`]: crate::Policy::ConsistentHash
//! [`Rejected`]: buttress_core::reject::Rejected
//! [`Replayable`]: buttress_core::replay::Replayable
//! [`Unsent`]: buttress_core::outcome::Unsent

mod budget;
mod config;
mod future;
mod handle;
mod head;
mod kept;
mod metrics;
mod reason;
mod service;
mod shared;
mod worth;

pub use budget::Budget;
pub use config::{Config, Idempotent};
pub use future::FailoverFuture;
pub use handle::{FailoverHandle, FailoverSnapshot};
pub use service::{Failover, FailoverLayer};
