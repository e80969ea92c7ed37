//! The layer and the service, as far as HTTP and other services have them in common.

use std::fmt;
use std::marker::PhantomData;

use buttress_core::protocol::{Http, Plain, Protocol};
use tower_layer::Layer;

use super::breakers::KeyedBreaker;
use super::handle::KeyedHandle;
use super::key::Key;
use crate::breaker::Breaker;
use crate::fallback::FallbackLayer;
use crate::inner::Inner;
use crate::permit::Permit;
use crate::refusal::Refusal;

/// Guards services with a breaker for each key; all that come of this layer share them.
///
/// `F` says the key of a request ([`super::KeyOf`]), `C` decides the outcome of a call. For HTTP by
/// default: rejections become responses.
#[derive(Debug)]
pub struct KeyedBreakerLayer<K, F, P: Protocol = Http, C = <P as Protocol>::Classify> {
    breakers: KeyedBreaker<K>,
    key: F,
    classify: C,
    protocol: PhantomData<P>,
}

/// A service guarded by a breaker for each key. Clones share the breakers.
///
/// Whose breaker decides is known when the request comes, so it is ready when the inner service is,
/// whatever the breakers are. A rejection lets go of what readying the inner service has reserved.
pub struct KeyedBreakerService<S, K, F, P: Protocol = Http, C = <P as Protocol>::Classify> {
    pub(super) inner: Inner<S>,
    pub(super) breakers: KeyedBreaker<K>,
    pub(super) key: F,
    pub(super) classify: C,
    protocol: PhantomData<P>,
}

#[cfg(feature = "http")]
impl<K, F> KeyedBreakerLayer<K, F> {
    /// Guards HTTP services.
    pub fn new(breakers: KeyedBreaker<K>, key: F) -> Self {
        Self::with_default_classifier(breakers, key)
    }
}

impl<K, F> KeyedBreakerLayer<K, F, Plain> {
    /// Guards services of any kind.
    pub fn plain(breakers: KeyedBreaker<K>, key: F) -> Self {
        Self::with_default_classifier(breakers, key)
    }
}

impl<K, F, P: Protocol> KeyedBreakerLayer<K, F, P> {
    fn with_default_classifier(breakers: KeyedBreaker<K>, key: F) -> Self {
        Self {
            breakers,
            key,
            classify: P::Classify::default(),
            protocol: PhantomData,
        }
    }
}

impl<K, F, P: Protocol, C> KeyedBreakerLayer<K, F, P, C> {
    /// With `classify` to decide the outcome of a call: over HTTP a `ClassifyHttp`, else a
    /// [`ClassifyResult`](buttress_core::protocol::ClassifyResult), such as a closure.
    #[must_use]
    pub fn classify<D>(self, classify: D) -> KeyedBreakerLayer<K, F, P, D> {
        KeyedBreakerLayer {
            breakers: self.breakers,
            key: self.key,
            classify,
            protocol: PhantomData,
        }
    }

    /// With `fallback` to answer what is rejected, as by
    /// [`BreakerLayer::fallback`](crate::BreakerLayer::fallback).
    pub const fn fallback<B>(self, fallback: B) -> FallbackLayer<Self, B, P> {
        FallbackLayer::new(self, fallback)
    }

    /// What reads the breakers and takes them in hand.
    pub fn handle(&self) -> KeyedHandle<K>
    where
        K: Key,
    {
        self.breakers.handle()
    }
}

impl<S, K, F: Clone, P: Protocol, C: Clone> Layer<S> for KeyedBreakerLayer<K, F, P, C> {
    type Service = KeyedBreakerService<S, K, F, P, C>;

    fn layer(&self, inner: S) -> Self::Service {
        KeyedBreakerService {
            inner: Inner::new(inner),
            breakers: self.breakers.clone(),
            key: self.key.clone(),
            classify: self.classify.clone(),
            protocol: PhantomData,
        }
    }
}

impl<S: Clone, K: Key, F, P: Protocol, C> KeyedBreakerService<S, K, F, P, C> {
    /// Asks the breaker of `key`; a rejection lets go of the inner service, and says whose it is.
    #[inline]
    pub(super) fn acquire(&mut self, key: K) -> Result<Permit, (Refusal, Breaker)> {
        let breaker = self.breakers.get(key);
        let admitted = breaker.admit();
        if admitted.is_err() {
            self.inner.let_go();
        }
        admitted.map_err(|refusal| (refusal, breaker))
    }
}

impl<S, K, F, P: Protocol, C> KeyedBreakerService<S, K, F, P, C> {
    /// The inner service.
    pub const fn get_ref(&self) -> &S {
        &self.inner.service
    }
}

impl<K, F: Clone, P: Protocol, C: Clone> Clone for KeyedBreakerLayer<K, F, P, C> {
    fn clone(&self) -> Self {
        Self {
            breakers: self.breakers.clone(),
            key: self.key.clone(),
            classify: self.classify.clone(),
            protocol: PhantomData,
        }
    }
}

/// The clone has readied nothing.
impl<S: Clone, K, F: Clone, P: Protocol, C: Clone> Clone for KeyedBreakerService<S, K, F, P, C> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            breakers: self.breakers.clone(),
            key: self.key.clone(),
            classify: self.classify.clone(),
            protocol: PhantomData,
        }
    }
}

impl<S: fmt::Debug, K, F, P: Protocol, C> fmt::Debug for KeyedBreakerService<S, K, F, P, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyedBreakerService")
            .field("inner", &self.inner.service)
            .field("breakers", &self.breakers)
            .finish_non_exhaustive()
    }
}
