//! The reasons that are given for a change.

use buttress_core::circuit::{Cause, Evidence, State, Transition};
use buttress_core::verdict::{Action, Verdict};

use crate::rules::Fired;

/// Rules that are not of the configuration's making.
mod rule {
    pub(super) const OPEN_TIME: &str = "open_time";
    pub(super) const PROBE: &str = "probe";
    pub(super) const HALF_OPEN_LIMIT: &str = "half_open_limit";
    pub(super) const RAMP: &str = "ramp";
    pub(super) const MANUAL: &str = "manual";
    pub(super) const RESTORED: &str = "restored";
}

/// The reason that the circuit gives.
pub(super) fn verdict(transition: &Transition) -> Verdict {
    let (rule, evidence) = match transition.cause {
        Cause::OpenTime => (rule::OPEN_TIME, None),
        Cause::Probes(evidence) => (rule::PROBE, Some(evidence)),
        Cause::HalfOpenLimit => (rule::HALF_OPEN_LIMIT, None),
        Cause::Ramp(evidence) => (rule::RAMP, Some(evidence)),
        Cause::Restored => (rule::RESTORED, None),
        _ => (rule::MANUAL, None),
    };
    let action = match transition.to {
        _ if transition.cause == Cause::ByHand => Action::Forced,
        State::Open => Action::Opened(transition.open_for.unwrap_or_default()),
        State::HalfOpen => Action::Probing,
        State::Ramping => Action::Ramping,
        State::Closed => Action::Closed,
        _ => Action::Forced,
    };
    let Evidence {
        observed,
        threshold,
        samples,
        ..
    } = evidence.unwrap_or_default();
    Verdict::new(rule, action).evidence(observed, threshold, samples.into())
}

impl Fired {
    pub(super) fn verdict(self, action: Action) -> Verdict {
        let verdict =
            Verdict::new(self.rule, action).evidence(self.observed, self.threshold, self.samples);
        match self.window {
            Some(window) => verdict.over(window),
            None => verdict,
        }
    }
}
