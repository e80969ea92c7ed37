//! The service that routes.

use std::sync::Arc;
use std::task::{Context, Poll};

use buttress_core::classify::{ClassifyHttp, HttpStatus};
use buttress_core::config::ConfigError;
use buttress_core::spawn::Spawn;
use http::{Request, Response};
use http_body::Body;
use tower_service::Service;

use crate::acquired::Acquired;
use crate::affinity::Affinity;
use crate::attempted;
use crate::config::Config;
use crate::endpoint::Endpoint;
use crate::future::{ResponseFuture, RoutedBody};
use crate::handle::RouterHandle;
use crate::hedge::sealed::Of;
use crate::hedge::{ByCopies, ByUsers, Probing};
use crate::pool::Pool;

/// Sends each request to the endpoint that will most likely answer it well and soon.
///
/// Clones share one pool. The endpoint is chosen in `call`, when the request is there and the state
/// of the pool is that of the moment; `poll_ready` reserves nothing and is always ready. See the
/// crate's documentation for what it promises.
#[derive(Debug)]
pub struct HealthRouter<S, C = HttpStatus, P = ByUsers> {
    pool: Arc<Pool<S>>,
    classify: C,
    probing: P,
}

impl<S> HealthRouter<S> {
    /// A router over `endpoints`, of which there may be none yet. Outcomes are decided by
    /// [`HttpStatus`]; see [`HealthRouter::classify`].
    ///
    /// Refuses a configuration that makes no sense, and two endpoints of one identity.
    pub fn new(
        config: Config,
        endpoints: impl IntoIterator<Item = Endpoint<S>>,
    ) -> Result<Self, ConfigError> {
        let pool = Pool::new(config, endpoints.into_iter().collect())?;
        Ok(Self {
            pool: Arc::new(pool),
            classify: HttpStatus,
            probing: ByUsers,
        })
    }
}

impl<S, C, P> HealthRouter<S, C, P> {
    /// The same pool, with outcomes decided by `classify`.
    pub fn classify<D>(self, classify: D) -> HealthRouter<S, D, P> {
        HealthRouter {
            pool: self.pool,
            classify,
            probing: self.probing,
        }
    }

    /// The same pool, whose endpoints in doubt are probed by copies of requests, on `spawn`.
    ///
    /// Where a request is safe (GET, HEAD, OPTIONS, TRACE), without a body and no handshake, its copy is the probe, and the
    /// request itself goes to an endpoint that is well: no user pays for finding out. A copy looks as well at an
    /// endpoint that is in and takes no traffic because it was slow: after a second in which nothing was heard of it once, and where that
    /// went well until as many looks have as probes are needed, which pardons it, or until it costs no more than these show.
    ///
    /// So an endpoint may be shunned on little evidence. Where no other of the pool has failed of late, or as seldom as chance
    /// has it, one failure is enough; copies see 50 ms later whether it fails on, and the rules are told by them. Where no
    /// copies do, because for 1 s none came that can be copied, `spawn` is full or drops what it is given, or the last clone of
    /// this router is gone, it takes five, as without this, until a copy is run again. Until it is over such an endpoint is
    /// [`doubted`](crate::EndpointSnapshot::doubted): as many copies in a row have to go well as say that it fails no more, between once and
    /// ten times as many as probes are needed, and after [`Config::decay`] without another failure it is believed again whatever they say.
    ///
    /// A share of the requests is copied, as large as one endpoint's of the pool; one copy at a time is under way to an
    /// endpoint. A copy that is not answered is given up after 5 s, one that
    /// looks again after 1 s, and either after twenty times the pool's median where that is longer.
    /// An answer is read to its end, or for a second, or to 64 KiB of it, and thrown away. It counts in the endpoint's statistics
    /// and carries [`Attempt::copy`](buttress_core::attempt::Attempt::copy) in its extensions. Where for 5 s none
    /// comes that can be copied, or `spawn` is full or drops what it is given, a user's request is the probe, as without this; with a `spawn` whose cap is 0,
    /// always. Where that fails the next one comes after 5 s at the earliest.
    ///
    /// The endpoint's service is cloned where the request is routed, as the request's extensions are, and called in the
    /// task. Whatever of that panics, the request itself goes its way.
    ///
    /// Copies under way end with the last clone of this router. [`Config::hedged`] has a circuit that
    /// suits them.
    ///
    /// # Cost
    ///
    /// Two more comparisons per pick; the copied head of a request and a task for each probe.
    pub fn hedged(self, spawn: Spawn) -> HealthRouter<S, C, ByCopies> {
        let probing = ByCopies::on(spawn, Arc::clone(&self.pool.shared));
        HealthRouter {
            pool: self.pool,
            classify: self.classify,
            probing,
        }
    }

