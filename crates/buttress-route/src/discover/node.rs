//! What a source says of an endpoint, and how an endpoint is made of it.

use std::sync::Arc;

use crate::endpoint::Endpoint;

/// What a [`Source`](super::Source) says of an endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    id: Arc<str>,
    weight: Option<u32>,
    priority: Option<u8>,
}

impl Node {
    /// The endpoint `id`, of which nothing else is said. Mostly the identity is `address:port`.
    pub fn new(id: impl Into<Arc<str>>) -> Self {
        Self {
            id: id.into(),
            weight: None,
            priority: None,
        }
    }

    /// With this weight; at 0 it is drained. It takes the place of the one that [`MakeEndpoint`] gave.
    #[must_use]
    pub const fn weight(mut self, weight: u32) -> Self {
        self.weight = Some(weight);
        self
    }

    /// With this priority: 0 is asked first. It takes the place of the one that [`MakeEndpoint`] gave.
    #[must_use]
    pub const fn priority(mut self, priority: u8) -> Self {
        self.priority = Some(priority);
        self
    }

    /// The identity.
    pub const fn id(&self) -> &Arc<str> {
        &self.id
    }

    /// The weight, if the source says one.
    pub const fn said_weight(&self) -> Option<u32> {
        self.weight
    }

    /// The priority, if the source says one.
    pub const fn said_priority(&self) -> Option<u8> {
        self.priority
    }

    /// An endpoint of this identity, weight and priority, reached through `service`.
    pub fn endpoint<S>(&self, service: S) -> Endpoint<S> {
        self.describe(Endpoint::new(Arc::clone(&self.id), service))
    }

    /// `endpoint` as this says that it is.
    pub(super) fn describe<S>(&self, mut endpoint: Endpoint<S>) -> Endpoint<S> {
        endpoint.id = Arc::clone(&self.id);
        endpoint.weight = self.weight.unwrap_or(endpoint.weight);
        endpoint.about.priority = self.priority.unwrap_or(endpoint.about.priority);
        endpoint
    }
}

/// Makes an endpoint of what a source says: the service by which it is reached, the signals that speak
/// of it.
///
/// Called once for an endpoint that joins, and not for one that stays, so it is shown the identity alone: weight and
/// priority are those that the source says at the time, and those given here while it says none. It must not block:
/// everybody else who joins waits for it. Any `Fn(&Node) -> Endpoint<S>` is one.
pub trait MakeEndpoint<S>: Send + Sync + 'static {
    /// The endpoint of `node`.
    fn make(&self, node: &Node) -> Endpoint<S>;

    /// An endpoint that the pool has before the source first says something that is believed, and that it then says is
    /// there: by default as it is, with its connections. Its weight and priority count while the source says none.
    fn adopt(&self, known: Endpoint<S>) -> Endpoint<S> {
        known
    }
}

impl<S, F> MakeEndpoint<S> for F
where
    F: Fn(&Node) -> Endpoint<S> + Send + Sync + 'static,
{
    fn make(&self, node: &Node) -> Endpoint<S> {
        self(node)
    }
}
