//! How many connections a server holds, and that it says so when that is as many as it may.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};

use buttress::core::metric::{Collect, Family, Kind, Value};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// A place for each connection that may be open at once, and for each stream that goes on as one. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Places {
    free: Arc<Semaphore>,
    held: Connections,
}

/// One connection's place, or one stream's, and its part of the count; given back when dropped.
#[derive(Debug)]
pub(super) struct Place {
    held: Connections,
    _permit: Option<OwnedSemaphorePermit>,
}

impl Places {
    pub(super) fn new(most: NonZeroUsize) -> Self {
        Self {
            free: Arc::new(Semaphore::new(most.get().min(Semaphore::MAX_PERMITS))),
            held: Connections(Arc::new(Counts {
                open: AtomicUsize::new(0),
                most,
                waits: AtomicU64::new(0),
                told: AtomicBool::new(false),
            })),
        }
    }

    pub(super) const fn held(&self) -> &Connections {
        &self.held
    }

    /// The next that is free, and so the right to accept.
    pub(super) async fn next(&self) -> OwnedSemaphorePermit {
        if let Ok(permit) = Arc::clone(&self.free).try_acquire_owned() {
            return permit;
        }
        self.held.wait();
        match Arc::clone(&self.free).acquire_owned().await {
            Ok(permit) => permit,
            // It is never closed.
            Err(_) => std::future::pending().await,
        }
    }

    /// A connection is open, by a right to accept it or because it had been made before the end.
    pub(super) fn take(&self, permit: Option<OwnedSemaphorePermit>) -> Place {
        self.held.0.open.fetch_add(1, Relaxed);
        Place {
            held: self.held.clone(),
            _permit: permit,
        }
    }

    /// One for a stream, if there is one: whoever accepts connections waits, and goes first.
    pub(super) fn for_stream(&self) -> StreamPlace {
        let free = Arc::clone(&self.free).try_acquire_owned().ok();
        StreamPlace(free.map(|permit| Arc::new(self.take(Some(permit)))))
    }
}

/// In the extensions of a `CONNECT` over HTTP/2: the place that its stream has among the connections, until the last clone is
/// dropped.
#[derive(Clone, Debug)]
pub struct StreamPlace(Option<Arc<Place>>);

impl StreamPlace {
    /// Whether there was none left.
    pub const fn is_lacking(&self) -> bool {
        self.0.is_none()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let counts = &*self.held.0;
        let left = counts.open.fetch_sub(1, Relaxed) - 1;
        // Not at the first that ends: where all places are wanted it is taken at once.
        if counts.told.load(Relaxed) && left <= counts.most.get() / 10 * 9 {
            counts.told.store(false, Relaxed);
        }
    }
}

/// How many connections a server holds, and may.
#[derive(Clone, Debug)]
pub struct Connections(Arc<Counts>);

#[derive(Debug)]
struct Counts {
    open: AtomicUsize,
    most: NonZeroUsize,
    /// How often all places were taken when one was wanted for the next, whether or not that came.
    waits: AtomicU64,
    /// That they do has been said.
    told: AtomicBool,
}

impl Connections {
    /// Open at this moment, with the streams that go on as one.
    pub fn open(&self) -> usize {
        self.0.open.load(Relaxed)
    }

    fn wait(&self) {
        self.0.waits.fetch_add(1, Relaxed);
        if !self.0.told.swap(true, Relaxed) {
            let connections = self.0.most.get();
            tracing::warn!(
                connections,
                "as many connections are open as may be: whoever comes waits until one ends"
            );
        }
    }
}

impl Collect for Connections {
    #[expect(clippy::cast_precision_loss, reason = "there are no 2^53 connections")]
    fn collect(&self, into: &mut Vec<Family>) {
        let gauge = |count: usize| Value::Gauge(count as f64);
        let open = Family::new(
            "buttress_gateway_connections",
            Kind::Gauge,
            "Connections of clients that are open, and streams of HTTP/2 that go on as one.",
        );
        into.push(open.with(vec![], gauge(self.open())));
        let most = Family::new(
            "buttress_gateway_connections_limit",
            Kind::Gauge,
            "How many of them may be open at once.",
        );
        into.push(most.with(vec![], gauge(self.0.most.get())));
        let waits = Family::new(
            "buttress_gateway_accept_waits_total",
            Kind::Counter,
            "Times that nothing could be accepted until a connection ended.",
        );
        into.push(waits.with(vec![], Value::Counter(self.0.waits.load(Relaxed))));
    }
}
