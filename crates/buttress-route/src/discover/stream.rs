//! `tower::discover`: services that come and go as a stream of changes.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use buttress_core::clock::Clock;
use buttress_core::spawn::{Refused, Spawn};
use tower::discover::{Change, Discover};

use super::discovery::{Discovery, Record};
use super::source::SourceError;
use crate::background::{Term, caught};
use crate::endpoint::Endpoint;
use crate::handle::RouterHandle;
use crate::pool::Pool;

/// So many changes are taken over together at most, so that a pool hears of the first before the last.
const TOGETHER: usize = 1024;
/// For how long a stream that failed is left alone.
const PAUSE: Duration = Duration::from_secs(1);

impl<S: Clone + Send + Sync + 'static> RouterHandle<S> {
    /// Takes the pool's endpoints from a [`tower::discover::Discover`] from now on: each service that it
    /// inserts is an endpoint whose identity is its key, of weight 1, until it removes it. All else is
    /// as with [`RouterHandle::discover`].
    ///
    /// Changes that are ready together are taken over together. Of a stream nothing is refused: where it
    /// removes the last endpoint, the pool is empty. An error is told and the stream asked on, a second
    /// later; its end leaves the endpoints as they are.
    pub fn discover_stream<D>(&self, stream: D, spawn: &Spawn) -> Result<Discovery, Refused>
    where
        D: Discover<Service = S> + Send + 'static,
        D::Key: ToString,
        D::Error: ToString,
    {
        let (pool, clock) = (self.pool(), self.pool().shared.clock.clone());
        let name = Arc::clone(&pool.shared.pool);
        let discovery = Discovery::new(name, "stream", clock.clone(), &pool.discovered);
        let driver = Driver {
            pool: Arc::downgrade(pool),
            record: Arc::clone(&discovery.0),
            endpoints: BTreeMap::new(),
        };
        let term = pool.discovered.begin();
        spawn.spawn(drive(stream, driver, term, clock))?;
        Ok(discovery)
    }
}

struct Driver<S> {
    pool: Weak<Pool<S>>,
    record: Arc<Record>,
    endpoints: BTreeMap<Arc<str>, Endpoint<S>>,
}

/// Some changes, and what came after them if that was no change.
struct Batch<S> {
    changes: Vec<(Arc<str>, Option<S>)>,
    after: After,
}

enum After {
    More,
    Failed(SourceError),
    Ended,
}

async fn drive<S, D>(stream: D, mut driver: Driver<S>, mut term: Term, clock: Clock)
where
    S: Clone + Send + Sync + 'static,
    D: Discover<Service = S>,
    D::Key: ToString,
    D::Error: ToString,
{
    let mut stream = Box::pin(stream);
    loop {
        let batch = poll_fn(|cx| poll_batch(stream.as_mut(), cx));
        let Some(batch) = term.during(caught(batch)).await else {
            return;
        };
        let Ok(batch) = batch else {
            // What is left of it cannot be relied on.
            return driver
                .record
                .refused(SourceError::new("the stream panicked and is left"));
        };
        driver.take(batch.changes);
        match batch.after {
            After::More => {}
            After::Ended => return,
            After::Failed(problem) => {
                driver.record.refused(problem);
                if term.during(clock.sleep(PAUSE)).await.is_none() {
                    return;
                }
            }
        }
    }
}

fn poll_batch<D>(mut stream: Pin<&mut D>, cx: &mut Context<'_>) -> Poll<Batch<D::Service>>
where
    D: Discover,
    D::Key: ToString,
    D::Error: ToString,
{
    let mut changes = Vec::new();
    let after = loop {
        match stream.as_mut().poll_discover(cx) {
            Poll::Pending if changes.is_empty() => return Poll::Pending,
            Poll::Pending => break After::More,
            Poll::Ready(Some(Ok(Change::Insert(key, service)))) => {
                changes.push((key.to_string().into(), Some(service)));
            }
            Poll::Ready(Some(Ok(Change::Remove(key)))) => {
                changes.push((key.to_string().into(), None));
            }
            Poll::Ready(Some(Err(error))) => {
                break After::Failed(SourceError::new(error.to_string()));
            }
            Poll::Ready(None) => break After::Ended,
        }
        if changes.len() >= TOGETHER {
            break After::More;
        }
    };
    Poll::Ready(Batch { changes, after })
}

impl<S: Clone> Driver<S> {
    fn take(&mut self, changes: Vec<(Arc<str>, Option<S>)>) {
        let Some(pool) = self.pool.upgrade() else {
            return;
        };
        if changes.is_empty() {
            return;
        }
        let (mut joined, mut left) = (0, 0);
        for (id, service) in changes {
            match service {
                Some(service) => {
                    let endpoint = Endpoint::new(Arc::clone(&id), service);
                    joined += usize::from(self.endpoints.insert(id, endpoint).is_none());
                }
                None => left += usize::from(self.endpoints.remove(&id).is_some()),
            }
        }
        let count = self.endpoints.len();
        match pool.update(self.endpoints.values().cloned().collect()) {
            Ok(()) => self.record.learned(Some((joined, left)), count, None),
            Err(error) => self.record.refused(SourceError::new(error.to_string())),
        }
    }
}
