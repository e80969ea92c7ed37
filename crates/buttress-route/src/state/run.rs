//! Failures with no success in between.

/// A run of failures, and what they weigh together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Run {
    failures: u32,
    weight: u32,
    /// What the last of them weighs.
    last: u32,
}

impl Run {
    /// One failure away from this weight.
    pub(super) const fn just_below(limit: u32) -> Self {
        Self {
            failures: limit.saturating_sub(1),
            weight: limit.saturating_sub(1),
            last: 0,
        }
    }

    pub(super) const fn goes_on(&mut self, weight: u32) {
        self.failures = self.failures.saturating_add(1);
        self.weight = self.weight.saturating_add(weight);
        self.last = weight;
    }

    pub(super) const fn failures(self) -> u32 {
        self.failures
    }

    pub(super) const fn weight(self) -> u32 {
        self.weight
    }

    /// Whether the last failure made it this heavy.
    pub(super) const fn has_just_reached(self, limit: u32) -> bool {
        self.weight >= limit && self.weight.saturating_sub(self.last) < limit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_reached_once_even_where_a_failure_is_heavier_than_what_is_left() {
        let mut run = Run::default();
        let reached: Vec<bool> = [2, 2, 2, 2]
            .map(|weight| {
                run.goes_on(weight);
                run.has_just_reached(5)
            })
            .into();
        assert_eq!(reached, [false, false, true, false]);
        assert_eq!((run.failures(), run.weight()), (4, 8));
    }

    #[test]
    fn whoever_is_on_trial_has_one_failure_left_whatever_it_weighs() {
        let mut run = Run::just_below(5);
        run.goes_on(1);
        assert!(run.has_just_reached(5) && run.failures() == 5);
    }
}
