//! One of the services that a pool chooses among.

use std::num::NonZeroU32;
use std::sync::Arc;

use buttress_core::health::HealthSignal;

/// One of the services that a pool chooses among, with what the pool is told of it.
///
/// The identity is what statistics are kept by: an endpoint that is given again under the same
/// identity is the same endpoint.
#[derive(Clone, Debug)]
pub struct Endpoint<S> {
    pub(crate) id: Arc<str>,
    pub(crate) service: S,
    pub(crate) weight: NonZeroU32,
    pub(crate) signals: Vec<HealthSignal>,
}

impl<S> Endpoint<S> {
    /// The endpoint `id`, reached through `service`, with weight 1.
    pub fn new(id: impl Into<Arc<str>>, service: S) -> Self {
        Self {
            id: id.into(),
            service,
            weight: NonZeroU32::MIN,
            signals: Vec::new(),
        }
    }

    /// With this weight: how much it bears beside the others.
    #[must_use]
    pub fn weight(mut self, weight: NonZeroU32) -> Self {
        self.weight = weight;
        self
    }

    /// With this outside word on its health, beside any other: while one says `Unhealthy` the
    /// endpoint takes no traffic, as far as the pool can bear it.
    #[must_use]
    pub fn signal(mut self, signal: HealthSignal) -> Self {
        self.signals.push(signal);
        self
    }

    /// The identity.
    pub fn id(&self) -> &Arc<str> {
        &self.id
    }

    /// The service.
    pub fn get_ref(&self) -> &S {
        &self.service
    }
}
