//! What a source says of an endpoint, and how an endpoint is made of it.

use std::sync::Arc;

use crate::endpoint::Endpoint;

/// What a [`Source`](super::Source) says of an endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    id: Arc<str>,
    weight: Option<u32>,
}

impl Node {
    /// The endpoint `id`, of which nothing else is said. Mostly the identity is `address:port`.
    pub fn new(id: impl Into<Arc<str>>) -> Self {
        Self {
            id: id.into(),
            weight: None,
        }
    }

    /// With this weight; at 0 it is drained. It takes the place of the one that [`MakeEndpoint`] gave.
    #[must_use]
    pub const fn weight(mut self, weight: u32) -> Self {
        self.weight = Some(weight);
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

    /// An endpoint of this identity and weight, reached through `service`.
    pub fn endpoint<S>(&self, service: S) -> Endpoint<S> {
        self.describe(Endpoint::new(Arc::clone(&self.id), service))
    }

    /// `endpoint` as this says that it is.
    pub(super) fn describe<S>(&self, mut endpoint: Endpoint<S>) -> Endpoint<S> {
        endpoint.id = Arc::clone(&self.id);
        match self.weight {
            Some(weight) => endpoint.weight(weight),
            None => endpoint,
        }
    }
}

/// Makes an endpoint of what a source says: the service by which it is reached, the signals that speak
/// of it.
///
/// Called once for an endpoint that joins, and not for one that stays. The identity is always that of
/// the node, and so is the weight if the source says one. It must not block: everybody else who joins
/// waits for it. Any `Fn(&Node) -> Endpoint<S>` is one.
pub trait MakeEndpoint<S>: Send + Sync + 'static {
    /// The endpoint of `node`.
    fn make(&self, node: &Node) -> Endpoint<S>;
}

impl<S, F> MakeEndpoint<S> for F
where
    F: Fn(&Node) -> Endpoint<S> + Send + Sync + 'static,
{
    fn make(&self, node: &Node) -> Endpoint<S> {
        self(node)
    }
}
