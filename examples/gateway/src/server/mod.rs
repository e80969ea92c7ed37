//! The listening side: accepting, serving and draining connections.
//!
//! [`Server`] knows nothing of proxying. It takes any service over [`hyper::body::Incoming`], and
//! the gateway runs two: the public one and the admin one. HTTP/1.1 and HTTP/2 by prior knowledge
//! are told apart by the first bytes.
//!
//! # What it promises
//!
//! - A connection that sends nothing, trickles a head, idles, or takes nothing of its response, or
//!   of one of several, is closed, and one that takes its response slowly is not:
//!   `tests/slow_clients.rs`, `connection::tests`, and `watch::tests` on a clock of their own.
//! - At most `max_connections` are held, and no more than leave descriptors for upstreams
//!   (`descriptors::tests`); accepting pauses beyond that. No accept error ends the loop:
//!   `tests/accepting.rs`. A stream that goes on as a connection counts as one: `tests/http2_tunnels.rs`.
//! - Over HTTP/2, who resets requests or opens windows without end, sends heads that go on and on, or asks and takes no answer
//!   has the connection closed: `tests/http2_floods.rs`.
//! - Draining loses no request of a client that honours `Connection: close`, and none whose head
//!   has begun: `tests/draining.rs`, `tests/http2.rs`, `connection::tests`.

mod accept;
mod activity;
mod afterwards;
mod ahead;
mod connect;
mod connection;
mod descriptors;
mod drain;
mod exchange;
mod heard;
mod io;
mod places;
mod protocol;
mod recent;
mod registered;
mod service;
mod signals;
mod watch;

use std::future::poll_fn;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::time::Duration;

use tokio::sync::OwnedSemaphorePermit;
use tokio::task::JoinSet;

pub use accept::{Accept, BindError, Listener};
pub use afterwards::Afterwards;
pub use drain::{Drain, Phase};
pub use exchange::{ExchangeBody, ExchangeFuture};
pub use places::{Connections, StreamPlace};
pub use service::HttpService;
pub use signals::{Signals, drain_on_signal};

use crate::config::Listen;
use places::Places;

/// How connections are held.
#[derive(Clone, Copy, Debug)]
pub struct ServerConfig {
    /// Connections held at once.
    pub max_connections: NonZeroUsize,
    /// How long each kind of silence may last.
    pub limits: ConnectionLimits,
    /// How long new work is taken after the signal to end.
    pub lame_duck: Duration,
    /// How long work in flight may take after that.
    pub drain_deadline: Duration,
}

impl ServerConfig {
    /// What the configuration says of the public listener, with no more connections than leave
    /// half of the process's descriptors for upstreams.
    pub fn of(listen: &Listen) -> Self {
        let wanted = NonZeroUsize::new(listen.max_connections).unwrap_or(NonZeroUsize::MIN);
        let asked = listen.max_connections != Listen::default().max_connections;
        Self {
            max_connections: descriptors::cap(wanted, asked),
            limits: ConnectionLimits {
                header: listen.header_timeout,
                idle: listen.idle_timeout,
                write: listen.write_timeout,
            },
            lame_duck: listen.lame_duck,
            drain_deadline: listen.drain_deadline,
        }
    }
}

/// How long each kind of silence on a connection may last.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionLimits {
    /// From the first moment, or a later head's first byte, to a whole head.
    pub header: Duration,
    /// Without a request in flight.
    pub idle: Duration,
    /// With a response waiting that the client does not take.
    pub write: Duration,
}

/// A listener, about to serve.
#[derive(Debug)]
pub struct Server<A> {
    accept: A,
    config: ServerConfig,
    drain: Drain,
    places: Places,
    takes_connect: bool,
}

impl<A: Accept> Server<A> {
    /// A server over `accept`, which ends when `drain` says so.
    pub fn new(accept: A, config: ServerConfig, drain: Drain) -> Self {
        Self {
            accept,
            config,
            drain,
            places: Places::new(config.max_connections),
            takes_connect: false,
        }
    }

    /// The same, which tells clients of HTTP/2 that they may ask with an extended `CONNECT` (RFC 8441), and gives each a
    /// [`StreamPlace`].
    #[must_use]
    pub const fn taking_connect(mut self) -> Self {
        self.takes_connect = true;
        self
    }

    /// A view of how many connections are open, to be kept beside the running server.
    pub fn connections(&self) -> Connections {
        self.places.held().clone()
    }

    /// Serves until drained. Ends when the last connection has ended or was cut.
    pub async fn serve<S: HttpService>(self, service: S) {
        self.serve_each(move |_| service.clone()).await;
    }

    /// Serves until drained, each connection with a service of its own, made for its peer.
    pub async fn serve_each<S: HttpService>(mut self, service: impl Fn(SocketAddr) -> S + Send) {
        let mut tasks = JoinSet::new();
        self.accept_until_closing(&service, &mut tasks).await;
        for (io, peer) in self.accept.close() {
            self.spawn(io, peer, None, service(peer), &mut tasks);
        }
        let Self { config, drain, .. } = self;
        tokio::select! {
            () = async { while tasks.join_next().await.is_some() {} } => return,
            () = tokio::time::sleep(config.drain_deadline) => drain.advance(Phase::Cut),
            () = drain.reached(Phase::Cut) => {}
        }
        // Whoever gives no time to end in is not surprised.
        if !config.drain_deadline.is_zero() {
            let connections = tasks.len();
            tracing::warn!(connections, "cutting what did not end in time");
        }
        tasks.shutdown().await;
    }

    async fn accept_until_closing<S: HttpService>(
        &mut self,
        service: &(impl Fn(SocketAddr) -> S + Send),
        tasks: &mut JoinSet<()>,
    ) {
        let drain = self.drain.clone();
        let lame_duck = self.config.lame_duck;
        let closing = async move {
            drain.reached(Phase::LameDuck).await;
            tokio::select! {
                () = tokio::time::sleep(lame_duck) => drain.advance(Phase::Closing),
                () = drain.reached(Phase::Closing) => {}
            }
        };
        let mut closing = std::pin::pin!(closing);
        loop {
            let next = self.next();
            tokio::select! {
                biased;
                () = &mut closing => return,
                (io, peer, permit) = next => {
                    self.spawn(io, peer, Some(permit), service(peer), tasks);
                }
            }
            while tasks.try_join_next().is_some() {}
        }
    }

    /// A place first, then a connection: over the cap nothing is accepted.
    async fn next(&mut self) -> (A::Io, SocketAddr, OwnedSemaphorePermit) {
        loop {
            let permit = self.places.next().await;
            match poll_fn(|cx| self.accept.poll_accept(cx)).await {
                Ok((io, peer)) => return (io, peer, permit),
                Err(error) => accept::survive(&error).await,
            }
        }
    }

    fn spawn<S: HttpService>(
        &self,
        io: A::Io,
        peer: SocketAddr,
        permit: Option<OwnedSemaphorePermit>,
        service: S,
        tasks: &mut JoinSet<()>,
    ) {
        let place = self.places.take(permit);
        let drain = self.drain.clone();
        let streams = self.takes_connect.then(|| self.places.clone());
        let limits = self.config.limits;
        let served = connection::serve(io, peer, (service, streams), limits, drain, recent::recent);
        tasks.spawn(async move {
            served.await;
            drop(place);
        });
    }
}
