//! An origin that can be made ill.

use std::convert::Infallible;
use std::future::pending;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep};

use super::case::Fault;
use crate::Error;

/// The header by which an answer says which origin it is from.
pub(super) const FROM: &str = "x-origin";

/// An origin, which serves for as long as the runtime.
#[derive(Debug)]
pub(super) struct Origin {
    pub(super) address: SocketAddr,
    health: Arc<Health>,
}

#[derive(Debug)]
struct Health {
    index: usize,
    illness: Mutex<Option<Illness>>,
}

#[derive(Debug)]
struct Illness {
    fault: Fault,
    since: Instant,
    asked: Vec<Duration>,
}

impl Origin {
    pub(super) async fn listen(index: usize) -> Result<Self, Error> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let health = Arc::new(Health {
            index,
            illness: Mutex::new(None),
        });
        tokio::spawn(accept(listener, Arc::clone(&health)));
        Ok(Self { address, health })
    }

    /// From now on it suffers from `fault`.
    pub(super) fn turn(&self, fault: Fault, since: Instant) {
        *self.health.lock() = Some(Illness {
            fault,
            since,
            asked: Vec::new(),
        });
    }

    pub(super) fn recover(&self) {
        *self.health.lock() = None;
    }

    /// When it was asked, since it fell ill.
    pub(super) fn asked(&self) -> Vec<Duration> {
        let illness = self.health.lock();
        illness
            .as_ref()
            .map(|illness| illness.asked.clone())
            .unwrap_or_default()
    }
}

impl Health {
    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Illness>> {
        self.illness.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What it suffers from, without being asked anything.
    fn fault(&self) -> Option<Fault> {
        self.lock().as_ref().map(|illness| illness.fault)
    }

    /// What becomes of this request, which is remembered.
    fn ask(&self) -> Option<Fault> {
        let mut illness = self.lock();
        let illness = illness.as_mut()?;
        illness.asked.push(illness.since.elapsed());
        match illness.fault {
            Fault::Grey(one_in) if !illness.asked.len().is_multiple_of(one_in as usize) => None,
            fault => Some(fault),
        }
    }
}

async fn accept(listener: TcpListener, health: Arc<Health>) {
    while let Ok((stream, _)) = listener.accept().await {
        // What is dropped with a linger of zero is reset; an origin in health drops nothing.
        let set = stream.set_zero_linger().and(stream.set_nodelay(true));
        if set.is_err() {
            continue;
        }
        if health.fault() == Some(Fault::Resets) {
            health.ask();
            continue;
        }
        tokio::spawn(serve(stream, Arc::clone(&health)));
    }
}

async fn serve(stream: TcpStream, health: Arc<Health>) {
    let reset = Arc::new(Notify::new());
    let answer = service_fn(|_: Request<Incoming>| answer(Arc::clone(&health), Arc::clone(&reset)));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .serve_connection(TokioIo::new(stream), answer);
    tokio::select! {
        // A connection that breaks is the gateway's business.
        _ = connection => {}
        () = reset.notified() => {}
    }
}

async fn answer(
    health: Arc<Health>,
    reset: Arc<Notify>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let mut status = StatusCode::OK;
    match health.ask() {
        None => {}
        Some(Fault::Slow(by)) => sleep(by).await,
        Some(Fault::Fails | Fault::Grey(_)) => status = StatusCode::INTERNAL_SERVER_ERROR,
        Some(Fault::Resets) => {
            reset.notify_one();
            pending::<()>().await;
        }
        Some(Fault::Hangs) => pending::<()>().await,
    }
    let mut response = Response::new(Full::new(Bytes::from_static(b"ok")));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(FROM, HeaderValue::from(health.index));
    Ok(response)
}
