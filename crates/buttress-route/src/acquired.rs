//! An endpoint for what is no exchange over HTTP.

use std::sync::Arc;

use buttress_core::outcome::Outcome;
use buttress_core::settle::Settle;

use crate::permit::Permit;

/// An endpoint that was picked, from [`HealthRouter::try_acquire`](crate::HealthRouter::try_acquire), and the place of
/// one call there.
///
/// Tell it how the call ended by [`Acquired::record`]. Dropped without that the call is `Abandoned`.
#[derive(Debug)]
#[must_use = "dropping it abandons its call"]
pub struct Acquired<S> {
    service: S,
    permit: Permit,
    outcome: Outcome,
}

impl<S> Acquired<S> {
    #[inline]
    pub(crate) const fn new(permit: Permit, service: S) -> Self {
        Self {
            service,
            permit,
            outcome: Outcome::Abandoned,
        }
    }

    /// The identity of the endpoint.
    pub fn id(&self) -> &Arc<str> {
        self.permit.endpoint()
    }

    /// Its service, which nobody has made ready.
    pub fn service(&mut self) -> &mut S {
        &mut self.service
    }

    /// The answer has begun, and well: its latency is taken now, and what follows does not count to it.
    pub fn answered(&mut self) {
        self.permit.heard();
        self.permit.answered();
    }

    /// The call has ended.
    pub fn record(mut self, outcome: Outcome) {
        self.outcome = outcome;
    }
}

impl<S> Drop for Acquired<S> {
    fn drop(&mut self) {
        self.permit.end(self.outcome);
    }
}
