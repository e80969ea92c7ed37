//! Where a pool's endpoints come from, when they are not given by hand: a [file](WatchedFile), names of DNS (`Resolver`,
//! with the feature `dns`), changes as tower's `discover` gives them (with the feature `tower`), or a [`Source`] of one's
//! own.
//!
//! A [`Source`] says who is there as a whole set of [`Node`]s; a [`MakeEndpoint`] makes an endpoint of
//! each that is new; those that stay keep service, connections and statistics. What a source says is
//! taken over in a task on core's [`Spawn`](buttress_core::spawn::Spawn), which ends with the pool;
//! picks never wait for it.
//!
//! ```
//! use buttress_core::spawn::Spawn;
//! use buttress_route::discover::{Node, WatchedFile};
//! use buttress_route::{Config, HealthRouter};
//! # use std::convert::Infallible;
//! # use http::{Request, Response};
//! # use http_body_util::Empty;
//! # use bytes::Bytes;
//! # use tower::util::BoxCloneSyncService;
//! # type Client = BoxCloneSyncService<Request<()>, Response<Empty<Bytes>>, Infallible>;
//! # fn client(_: &str) -> Client {
//! #     BoxCloneSyncService::new(tower::service_fn(|_| async { Ok(Response::new(Empty::new())) }))
//! # }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let router = HealthRouter::new(Config::new("orders"), [])?;
//! let file = WatchedFile::new("/etc/orders/endpoints");
//! let make = |node: &Node| node.endpoint(client(node.id()));
//! let discovery = router.handle().discover(file, make, &Spawn::current()?)?;
//! assert_eq!(discovery.snapshot().endpoints, 0);
//! # Ok(())
//! # }
//! ```
//!
//! # What it promises
//!
//! All in `tests/discovery.rs`:
//!
//! - **Failing static.** A source that fails, or says that nobody is there, changes nothing: the last
//!   set stays, the failure is counted and told once ([`Discovery::subscribe`]).
//! - An endpoint that stays keeps its service and its state; one that comes back within
//!   [`Config::remember`](crate::Config::remember) goes on where it was.
//! - A [`MakeEndpoint`] or source that panics costs its own node or its own answer and is asked again.
//! - The task ends when the pool is dropped, when another source takes over, and by
//!   [`Discovery::stop`].
//!
//! # What it costs
//!
//! An answer that changes nothing costs a look-up for each node. One that does makes the list anew:
//! some microseconds for ten endpoints, a few milliseconds for ten thousand. A set may have a million
//! nodes and is refused beyond.

mod discovery;
#[cfg(feature = "dns")]
mod dns;
mod drive;
mod file;
mod node;
mod roster;
mod source;
#[cfg(feature = "tower")]
mod stream;

pub use discovery::{Discovery, DiscoveryChange, DiscoveryEvent, DiscoverySnapshot};
#[cfg(feature = "dns")]
pub use dns::{Dns, Families, Resolver};
pub use file::{WatchedFile, lines};
pub use node::{MakeEndpoint, Node};
pub use source::{Source, SourceError};
