//! How often an endpoint that fails now and then does, and how many good answers make it believable again.

/// An endpoint that fails one call in `k` answers so many times `k` in a row well once in four hundred times (`e^-6`).
const SURE: f64 = 6.0;
/// At most so many times the good answers that anybody needs who has failed.
const MOST: u32 = 10;

/// From a failure on, until it has been well for so long that the next one is another matter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Relapse {
    calls: u32,
    failures: u32,
    /// Good answers since the last of them.
    well: u32,
}

impl Relapse {
    pub(super) const fn good(&mut self) {
        self.well = self.well.saturating_add(1);
    }

    /// `at_least`: as many good answers in a row as let anybody back.
    pub(super) fn failed(&mut self, at_least: u32) {
        let is_another = self.failures == 0 || self.well / 2 > self.needed(at_least);
        if is_another {
            *self = Self::default();
        }
        self.calls = self.calls.saturating_add(self.well).saturating_add(1);
        self.failures = self.failures.saturating_add(1);
        self.well = 0;
    }

    /// So many good answers in a row as it would hardly give if it still failed as often.
    pub(super) fn needed(self, at_least: u32) -> u32 {
        let apart = f64::from(self.calls) / f64::from(self.failures.max(1));
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "what is too much is the most there is"
        )]
        let sure = (SURE * apart) as u32;
        sure.clamp(at_least, at_least.saturating_mul(MOST))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// After failures with so many good answers before each.
    fn after(runs: &[u32]) -> Relapse {
        let mut relapse = Relapse::default();
        for &well in runs {
            (0..well).for_each(|_| relapse.good());
            relapse.failed(20);
        }
        relapse
    }

    #[test]
    fn the_seldomer_it_fails_the_longer_it_has_to_be_well() {
        for (runs, needed) in [
            (&[][..], 20),
            (&[1_000], 20),
            (&[1_000, 0, 0, 0], 20),
            (&[1_000, 9, 9, 9, 9, 9, 9, 9], 53),
            (&[1_000, 19, 119, 119], 200),
            (&[30, 1_000], 20),
        ] {
            assert_eq!(after(runs).needed(20), needed, "{runs:?}");
        }
        assert_eq!(Relapse::default().needed(u32::MAX), u32::MAX);
    }
}
