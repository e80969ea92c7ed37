//! How a call ended, as its endpoint is told.

use std::time::Duration;

use buttress_core::circuit::Ticket;
use buttress_core::outcome::Outcome;

/// How a call ended, as far as its endpoint is concerned.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is true or not whatever the others are"
)]
#[derive(Debug)]
pub(crate) struct Call<'a> {
    pub(crate) ticket: &'a Ticket,
    pub(crate) outcome: Outcome,
    /// From the pick to the head of the response, if there was one.
    pub(crate) latency: Option<Duration>,
    /// From the pick to the end.
    pub(crate) took: Duration,
    /// For how long more of the body was waited for at the end, of one that had said how long it is, if it stalled.
    pub(crate) stalled: Option<Duration>,
    /// The service became ready and was called.
    pub(crate) called: bool,
    /// A limit of the upstream's was run into.
    pub(crate) limited: bool,
    /// Nobody waited for the answer.
    pub(crate) copy: bool,
    /// A user did, of a probe that should have been a copy.
    pub(crate) in_place_of_copy: bool,
    /// The upstream asked to be left alone for as long.
    pub(crate) retry_after: Option<Duration>,
}

impl Call<'_> {
    /// How long whoever left had waited for the answer to begin, or to go on where it stalled. A client that leaves a
    /// stream of no told length has not waited for anything.
    pub(crate) fn waited_in_vain(&self) -> Option<Duration> {
        if self.latency.is_none() {
            return Some(self.took);
        }
        self.stalled
    }

    /// A user paid for a probe that says no.
    pub(crate) fn cost_a_user(&self) -> bool {
        let failed = matches!(self.outcome, Outcome::Failure(_) | Outcome::Slow);
        self.in_place_of_copy && failed
    }

    /// The answer began, and its client left before it ended for no fault of the endpoint's.
    pub(crate) fn was_left_answered(&self) -> bool {
        self.latency.is_some() && self.stalled.is_none() && !self.limited
    }

    /// Nobody waited for it, and nothing came.
    pub(crate) fn was_given_up_copy(&self) -> bool {
        self.copy && self.outcome == Outcome::Abandoned
    }
}
