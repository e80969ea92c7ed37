//! One call of one arm, and how it ends.

use std::sync::Arc;

use buttress_core::classify::Head;
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
    /// The arm itself has refused it.
    pub(super) refused: bool,
}

impl Settle for Sample {
    fn head(&mut self, head: &Head<'_>) {
        self.refused = head.extensions.get::<Rejected>().is_some();
    }

    fn settle(self, outcome: Outcome) {
        // No upstream's fault, and no answer: the client would have had one from the other arm.
        let outcome = if self.refused && outcome == Outcome::Ignored {
            Outcome::Failure(FailureKind::Answer)
        } else {
            outcome
        };
        self.shared.ended(self.arm, self.generation, outcome);
    }
}
