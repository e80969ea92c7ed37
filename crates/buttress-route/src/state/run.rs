//! Failures with no success in between.

/// A run of failures, and what they weigh together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Run {
    failures: u32,
    weight: u32,
    /// What the last of them weighs.
    last: u32,
    /// The first of them decides.
    on_trial: bool,
}

impl Run {
    /// That of whoever has just come back: nobody waits for more than one failure.
    pub(super) const fn on_trial() -> Self {
        Self {
            failures: 0,
            weight: 0,
            last: 0,
            on_trial: true,
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

    /// What is left of a limit for this run to reach: of whoever is on trial it takes one failure.
    pub(super) const fn left_of(self, limit: u32) -> u32 {
        if self.on_trial { 1 } else { limit }
    }

    /// Whether the last failure made it this heavy.
    pub(super) const fn has_just_reached(self, limit: u32) -> bool {
        let limit = self.left_of(limit);
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
    fn whoever_is_on_trial_has_one_failure_left_and_no_more_are_told_than_were_seen() {
        for weight in [1, 3] {
            let mut run = Run::on_trial();
            assert!(!run.has_just_reached(5));
            run.goes_on(weight);
            assert!(run.has_just_reached(5));
            assert_eq!((run.failures(), run.weight()), (1, weight));
            run.goes_on(weight);
            assert!(!run.has_just_reached(5));
        }
    }
}
