//! Whether those who are left can bear what is thrown out.
//!
//! Who is thrown out leaves their share to the others. What these can bear nobody knows before, but their answers tell when
//! it was too much: all wait, for several times what their answers take at ease. Whoever fails a part of what it is asked then
//! bears more than nobody does: the less it fails the sooner it is let back, and who fails all now never is. Who fails by being
//! late is no help: it has too much to do itself.

/// Answers of a pool that is busy take up to so many times what they do at ease.
pub(crate) const BUSY: f64 = 2.0;
/// Answers that take so many times as long: there is more to do than the pool can.
pub(crate) const PRESSED: f64 = 4.0;

/// Of two that fail the one is clearly better that gives so many times as many good answers.
const CLEARLY: f64 = 2.0;
/// How far one probe moves the share of failures.
const OF_ONE_PROBE: f64 = 1.0 / 8.0;

/// What is wrong with an endpoint that a rule throws out.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Fault {
    /// It answers, or breaks off, and this share of that is failures.
    Failing(f64),
    /// It is late, or says that it has too much to do.
    Late,
}

impl Fault {
    /// What a probe adds to what is known of it.
    pub(crate) fn probed(self, failed: bool) -> Self {
        match self {
            Self::Failing(share) => {
                let seen = if failed { 1.0 } else { 0.0 };
                Self::Failing(share + (seen - share) * OF_ONE_PROBE)
            }
            Self::Late => Self::Late,
        }
    }

    /// From how many times what answers take at ease it is better in than out. A good answer of whoever fails a share of them
    /// takes as much longer as it has to be asked more often.
    pub(crate) fn bearable(self) -> f64 {
        match self {
            Self::Failing(share) => PRESSED / (1.0 - share.clamp(0.0, 1.0)),
            Self::Late => f64::INFINITY,
        }
    }

    /// The share of what it is asked that does not end well in time.
    pub(crate) const fn share(self) -> f64 {
        match self {
            Self::Failing(share) => share,
            Self::Late => 1.0,
        }
    }

    /// Whether it is better to have than one with this fault, or than one that is unhealthy by the word of others.
    pub(crate) fn is_clearly_better_than(self, other: Option<Self>) -> bool {
        let other = other.map_or(f64::INFINITY, Self::bearable);
        self.bearable() * CLEARLY < other
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_fails_its_probes_as_well_is_no_help_any_more() {
        let after = |failed| (0..30).fold(Fault::Failing(0.25), |fault, _| fault.probed(failed));
        assert!(after(true).bearable() > 25.0 * PRESSED);
        assert!(after(false).bearable() < 1.05 * PRESSED);
    }

    #[test]
    fn who_answers_twice_as_much_is_clearly_better_and_who_fails_all_or_is_late_than_nobody() {
        use Fault::{Failing, Late};
        for (one, other, is_better) in [
            (Failing(0.3), Some(Failing(1.0)), true),
            (Failing(0.3), Some(Late), true),
            (Failing(0.3), None, true),
            (Failing(0.3), Some(Failing(0.66)), true),
            (Failing(0.3), Some(Failing(0.64)), false),
            (Failing(1.0), Some(Late), false),
            (Late, Some(Failing(1.0)), false),
            (Late, None, false),
        ] {
            let seen = one.is_clearly_better_than(other);
            assert_eq!(seen, is_better, "{one:?} {other:?}");
        }
    }

    #[test]
    fn the_less_an_endpoint_fails_the_sooner_it_is_better_in_than_out() {
        let bearable = [0.0, 0.1, 0.5, 0.9].map(|share| Fault::Failing(share).bearable());
        assert!(bearable.is_sorted());
        assert!((bearable[0] - PRESSED).abs() < 1e-9);
        assert!((bearable[2] - 2.0 * PRESSED).abs() < 1e-9);
        for no_help in [Fault::Failing(1.0), Fault::Late] {
            assert!(no_help.bearable().is_infinite());
        }
    }
}
