//! Somebody who answers what a breaker rejects.

#[cfg(feature = "http")]
mod http;
mod plain;
mod to_service;

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;

use buttress_core::protocol::{Http, Protocol};
use buttress_core::reject::Rejected;
use tower_layer::Layer;

use crate::layer::BreakerLayer;

#[cfg(feature = "http")]
pub use self::http::{EitherBody, HttpFallbackFuture};
pub use plain::PlainFallbackFuture;
pub use to_service::{ToService, ToServiceFuture};

/// Answers a request that was rejected.
///
/// Implemented for every `Fn(Request, Rejected) -> impl Future<Output = Result<Answer, Error>>`, and by
/// [`ToService`] for services. The request is the one the client sent, with all its extensions: the
/// rejection comes before anything has touched it.
pub trait Fallback<R> {
    /// What the request is answered with.
    type Answer;
    /// What goes wrong with that.
    type Error;
    /// The answer, in time.
    type Future: Future<Output = Result<Self::Answer, Self::Error>>;

    /// Answers `request`, which was `rejected`.
    fn answer(&self, request: R, rejected: Rejected) -> Self::Future;
}

impl<F, R, Fut, T, E> Fallback<R> for F
where
    F: Fn(R, Rejected) -> Fut,
    Fut: Future<Output = Result<T, E>>,
{
    type Answer = T;
    type Error = E;
    type Future = Fut;

    fn answer(&self, request: R, rejected: Rejected) -> Fut {
        self(request, rejected)
    }
}

/// A layer whose rejections are answered by `F`. Made by `fallback` of the layer it wraps.
///
/// What the fallback does is never charged to the breaker. A call that was admitted and whose inner
/// service was not ready in time ([`crate::Config::ready_deadline`]) is past its admission: it ends in
/// a rejection all the same.
///
/// ```
/// use buttress_breaker::{Breaker, Config};
/// use buttress_core::reject::Rejected;
/// use tower::{Layer, ServiceExt};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let breaker = Breaker::new("prices", Config::default())?;
/// let cached = |item: u32, _: Rejected| async move { Ok::<_, std::io::Error>(item * 100) };
/// let service = breaker
///     .plain_layer()
///     .fallback(cached)
///     .layer(tower::service_fn(|item: u32| async move { Ok::<_, std::io::Error>(item * 99) }));
///
/// assert_eq!(service.clone().oneshot(2).await?, 198);
/// breaker.handle().force_open();
/// assert_eq!(service.oneshot(2).await?, 200);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct FallbackLayer<L, F, P: Protocol = Http> {
    layer: L,
    fallback: F,
    protocol: PhantomData<P>,
}

/// A guarded service whose rejections are answered by `F`.
///
/// It is ready when the guarded service is.
pub struct FallbackService<G, F, P: Protocol = Http> {
    guarded: G,
    fallback: F,
    protocol: PhantomData<P>,
}

impl<L, F, P: Protocol> FallbackLayer<L, F, P> {
    pub(crate) const fn new(layer: L, fallback: F) -> Self {
        Self {
            layer,
            fallback,
            protocol: PhantomData,
        }
    }

    /// The layer whose rejections are answered.
    pub const fn get_ref(&self) -> &L {
        &self.layer
    }
}

impl<P: Protocol, C> BreakerLayer<P, C> {
    /// With `fallback` to answer what is rejected: a closure of the request and the rejection, or a
    /// service by [`ToService`].
    ///
    /// Over HTTP it answers with a response whose body gives the same data as the guarded one's, and
    /// an error that goes into that one's.
    pub const fn fallback<F>(self, fallback: F) -> FallbackLayer<Self, F, P> {
        FallbackLayer::new(self, fallback)
    }
}

impl<S, L: Layer<S>, F: Clone, P: Protocol> Layer<S> for FallbackLayer<L, F, P> {
    type Service = FallbackService<L::Service, F, P>;

    fn layer(&self, inner: S) -> Self::Service {
        FallbackService {
            guarded: self.layer.layer(inner),
            fallback: self.fallback.clone(),
            protocol: PhantomData,
        }
    }
}

impl<G, F, P: Protocol> FallbackService<G, F, P> {
    /// The guarded service.
    pub const fn get_ref(&self) -> &G {
        &self.guarded
    }
}

/// Both parts are cloned, and share what their clones share.
impl<G: Clone, F: Clone, P: Protocol> Clone for FallbackService<G, F, P> {
    fn clone(&self) -> Self {
        Self {
            guarded: self.guarded.clone(),
            fallback: self.fallback.clone(),
            protocol: PhantomData,
        }
    }
}

impl<G: fmt::Debug, F, P: Protocol> fmt::Debug for FallbackService<G, F, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FallbackService")
            .field("guarded", &self.guarded)
            .finish_non_exhaustive()
    }
}
