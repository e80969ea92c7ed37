//! One of the services that a pool chooses among.

use std::collections::BTreeMap;
use std::sync::Arc;

use buttress_core::health::HealthSignal;

/// What is said of an endpoint beside its weight.
pub type Metadata = BTreeMap<Arc<str>, Arc<str>>;

/// One of the services that a pool chooses among, with what the pool is told of it.
///
/// The identity is what statistics are kept by: an endpoint that is given again under the same
/// identity is the same endpoint.
#[derive(Clone, Debug)]
pub struct Endpoint<S> {
    pub(crate) id: Arc<str>,
    pub(crate) service: S,
    pub(crate) weight: u32,
    pub(crate) about: About,
    pub(crate) signals: Vec<HealthSignal>,
}

/// What is said of an endpoint and read seldom.
#[derive(Clone, Debug, Default)]
pub(crate) struct About {
    pub(crate) priority: u8,
    pub(crate) locality: Option<Arc<str>>,
    pub(crate) metadata: Metadata,
}

impl<S> Endpoint<S> {
    /// The endpoint `id`, reached through `service`, with weight 1.
    pub fn new(id: impl Into<Arc<str>>, service: S) -> Self {
        Self {
            id: id.into(),
            service,
            weight: 1,
            about: About::default(),
            signals: Vec::new(),
        }
    }

    /// With this weight: how much it bears beside the others. Default 1; of weight 0 it is drained, and takes
    /// nothing new.
    #[must_use]
    pub fn weight(mut self, weight: u32) -> Self {
        self.weight = weight;
        self
    }

    /// With this priority: 0, the default, is asked first, and what that cannot bear goes to the next
    /// ([`Config::overprovisioning`](crate::Config::overprovisioning)).
    #[must_use]
    pub fn priority(mut self, priority: u8) -> Self {
        self.about.priority = priority;
        self
    }

    /// In this place, the largest part first and parted by `/`, such as `eu-west/1a`. Of one priority those nearer to
    /// [`Config::locality`](crate::Config::locality) are asked first. By default nowhere, which is far from anywhere.
    #[must_use]
    pub fn locality(mut self, locality: impl Into<Arc<str>>) -> Self {
        self.about.locality = Some(locality.into()).filter(|it| !it.is_empty());
        self
    }

    /// With this said of it, for policies of one's own ([`crate::Pick`]) and for readers.
    #[must_use]
    pub fn metadata(mut self, key: impl Into<Arc<str>>, value: impl Into<Arc<str>>) -> Self {
        self.about.metadata.insert(key.into(), value.into());
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