    /// An endpoint for one call that is no exchange over HTTP: a query, a message, a stream. Its service may have to
    /// be made ready. `None` if there is none that is not draining.
    ///
    /// # Cost
    ///
    /// One read of the clock and no lock; the endpoint's service is cloned.
    ///
    /// ```
    /// # use buttress_route::{Config, Endpoint, HealthRouter};
    /// use buttress_core::outcome::Outcome;
    ///
    /// let replicas = ["db-1", "db-2"].map(|name| Endpoint::new(name, name));
    /// let router = HealthRouter::new(Config::new("db"), replicas)?;
    /// let mut replica = router.try_acquire().ok_or("all of them drain")?;
    /// assert!(replica.service().starts_with("db-"));
    /// replica.record(Outcome::Success);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn try_acquire(&self) -> Option<Acquired<S>>
    where
        S: Clone,
    {
        let now = self.pool.shared.clock.now();
        let (permit, service) = self.pool.acquire(now, None)?;
        Some(Acquired::new(permit, service))
    }

    /// [`HealthRouter::try_acquire`] of a call with this key, where the policy heeds keys
    /// ([`Policy::ConsistentHash`](crate::Policy::ConsistentHash)); [`Affinity::hash`](crate::Affinity::hash) makes one
    /// of bytes.
    pub fn try_acquire_for(&self, key: u64) -> Option<Acquired<S>>
    where
        S: Clone,
    {
        let now = self.pool.shared.clock.now();
        let (permit, service) = self.pool.acquire(now, Some(key))?;
        Some(Acquired::new(permit, service))
    }

    /// The pool's handle.
    pub fn handle(&self) -> RouterHandle<S> {
        RouterHandle::new(Arc::clone(&self.pool))
    }
}

impl<S, C: Clone, P: Clone> Clone for HealthRouter<S, C, P> {
    // Nothing is readied in a router, so a clone is as good as the original.
    fn clone(&self) -> Self {
        Self {
            pool: Arc::clone(&self.pool),
            classify: self.classify.clone(),
            probing: self.probing.clone(),
        }
    }
}

impl<S, C, P, B, ResBody> Service<Request<B>> for HealthRouter<S, C, P>
where
    S: Service<Request<B>, Response = Response<ResBody>> + Clone,
    C: ClassifyHttp<S::Error> + Clone,
    P: Probing<S, C, B>,
    ResBody: Body,
{
    type Response = Response<RoutedBody<ResBody, C, S::Error>>;
    type Error = S::Error;
    type Future = ResponseFuture<S, B, C>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let now = self.pool.shared.clock.now();
        // The user's code, before there is anything to give back.
        let classify = self.classify.clone();
        let pick = match attempted::of(&request) {
            None => {
                let of = Of(&self.pool, now);
                self.probing.pick(of, &classify, &request).0
            }
            Some(attempted) => {
                let key = |affinity: &Affinity| affinity.key_of(&request);
                self.pool.pick_another(now, attempted, key)
            }
        };
        match pick {
            Some(pick) => {
                let number = pick.number;
                let future = ResponseFuture::send(pick, request, classify);
                // Now, when a router inside has told its own.
                attempted::tell_picked(number);
                future
            }
            None => ResponseFuture::no_endpoint(&request),
        }
    }
}
