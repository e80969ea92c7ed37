//! An origin that can be made ill.

use std::convert::Infallible;
use std::future::pending;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::{HeaderValue, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, Semaphore, SemaphorePermit, watch};
use tokio::time::{Instant, sleep};

use super::body::{Halves, Rest};
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
    takes: Duration,
    workers: Semaphore,
    answered: AtomicU32,
    illness: Mutex<Option<Illness>>,
    /// Told when it falls ill and when it recovers.
    changed: watch::Sender<()>,
}

#[derive(Debug)]
struct Illness {
    fault: Fault,
    since: Instant,
    asked: Vec<Duration>,
}

impl Origin {
    /// One that works on so many requests at once, for so long on each.
    pub(super) async fn listen(
        index: usize,
        takes: Duration,
        workers: Option<usize>,
    ) -> Result<Self, Error> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let health = Arc::new(Health {
            index,
            takes,
            workers: Semaphore::new(workers.unwrap_or(Semaphore::MAX_PERMITS)),
            answered: AtomicU32::new(0),
            illness: Mutex::new(None),
            changed: watch::Sender::new(()),
        });
        tokio::spawn(listen(listener, address, Arc::clone(&health)));
        Ok(Self { address, health })
    }

    /// From now on it suffers from `fault`.
    pub(super) fn turn(&self, fault: Fault, since: Instant) {
        *self.health.lock() = Some(Illness {
            fault,
            since,
            asked: Vec::new(),
        });
        self.health.changed.send_replace(());
    }

    /// It is well again; when it was asked since it fell ill.
    pub(super) fn recover(&self) -> Vec<Duration> {
        let illness = self.health.lock().take();
        self.health.changed.send_replace(());
        illness.map(|illness| illness.asked).unwrap_or_default()
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

    /// Until it refuses connections, or does so no longer.
    async fn refuses(&self, does: bool) {
        let mut changed = self.changed.subscribe();
        while (self.fault() == Some(Fault::Refuses)) != does {
            if changed.changed().await.is_err() {
                return;
            }
        }
    }

    /// How long the next answer takes in health: the answers are spread evenly.
    fn next_time(&self) -> Duration {
        let step = self.answered.fetch_add(7, Ordering::Relaxed) % 16;
        self.takes * (8 + step) / 16
    }

    /// One of those who answer, as soon as one has time.
    async fn worker(&self) -> Option<SemaphorePermit<'_>> {
        // Nobody closes it.
        self.workers.acquire().await.ok()
    }

    /// What becomes of this request, which is remembered.
    fn ask(&self) -> Option<Fault> {
        let mut illness = self.lock();
        let illness = illness.as_mut()?;
        illness.asked.push(illness.since.elapsed());
        match illness.fault {
            Fault::Grey(one_in) if !illness.asked.len().is_multiple_of(one_in as usize) => None,
            Fault::Flaps(every) if is_up(illness.since.elapsed(), every) => None,
            fault => Some(fault),
        }
    }
}

/// Whether what falls ill and recovers every so often is well just then.
fn is_up(since: Duration, every: Duration) -> bool {
    (since.as_millis() / every.as_millis().max(1)) % 2 == 1
}

/// Listens, but not while it refuses.
async fn listen(mut listener: TcpListener, address: SocketAddr, health: Arc<Health>) {
    loop {
        tokio::select! {
            () = accept(&listener, &health) => {}
            () = health.refuses(true) => {}
        }
        drop(listener);
        health.refuses(false).await;
        match TcpListener::bind(address).await {
            Ok(again) => listener = again,
            Err(_) => return,
        }
    }
}

async fn accept(listener: &TcpListener, health: &Arc<Health>) {
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
        tokio::spawn(serve(stream, Arc::clone(health)));
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
        () = health.refuses(true) => {}
    }
}

async fn answer(health: Arc<Health>, reset: Arc<Notify>) -> Result<Response<Halves>, Infallible> {
    // Until it has answered, or whoever asked has left.
    let _worker = health.worker().await;
    sleep(health.next_time()).await;
    let (mut status, mut then) = (StatusCode::OK, Rest::Whole);
    match health.ask() {
        None => {}
        Some(Fault::Slow(by)) => sleep(by).await,
        Some(Fault::Fails | Fault::Grey(_) | Fault::Flaps(_)) => {
            status = StatusCode::INTERNAL_SERVER_ERROR;
        }
        Some(Fault::Stalls) => then = Rest::Nothing,
        Some(Fault::Breaks) => then = Rest::Break,
        Some(Fault::Resets | Fault::Refuses) => {
            reset.notify_one();
            pending::<()>().await;
        }
        Some(Fault::Hangs) => pending::<()>().await,
    }
    let mut response = Response::new(Halves::then(then));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(FROM, HeaderValue::from(health.index));
    Ok(response)
}
