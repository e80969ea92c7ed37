//! How far a rollout is. No I/O, no clock.

use buttress_core::clock::Instant;
use buttress_core::verdict::{Action, Verdict};

use super::arms::{Seen, deviation};
use super::config::Config;

/// How far a rollout is.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Stage {
    /// In the step of this index.
    Step(usize),
    /// At a share that was set by hand, until somebody goes on by hand.
    ByHand(f64),
    /// Nothing goes to the canary, until it is restarted by hand.
    RolledBack,
}

impl Stage {
    /// The name used in status.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Step(_) => "step",
            Self::ByHand(_) => "by_hand",
            Self::RolledBack => "rolled_back",
        }
    }
}

#[derive(Debug)]
pub(super) struct Rollout {
    pub(super) stage: Stage,
    pub(super) since: Instant,
    pub(super) last: Option<Verdict>,
}

impl Rollout {
    pub(super) const fn new(now: Instant) -> Self {
        Self {
            stage: Stage::Step(0),
            since: now,
            last: None,
        }
    }

    /// The canary's share of the requests.
    pub(super) fn share(&self, config: &Config) -> f64 {
        match self.stage {
            Stage::Step(step) => {
                let step = step.min(config.steps.len().saturating_sub(1));
                config.steps.get(step).copied().unwrap_or(0.0)
            }
            Stage::ByHand(share) => share,
            Stage::RolledBack => 0.0,
        }
    }

    /// The next step, if there is one.
    pub(super) fn next(&self, config: &Config) -> Option<Stage> {
        let next = match self.stage {
            Stage::Step(step) => step.saturating_add(1),
            // The first that is more than what it has.
            Stage::ByHand(share) => config.steps.iter().position(|step| *step > share)?,
            Stage::RolledBack => return None,
        };
        (next < config.steps.len()).then_some(Stage::Step(next))
    }

    /// When the step has lasted long enough; never if it is the last or none.
    pub(super) fn over_at(&self, config: &Config) -> Instant {
        match self.stage {
            Stage::Step(step) if step.saturating_add(1) < config.steps.len() => {
                self.since.saturating_add(config.hold)
            }
            _ => Instant::NEVER,
        }
    }

    /// Where the rollout goes on to, if this step, in which so many calls to the canary have ended, is over.
    pub(super) fn advance(
        &self,
        config: &Config,
        ended: u64,
        now: Instant,
    ) -> Option<(Stage, Verdict)> {
        if now < self.over_at(config) || ended < config.min_calls {
            return None;
        }
        let next = self.next(config)?;
        let verdict = Verdict::new("hold", Action::Advanced);
        let lasted = now.saturating_since(self.since);
        let (lasted, hold) = (lasted.as_secs_f64(), config.hold.as_secs_f64());
        Some((next, verdict.evidence(lasted, hold, ended)))
    }

    /// Why the canary takes no more requests, if it did significantly worse by what this rule has seen of both.
    pub(super) fn roll_back(
        &self,
        rule: &'static str,
        config: &Config,
        stable: Seen,
        canary: Seen,
    ) -> Option<Verdict> {
        if self.stage == Stage::RolledBack || canary.failures < config.min_failures {
            return None;
        }
        let limit = stable.rate() + config.above;
        let is_worse = canary.rate() > limit && deviation(stable, canary) >= config.significance;
        let verdict = || {
            Verdict::new(rule, Action::RolledBack)
                .evidence(canary.rate(), limit, canary.calls)
                .over(config.window)
                .against(stable.rate())
        };
        is_worse.then(verdict)
    }
}
