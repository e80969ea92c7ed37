//! Small HTTP servers on loopback that behave as their [`Character`] says.

use std::convert::Infallible;
use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use tokio::time::Instant;

use super::conduct::Character;
use crate::body::now;
use crate::headers::X_CORRELATION_ID;
use crate::server::{BindError, ConnectionLimits, Drain, Listener, Phase, Server, ServerConfig};

/// A running upstream.
#[derive(Clone, Debug)]
pub struct Upstream {
    character: Character,
    address: SocketAddr,
    answered: Arc<AtomicU64>,
}

impl Upstream {
    /// Starts on a free loopback port and runs until `drain` cuts it.
    pub async fn start(character: Character, drain: Drain) -> Result<Self, BindError> {
        let listener = Listener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await?;
        let upstream = Self {
            character,
            address: listener.address(),
            answered: Arc::default(),
        };
        let server = Server::new(listener, config(), drain.clone());
        let (serving, started) = (upstream.clone(), now());
        let service = tower::service_fn(move |request| serving.answer(&request, started));
        tokio::spawn(async move {
            tokio::select! {
                () = server.serve(service) => {}
                () = drain.reached(Phase::Cut) => {}
            }
        });
        Ok(upstream)
    }

    /// What it is like.
    pub const fn character(&self) -> Character {
        self.character
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Requests it has taken.
    pub fn answered(&self) -> u64 {
        self.answered.load(Relaxed)
    }

    fn answer(
        &self,
        request: &Request<Incoming>,
        started: Instant,
    ) -> impl Future<Output = Result<Response<Full<Bytes>>, Infallible>> + Send + use<> {
        let number = self.answered.fetch_add(1, Relaxed);
        let conduct = self.character.conduct(now() - started, number);
        let id = request.headers().get(&X_CORRELATION_ID).cloned();
        let name = self.character.name();
        async move {
            tokio::time::sleep(conduct.delay).await;
            Ok(response(name, conduct.fails, id))
        }
    }
}

fn response(name: &str, fails: bool, id: Option<HeaderValue>) -> Response<Full<Bytes>> {
    let said = if fails { "is not well" } else { "is well" };
    let heard = id
        .as_ref()
        .and_then(|id| id.to_str().ok())
        .unwrap_or("none");
    let body = format!("{name} {said}\ncorrelation id: {heard}\n");
    let mut response = Response::new(Full::from(body));
    if fails {
        *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
    }
    let headers = response.headers_mut();
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    if let Some(id) = id {
        headers.insert("x-received-correlation-id", id);
    }
    response
}

fn config() -> ServerConfig {
    let minute = Duration::from_secs(60);
    ServerConfig {
        max_connections: NonZeroUsize::new(1024).unwrap_or(NonZeroUsize::MIN),
        limits: ConnectionLimits {
            header: minute,
            idle: minute,
            write: minute,
        },
        lame_duck: Duration::ZERO,
        drain_deadline: Duration::ZERO,
    }
}
