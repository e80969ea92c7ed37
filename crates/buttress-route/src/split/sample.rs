//! One call of one arm, and how it ends.

use std::sync::Arc;

use buttress_core::classify::Head;
use buttress_core::clock::Instant;
use buttress_core::outcome::{FailureKind, Outcome};
use buttress_core::reject::Rejected;
use buttress_core::settle::Settle;

use super::arms::Arm;
use super::shared::Shared;

/// A call that counts for the stable or for the canary.
#[derive(Debug)]
pub struct Sample {
    pub(super) shared: Arc<Shared>,
    pub(super) arm: Arm,
    /// That of the step in which it began.
    pub(super) generation: u64,
    pub(super) began: Instant,
    /// Its head has come.
    pub(super) answered: bool,
    /// And its client had waited for it for [`late_after`](super::Config::late_after).
    pub(super) late: bool,
    /// The arm itself has refused it.
    pub(super) refused: bool,
}

/// Whose refusal is the arm's own doing: it has no endpoint that serves, or its breaker is open. Any other may be
/// brought on by the client (an upload that failed) or by who serves both arms (no descriptors left).
const OF_THE_ARM: [&str; 2] = ["route", "breaker"];

impl Settle for Sample {
    fn head(&mut self, head: &Head<'_>) {
        self.answered = true;
        self.late = self.shared.is_late(self.began);
        let rejected = head.extensions.get::<Rejected>();
        self.refused = rejected.is_some_and(|it| OF_THE_ARM.contains(&it.by));
    }

    fn settle(self, outcome: Outcome) {
        if outcome == Outcome::Abandoned && !self.answered {
            self.shared.left(self.arm, self.generation, self.began);
            return;
        }
        // No upstream's fault, and no answer: the client would have had one from the other arm.
        let outcome = if self.refused && outcome == Outcome::Ignored {
            Outcome::Failure(FailureKind::Answer)
        } else {
            outcome
        };
        (self.shared).ended(self.arm, self.generation, outcome, self.late);
    }
}
