//! How the last few calls ended.

/// A run of failures that chance gives less often than this.
const NO_CHANCE: f64 = 1e-3;

/// The last sixteen outcomes, a bit each: what a peer's run of failures is held against. A share that
/// fades with time would show what was, when all of them begin to fail.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Recent {
    failed: u16,
    /// Of the last failures, which came late.
    late: u16,
    seen: u32,
    /// The last sixteen that were answered or waited for, of which these were waited for in vain.
    in_vain: u16,
}

impl Recent {
    #[inline]
    pub(super) fn record(&mut self, failed: bool) {
        self.failed = self.failed << 1 | u16::from(failed);
        self.seen = (self.seen + 1).min(u16::BITS);
        self.in_vain <<= 1;
    }

    /// Whether the failure that was recorded last came late.
    pub(super) fn came_late(&mut self, late: bool) {
        self.late = self.late << 1 | u16::from(late);
        self.in_vain |= u16::from(late);
    }

    /// Whoever left had waited for so long that it was in vain.
    pub(super) fn left_in_vain(&mut self) {
        self.in_vain = self.in_vain << 1 | 1;
    }

    /// The share of those that were waited for in vain.
    pub(super) fn in_vain(self) -> f64 {
        f64::from(self.in_vain.count_ones()) / f64::from(u16::BITS)
    }

    /// Whether more than half of the failures came late; the last one ever, where there is none of late.
    pub(super) fn fails_late(self) -> bool {
        let failures = self.failed.count_ones().max(1);
        let these = !u16::MAX.unbounded_shl(failures);
        (self.late & these).count_ones() * 2 > failures
    }

    /// How far it shows how long answers are waited for: who fails at once keeps nobody waiting, and what it answered is of before.
    pub(super) fn keeps_waiting(self) -> f64 {
        const HARDLY: f64 = 0.01;
        if self.fails_late() {
            return 1.0;
        }
        (1.0 - self.share().0).max(HARDLY)
    }

    /// Whether the last of them failed one after the other, which by what was before is no chance.
    pub(super) fn fails_all(self) -> bool {
        let run = self.failed.trailing_ones();
        let before = f64::from(self.seen.saturating_sub(run));
        // With half a failure more, for nothing is known to never fail (the mean by Jeffreys' prior).
        let failing = (f64::from(self.failed.count_ones() - run) + 0.5) / (before + 1.0);
        run > 1 && failing.powf(run.into()) < NO_CHANCE
    }

    /// The share of failures since the first of them.
    pub(super) fn share_since_the_first(self) -> f64 {
        let calls = u16::BITS - self.failed.leading_zeros();
        f64::from(self.failed.count_ones()) / f64::from(calls.max(1))
    }

    /// The share of failures, with how many outcomes it is of.
    pub(super) fn share(self) -> (f64, f64) {
        let seen = f64::from(self.seen);
        (f64::from(self.failed.count_ones()) / seen.max(1.0), seen)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_sixteen_count_and_no_more() {
        let mut recent = Recent::default();
        assert_eq!(recent.share(), (0.0, 0.0));
        (0..100).for_each(|_| recent.record(false));
        (0..4).for_each(|_| recent.record(true));
        assert_eq!(recent.share(), (0.25, 16.0));
        (0..16).for_each(|_| recent.record(true));
        assert_eq!(recent.share(), (1.0, 16.0));
    }

    /// That of these calls: `S` is good, `F` fails, `L` fails late.
    fn recent(calls: &str) -> Recent {
        let mut recent = Recent::default();
        for call in calls.chars() {
            recent.record(call != 'S');
            if call != 'S' {
                recent.came_late(call == 'L');
            }
        }
        recent
    }

    #[test]
    fn whoever_fails_late_is_told_from_whoever_fails_otherwise_by_its_last_failures() {
        let late = [
            "L",
            "LLF",
            "SLSLSF",
            &"F".repeat(20),
            &"S".repeat(20),
            "LF",
            "",
            &format!("L{}", "S".repeat(20)),
        ];
        let is_late = late.map(|calls| recent(calls).fails_late());
        assert_eq!(
            is_late,
            [true, true, true, false, false, false, false, true]
        );
        let long_ago = format!("FFF{}LL", "S".repeat(14));
        assert!(recent(&long_ago).fails_late());
    }

    #[test]
    fn whoever_has_failed_now_and_then_and_now_fails_all_is_told_from_whoever_fails_half() {
        for (calls, fails_all) in [
            ("SSSSSFFFFF", true),
            ("SFSSSSSSSSSSFFFF", true),
            ("SFFSFSFSSFFFFF", false),
            ("SSSSSSSSSSF", false),
            ("SSSSSSSSSSSSSSFF", false),
            ("SSSFFFFS", false),
            ("", false),
        ] {
            assert_eq!(recent(calls).fails_all(), fails_all, "{calls}");
        }
    }

    #[test]
    fn of_the_last_sixteen_those_are_in_vain_that_came_late_or_were_left_late() {
        let mut recent = recent("LLFS");
        recent.left_in_vain();
        assert_eq!(recent.in_vain().to_bits(), (3.0_f64 / 16.0).to_bits());
        (0..13).for_each(|_| recent.record(false));
        assert_eq!(recent.in_vain().to_bits(), (1.0_f64 / 16.0).to_bits());
        (0..3).for_each(|_| recent.left_in_vain());
        assert_eq!(recent.share(), (2.0 / 16.0, 16.0), "no failures");
    }

    #[test]
    fn what_was_before_the_first_failure_says_nothing_of_whoever_fails_since() {
        for (calls, share) in [
            ("SSSSSFFFFF", 1.0),
            ("SSSSSFSFS", 0.5),
            ("SSS", 0.0),
            ("", 0.0),
        ] {
            let seen = recent(calls).share_since_the_first();
            assert!((seen - share).abs() < f64::EPSILON, "{calls}: {seen}");
        }
    }
}
