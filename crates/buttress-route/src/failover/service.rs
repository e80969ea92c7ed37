//! The layer and the service.

use std::sync::Arc;
use std::task::{Context, Poll};

use buttress_core::config::ConfigError;
use buttress_core::replay::Replayable;
use http::{Request, Response};
use tower_layer::Layer;
use tower_service::Service;

use super::config::Config;
use super::future::FailoverFuture;
use super::handle::FailoverHandle;
use super::kept::Kept;
use super::shared::Shared;
use crate::attempted;

/// Puts a [`Failover`] round a router. All that it makes share one budget and one configuration.
#[derive(Clone, Debug)]
pub struct FailoverLayer {
    shared: Arc<Shared>,
}

/// Sends a request that failed at one endpoint to another. See the [module](super).
#[derive(Clone, Debug)]
pub struct Failover<S> {
    inner: S,
    shared: Arc<Shared>,
}

impl FailoverLayer {
    /// Refuses a configuration that makes no sense.
    pub fn new(config: Config) -> Result<Self, ConfigError> {
        let shared = Arc::new(Shared::new(config)?);
        Ok(Self { shared })
    }

    /// The handle of all that this layer makes.
    pub fn handle(&self) -> FailoverHandle {
        FailoverHandle::new(Arc::clone(&self.shared))
    }
}

impl<S> Layer<S> for FailoverLayer {
    type Service = Failover<S>;

    fn layer(&self, inner: S) -> Failover<S> {
        Failover {
            inner,
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<S> Failover<S> {
    /// The handle of the layer that made this.
    pub fn handle(&self) -> FailoverHandle {
        FailoverHandle::new(Arc::clone(&self.shared))
    }

    /// The service inside.
    pub const fn get_ref(&self) -> &S {
        &self.inner
    }

    /// Of a request that may be sent again. Apart from what is sent once, and not cold: where failover is on all pass it.
    #[inline(never)]
    fn call_kept<B>(&mut self, mut request: Request<B>) -> FailoverFuture<S, B>
    where
        S: Service<Request<B>> + Clone,
        B: Replayable,
    {
        let mut kept = Kept::of(&self.shared, &mut request, self.inner.clone());
        attempted::told();
        let attempt = self.inner.call(request);
        if let Some(kept) = &mut kept {
            kept.note(attempted::told());
        }
        FailoverFuture::new(attempt, kept)
    }
}

impl<S, B, ResBody> Service<Request<B>> for Failover<S>
where
    S: Service<Request<B>, Response = Response<ResBody>> + Clone,
    S::Error: 'static,
    B: Replayable,
{
    type Response = Response<ResBody>;
    type Error = S::Error;
    type Future = FailoverFuture<S, B>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    // A request that is not looked at here is not moved either.
    #[inline]
    fn call(&mut self, request: Request<B>) -> FailoverFuture<S, B> {
        if !self.shared.is_enabled() {
            return FailoverFuture::new(self.inner.call(request), None);
        }
        self.call_kept(request)
    }
}
