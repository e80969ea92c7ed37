//! The client towards one endpoint.
//!
//! [`Origin`] answers every request with a response: what the endpoint said, or a problem of the
//! gateway's own with the cause in its extensions. So nothing above it needs an error type, and
//! what classifies sees `DeadlineExceeded` or `TransportFailure` and not a bare `504`.
//!
//! The authority that is connected to comes from the configuration alone; of the client's target
//! only path and query are taken over. Redirects are passed on, never followed.
//!
//! A request is sent once from here. An endpoint that closes a kept connection without saying so in the
//! answer before (`Connection: close`) can meet the next request, and that is a `502` charged to
//! the endpoint: whether it was processed cannot be known. Where the connection is seen to be closed
//! before anything was written, the request goes out on another. What provably never reached the
//! endpoint is marked as that (`core::outcome::Unsent`), for failover above. Endpoints do well to keep idle connections for longer than the
//! pool's `keep_alive`.
//!
//! Where the gateway itself is out of descriptors or local ports nothing is charged to anybody: it
//! answers `503` and marks it as a refusal of its own.

mod connect;
mod future;
mod mark;

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::header::{CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use http::uri::{Authority, PathAndQuery};
use http::{HeaderName, HeaderValue, Request, Response, Version};
use http_body::Body as _;
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tower_service::Service;

use crate::body::{RequestBody, ResponseBody, SpareTimers};
use crate::config::{HostPolicy, Pool, Protocol};
use crate::timed::HeadTimes;
use crate::upgrade::{Asked, Offers};

use connect::Connector;
use mark::Lack;

pub use future::OriginFuture;
pub use mark::OWN;

/// Idle connections kept to one endpoint.
const MAX_IDLE: usize = 1024;
/// How often a connection that carries HTTP/2 streams is asked whether it still lives.
const PING_EVERY: Duration = Duration::from_secs(10);
/// How long it may take to answer.
const PING_TIMEOUT: Duration = Duration::from_secs(5);

/// How an endpoint is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OriginConfig {
    /// HTTP/1.1 or HTTP/2.
    pub protocol: Protocol,
    /// Which `Host` the endpoint sees; an HTTP/2 endpoint always sees its own.
    pub host: HostPolicy,
    /// Longest wait for a connection.
    pub connect_timeout: Duration,
    /// Longest wait for a response's head while the request is not on its way: nothing of its
    /// body moves, and its client is not waited for.
    pub head_timeout: Duration,
    /// Longest pause inside a response body.
    pub body_idle_timeout: Duration,
    /// How long an idle connection is kept.
    pub keep_alive: Duration,
    /// Whether the endpoint is told the ID and the trace of a request.
    pub told: bool,
}

impl OriginConfig {
    /// What the configuration says of a pool.
    pub const fn of(pool: &Pool, host: HostPolicy) -> Self {
        Self {
            protocol: pool.protocol,
            host,
            connect_timeout: pool.connect_timeout,
            head_timeout: pool.head_timeout,
            body_idle_timeout: pool.body_idle_timeout,
            keep_alive: pool.keep_alive,
            told: true,
        }
    }
}

/// What an endpoint that is none of ours is not told.
static OURS: [HeaderName; 4] = [
    HeaderName::from_static("x-correlation-id"),
    HeaderName::from_static("traceparent"),
    HeaderName::from_static("tracestate"),
    HeaderName::from_static("baggage"),
];

/// A client towards one endpoint, with its pool of connections; clones share both.
///
/// One that has been called is spent, and a clone is made before: that is what the router does for each
/// request. The call takes along what the clone holds, where another reference would be counted
/// just after the request was moved to the heap, and the processor would wait for all of that to be written.
/// Called again it answers that the gateway has nothing to answer with.
#[derive(Clone, Debug)]
pub struct Origin(Option<Arc<Shared>>);

// Cloned for each request, so behind one pointer.
#[derive(Debug)]
struct Shared {
    client: Client<Connector, RequestBody>,
    /// The authority of the URIs that the client is given.
    key: Authority,
    /// The endpoint's own `Host`.
    host: HeaderValue,
    config: OriginConfig,
    /// By which heads are waited for.
    timers: SpareTimers,
    times: HeadTimes,
    offers: Offers,
}

impl Origin {
    /// A client towards `authority`, whose answers are timed into `times`: each head that comes, and
    /// nothing of what is dropped before. It connects when it is first called.
    pub fn new(authority: &Authority, config: OriginConfig, times: HeadTimes) -> Self {
        Self::called(authority, authority, config, times, Offers::default())
    }

    /// The same towards `authority`, which is spoken to as `name`: in its own `Host`, and over HTTP/2. What it may offer
    /// to clients is in `offers`.
    pub(crate) fn called(
        name: &Authority,
        authority: &Authority,
        config: OriginConfig,
        times: HeadTimes,
        offers: Offers,
    ) -> Self {
        let connector = Connector::new(authority, config.connect_timeout);
        let client = Client::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(config.keep_alive)
            .pool_max_idle_per_host(MAX_IDLE)
            .http2_only(config.protocol == Protocol::Http2)
            .http2_keep_alive_interval(PING_EVERY)
            .http2_keep_alive_timeout(PING_TIMEOUT)
            .http2_adaptive_window(true)
            // It would look for a `Host` in every request; `aim` knows when there is none.
            .set_host(false)
            .build(connector);
        let key = match config.protocol {
            Protocol::Http1 => Authority::from_static(connect::KEY),
            // Sent as `:authority`.
            Protocol::Http2 => name.clone(),
        };
        Self(Some(Arc::new(Shared {
            client,
            host: host(name),
            key,
            config,
            timers: SpareTimers::default(),
            times,
            offers,
        })))
    }
}

