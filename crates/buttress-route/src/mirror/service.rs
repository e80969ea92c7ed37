//! The layer and the service.

use std::sync::Arc;
use std::task::{Context, Poll};

use buttress_core::config::ConfigError;
use buttress_core::replay::Replayable;
use buttress_core::spawn::Spawn;
use http::{Request, Response};
use http_body::Body;
use tower_layer::Layer;
use tower_service::Service;

use super::config::Config;
use super::handle::MirrorHandle;
use super::run::{Until, run};
use super::shared::Shared;
use crate::copied::copy;

/// Puts a [`Mirror`] round a service. All that it makes share one shadow, one room for copies and one configuration.
#[derive(Clone, Debug)]
pub struct MirrorLayer<M> {
    shadow: M,
    shared: Arc<Shared>,
}

/// Copies a share of the requests to a shadow. See the [module](super).
#[derive(Clone, Debug)]
pub struct Mirror<S, M> {
    inner: S,
    shadow: M,
    shared: Arc<Shared>,
}

impl<M> MirrorLayer<M> {
    /// Copies go to `shadow`, on `spawn`, whose cap bounds them beside [`Config::max_in_flight`].
    ///
    /// Refuses a configuration that makes no sense.
    pub fn new(config: Config, shadow: M, spawn: Spawn) -> Result<Self, ConfigError> {
        let shared = Arc::new(Shared::new(config, spawn)?);
        Ok(Self { shadow, shared })
    }

    /// The handle of all that this layer makes.
    pub fn handle(&self) -> MirrorHandle {
        MirrorHandle::new(Arc::clone(&self.shared))
    }
}

impl<S, M: Clone> Layer<S> for MirrorLayer<M> {
    type Service = Mirror<S, M>;

    fn layer(&self, inner: S) -> Mirror<S, M> {
        Mirror {
            inner,
            shadow: self.shadow.clone(),
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<S, M> Mirror<S, M> {
    /// The handle of the layer that made this.
    pub fn handle(&self) -> MirrorHandle {
        MirrorHandle::new(Arc::clone(&self.shared))
    }

    /// The service inside.
    pub const fn get_ref(&self) -> &S {
        &self.inner
    }

    /// A copy of `request`, if it is one of those that are copied.
    #[cold]
    fn copy<B: Replayable>(&self, request: &Request<B>) -> Option<Request<B>> {
        // Held while the user's code runs, and no lock.
        let config = self.shared.config();
        config.selects(request).then(|| copy(request)).flatten()
    }

    /// Of a request that is drawn. Apart from the others, and not cold: where all are copied all pass it.
    #[inline(never)]
    fn call_copied<B, ResBody>(&mut self, request: Request<B>) -> S::Future
    where
        S: Service<Request<B>>,
        M: Service<Request<B>, Response = Response<ResBody>> + Clone + Send + 'static,
        M::Future: Send + 'static,
        M::Error: Send + 'static,
        B: Replayable + Send + 'static,
        ResBody: Body + Send + 'static,
    {
        let copy = self.copy(&request);
        let future = self.inner.call(request);
        if let Some(copy) = copy {
            self.send(copy);
        }
        future
    }

    #[cold]
    fn send<B, ResBody>(&self, copy: Request<B>)
    where
        M: Service<Request<B>, Response = Response<ResBody>> + Clone + Send + 'static,
        M::Future: Send + 'static,
        M::Error: Send + 'static,
        B: Send + 'static,
        ResBody: Body + Send + 'static,
    {
        let config = self.shared.config();
        let Some(place) = self.shared.counts.take_place(config.max_in_flight) else {
            return;
        };
        let until = Until {
            clock: self.shared.clock.clone(),
            timeout: config.timeout,
            ends: self.shared.ends.subscribe(),
        };
        drop(config);
        // One that is not run gives its place back, and counts as dropped.
        let _ = (self.shared.spawn).spawn(run(self.shadow.clone(), copy, until, place));
    }
}

impl<S, M, B, ResBody> Service<Request<B>> for Mirror<S, M>
where
    S: Service<Request<B>>,
    M: Service<Request<B>, Response = Response<ResBody>> + Clone + Send + 'static,
    M::Future: Send + 'static,
    M::Error: Send + 'static,
    B: Replayable + Send + 'static,
    ResBody: Body + Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    // A request that is not looked at here is not moved either.
    #[inline]
    fn call(&mut self, request: Request<B>) -> S::Future {
        if !self.shared.draw() {
            return self.inner.call(request);
        }
        self.call_copied(request)
    }
}
