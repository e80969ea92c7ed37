//! A connection that goes on in another protocol, such as WebSocket, once an upstream agrees.
//!
//! A route names the protocols that it lets pass; everywhere else `Upgrade` ends at this hop like any
//! other hop-by-hop header. A handshake is a `GET` without a body over HTTP/1.1 whose `Connection` says
//! `upgrade`, and not `close`, and whose one `Upgrade` names one such protocol. It goes on as a request like any other, with
//! both headers in the gateway's own words, and any answer but `101` is an answer like any other. Of a `426` the
//! protocols that the route lets pass are named to the client again.
//!
//! Over HTTP/2 a handshake is an extended `CONNECT` (RFC 8441), and what goes on is its stream. To layers and endpoints it is
//! the `GET` over HTTP/1.1, for a WebSocket with a key of the gateway's own; its client is told `200` where they are
//! told `101`. Whether the endpoint has hashed the key as it should is not looked at.
//!
//! # What it promises
//!
//! Proved by `tests/upgrades.rs`, `tests/tunnels.rs` and `tests/http2_tunnels.rs`, over sockets, and by the tests of `pump`, on
//! a clock of their own.
//!
//! - A `101` passes only where it was asked for, over HTTP/1.1, and names what was asked for. Any other is the endpoint's
//!   failure, as a connection that broke: another may be asked, as failover allows of any `GET`, and else it is a `502`. So is
//!   any other success in answer to a client of HTTP/2, to whom that would be an agreement.
//! - A `101` of ours says `upgrade` and nothing else, also while the gateway ends.
//! - From there on bytes pass both ways unread, through 8 KiB of buffer each way; who takes nothing is sent nothing. What one
//!   end ends is ended towards the other, whose way stays open. Nothing that either sent early is lost.
//! - A tunnel goes on in its connection's task: it counts among `max_connections` until it ends, a drain waits for
//!   it until its deadline, and it ends with the server. Over HTTP/2 it has a task of its own and a place of its own among
//!   `max_connections`, without which the handshake is a `503`; its connection is not idle while it lasts.
//! - Every wait in it has an end, which only bytes on that way renew. One through which nothing passes for `upgrade_idle`
//!   ends; where one end has ended its way, nothing may come from the other for `listen.idle_timeout`; and a client
//!   takes nothing of what waits for it for no longer than `listen.write_timeout`, an upstream than its pool's
//!   `body_idle_timeout`. A client that resets its connection while nothing more of what it sent is taken is seen
//!   then at the latest.
//! - However it ends, also where it is cut, the access log says how, and what passed.
//! - To all layers the exchange ends with the head of the `101`, by which the endpoint is judged.
//! - A handshake is never copied, to a mirror or as a probe, and is not sent again once a `101` has passed.

mod asked;
mod counts;
mod durations;
mod extended;
mod offers;
mod pump;
mod rules;
mod tunnel;

pub(crate) use asked::Asked;
pub use counts::Tunnels;
pub(crate) use counts::gauge;
pub(crate) use offers::Offers;
pub(crate) use rules::Upgrades;
