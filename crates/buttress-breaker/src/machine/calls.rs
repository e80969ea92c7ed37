//! How many calls ended how.

use buttress_core::outcome::Outcome;

/// Calls by how they ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Calls {
    /// Ended well and in time.
    pub success: u64,
    /// Failed, in whatever way.
    pub failure: u64,
    /// Ended well, over the slow threshold.
    pub slow: u64,
    /// Say nothing about the upstream.
    pub ignored: u64,
    /// Were left by their caller.
    pub abandoned: u64,
}

impl Calls {
    /// Makes of each count and that of `other` what `how` says.
    pub(crate) fn merge(&mut self, other: Self, how: fn(u64, u64) -> u64) {
        for (count, more) in [
            (&mut self.success, other.success),
            (&mut self.failure, other.failure),
            (&mut self.slow, other.slow),
            (&mut self.ignored, other.ignored),
            (&mut self.abandoned, other.abandoned),
        ] {
            *count = how(*count, more);
        }
    }

    pub(super) fn count(&mut self, outcome: Outcome) {
        let count = match outcome {
            Outcome::Success => &mut self.success,
            Outcome::Failure(_) => &mut self.failure,
            Outcome::Slow => &mut self.slow,
            Outcome::Abandoned => &mut self.abandoned,
            _ => &mut self.ignored,
        };
        *count = count.saturating_add(1);
    }
}