impl Shared {
    /// Turns a request towards the endpoint: its authority, and of the client's only the path.
    fn aim(&self, request: &mut Request<RequestBody>) {
        let Self {
            config, key, host, ..
        } = self;
        let target = std::mem::take(request.uri_mut());
        let path = target.into_parts().path_and_query;
        let path = path.unwrap_or(PathAndQuery::from_static("/"));
        *request.uri_mut() = connect::uri(key.clone(), path);
        let headers = request.headers_mut();
        if !config.told {
            for name in &OURS {
                headers.remove(name);
            }
        }
        match config.protocol {
            Protocol::Http1 => {
                // A client of HTTP/1.0 may name no host. Most others name it first.
                if config.host == HostPolicy::Upstream || headers.keys().all(|name| *name != HOST) {
                    headers.insert(HOST, host.clone());
                }
                *request.version_mut() = Version::HTTP_11;
            }
            Protocol::Http2 => {
                headers.remove(&HOST);
                *request.version_mut() = Version::HTTP_2;
            }
        }
    }
}

impl Service<Request<RequestBody>> for Origin {
    type Response = Response<ResponseBody>;
    type Error = Infallible;
    type Future = OriginFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<RequestBody>) -> OriginFuture {
        let Some(origin) = self.0.take() else {
            return OriginFuture::lacking(Lack::Origin);
        };
        let start = origin.times.start();
        let asked: Option<Asked> = request.extensions_mut().remove();
        if asked.as_ref().is_some_and(Asked::lacks_a_place) {
            return OriginFuture::lacking(Lack::Place);
        }
        let route = request.body().arrival().0.ok();
        origin.aim(&mut request);
        let upload = request.body().watch();
        if upload.is_some() && origin.config.protocol == Protocol::Http1 {
            frame(&mut request);
        }
        let response = origin.client.request(request);
        OriginFuture::new(response, upload, (route, asked), origin, start)
    }
}

/// The `Host` of an authority, without the port that goes without saying.
fn host(authority: &Authority) -> HeaderValue {
    let host = match authority.port_u16() {
        None | Some(80) => HeaderValue::from_str(authority.host()),
        Some(port) => HeaderValue::from_str(&format!("{}:{port}", authority.host())),
    };
    // An authority holds only visible ASCII.
    host.unwrap_or(HeaderValue::from_static(""))
}

/// Says that a body of unknown length is chunked. The client does so by itself, but takes it that
/// a `GET` has none, and would drop it.
fn frame(request: &mut Request<RequestBody>) {
    if !request.body().is_end_stream() && request.body().size_hint().exact().is_none() {
        let headers = request.headers_mut();
        headers.remove(CONTENT_LENGTH);
        headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    }
}

#[cfg(test)]
mod tests {
    use buttress::core::clock::Clock;

    use super::*;

    const ENDPOINT: &str = "127.0.0.1:9001";

    fn config() -> OriginConfig {
        let second = Duration::from_secs(1);
        OriginConfig {
            protocol: Protocol::Http1,
            host: HostPolicy::Preserve,
            connect_timeout: second,
            head_timeout: second,
            body_idle_timeout: second,
            keep_alive: second,
            told: true,
        }
    }

    fn times() -> HeadTimes {
        HeadTimes::new((&"p".into(), &"a".into()), Clock::default())
    }

    fn h2(config: &mut OriginConfig) {
        config.protocol = Protocol::Http2;
    }

    fn aimed(
        at: &'static str,
        uri: &str,
        config: impl FnOnce(&mut OriginConfig),
    ) -> Request<RequestBody> {
        let mut of = self::config();
        config(&mut of);
        let origin = Origin::new(&Authority::from_static(at), of, times());
        let mut request = Request::builder().uri(uri).header(HOST, "shop.example");
        request = request.version(Version::HTTP_10);
        let mut request = request.body(RequestBody::empty()).unwrap();
        origin.0.unwrap().aim(&mut request);
        request
    }

    #[test]
    fn only_path_and_query_come_from_the_client() {
        for (sent, aim) in [
            ("/a?b=c", "/a?b=c"),
            ("http://evil.example:1/x", "/x"),
            ("https://evil.example", "/"),
            ("//evil.example/x", "//evil.example/x"),
            ("evil.example:443", "/"),
        ] {
            let request = aimed(ENDPOINT, sent, |_| ());
            assert_eq!(
                request.uri().to_string(),
                format!("http://_{aim}"),
                "{sent}"
            );
            assert_eq!(request.version(), Version::HTTP_11);
            let request = aimed(ENDPOINT, sent, h2);
            let whole = format!("http://{ENDPOINT}{aim}");
            assert_eq!(request.uri().to_string(), whole, "{sent}");
            assert_eq!(request.version(), Version::HTTP_2);
        }
    }

    #[test]
    fn the_host_an_upstream_sees_follows_the_policy() {
        let preserved = aimed(ENDPOINT, "/", |_| ());
        assert_eq!(preserved.headers()[HOST], "shop.example");
        for (endpoint, host) in [
            (ENDPOINT, ENDPOINT),
            ("shop.internal:80", "shop.internal"),
            ("[::1]:9001", "[::1]:9001"),
        ] {
            let own = aimed(endpoint, "/", |config| config.host = HostPolicy::Upstream);
            assert_eq!(own.headers()[HOST], host);
        }
        let h2 = aimed(ENDPOINT, "/", h2);
        assert!(!h2.headers().contains_key(HOST));
    }

    #[test]
    fn a_request_that_names_no_host_gets_the_endpoints_own() {
        let origin = Origin::new(&Authority::from_static(ENDPOINT), config(), times());
        let mut request = Request::new(RequestBody::empty());
        origin.0.unwrap().aim(&mut request);
        assert_eq!(request.headers()[HOST], ENDPOINT);
    }
}
