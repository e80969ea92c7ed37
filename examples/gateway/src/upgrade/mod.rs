//! A connection that goes on in another protocol, such as WebSocket, once an upstream agrees.
//!
//! A route names the protocols that it lets pass; everywhere else `Upgrade` ends at this hop like any
//! other hop-by-hop header. A handshake is a `GET` without a body over HTTP/1.1 whose `Connection` says
//! `upgrade` and whose one `Upgrade` names one such protocol. It goes on as a request like any other, with
//! both headers in the gateway's own words, and any answer but `101` is an answer like any other.
//!
//! # What it promises
//!
//! Proved by `tests/upgrades.rs` and `tests/tunnels.rs`, over sockets, and by the tests of `tunnel`, on a clock of
//! their own.
//!
//! - A `101` passes only where it was asked for and names what was asked for. Any other is a `502`.
//! - From there on bytes pass both ways unread, through 8 KiB of buffer each way; who takes nothing is sent nothing. What one
//!   end ends is ended towards the other, whose way stays open. Nothing that either sent early is lost.
//! - A tunnel goes on in its connection's task: it counts among `max_connections` until it ends, a drain waits for
//!   it until its deadline, and it ends with the server.
//! - One through which nothing passes for `upgrade_idle` ends.
//! - To all layers the exchange ends with the head of the `101`, by which the endpoint is judged.
//! - A handshake is never copied, to a mirror or as a probe; it is sent again, to another endpoint, only where there
//!   was no `101`.

mod asked;
mod counts;
mod rules;
mod tunnel;

pub(crate) use asked::Asked;
pub use counts::Tunnels;
pub(crate) use counts::gauge;
pub(crate) use rules::Upgrades;
