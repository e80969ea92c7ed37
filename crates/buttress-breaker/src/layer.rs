//! The layer: guards every service it is put on with one breaker.

use std::marker::PhantomData;

use buttress_core::protocol::{Http, Plain, Protocol};
use tower_layer::Layer;

use crate::breaker::Breaker;
use crate::handle::BreakerHandle;
use crate::service::BreakerService;

/// Guards services with one [`Breaker`], which all that come of this layer share.
///
/// For HTTP services by default: rejections become responses. `BreakerLayer<Plain>` is for services
/// of any kind: rejections are [`crate::BreakerError::Rejected`].
///
/// `C` decides the outcome of a call; [`BreakerLayer::classify`] replaces it.
#[derive(Clone, Debug)]
pub struct BreakerLayer<P: Protocol = Http, C = <P as Protocol>::Classify> {
    breaker: Breaker,
    classify: C,
    protocol: PhantomData<P>,
}

#[cfg(feature = "http")]
impl BreakerLayer<Http> {
    /// Guards HTTP services with `breaker`.
    pub fn new(breaker: Breaker) -> Self {
        Self::with_default_classifier(breaker)
    }
}

impl BreakerLayer<Plain> {
    /// Guards services of any kind with `breaker`.
    pub fn plain(breaker: Breaker) -> Self {
        Self::with_default_classifier(breaker)
    }
}

impl<P: Protocol> BreakerLayer<P> {
    fn with_default_classifier(breaker: Breaker) -> Self {
        Self {
            breaker,
            classify: P::Classify::default(),
            protocol: PhantomData,
        }
    }
}

impl<P: Protocol, C> BreakerLayer<P, C> {
    /// With `classify` to decide the outcome of a call: over HTTP a `ClassifyHttp`, else a
    /// [`ClassifyResult`](buttress_core::protocol::ClassifyResult), such as a closure.
    #[must_use]
    pub fn classify<D>(self, classify: D) -> BreakerLayer<P, D> {
        BreakerLayer {
            breaker: self.breaker,
            classify,
            protocol: PhantomData,
        }
    }

    /// The breaker that all services of this layer share.
    pub const fn breaker(&self) -> &Breaker {
        &self.breaker
    }

    /// What reads the breaker and takes it in hand.
    pub fn handle(&self) -> BreakerHandle {
        self.breaker.handle()
    }
}

impl<S, P: Protocol, C: Clone> Layer<S> for BreakerLayer<P, C> {
    type Service = BreakerService<S, P, C>;

    fn layer(&self, inner: S) -> Self::Service {
        BreakerService::new(inner, self.breaker.clone(), self.classify.clone())
    }
}
