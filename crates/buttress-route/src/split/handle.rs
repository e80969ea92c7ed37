//! A split, for whoever operates or reads it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use buttress_core::clock::Instant;
use buttress_core::config::ConfigError;
use buttress_core::events::Subscription;
use buttress_core::verdict::{By, Verdict};

use super::arms::Arm;
use super::config::Config;
use super::rollout::{Rollout, Stage};
use super::shared::Shared;

/// The handle of a [`super::SplitLayer`]: how far the rollout is, and a hand on it. Cheap to clone.
#[derive(Clone, Debug)]
pub struct SplitHandle {
    shared: Arc<Shared>,
    by: Option<Arc<By>>,
}

/// The canary's share has changed.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Event {
    /// The split's name.
    pub split: Arc<str>,
    /// When.
    pub at: Instant,
    /// The share before, 0 to 1.
    pub from: f64,
    /// And from now on.
    pub to: f64,
    /// Why.
    pub verdict: Verdict,
}

/// A split at one moment.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct SplitSnapshot {
    /// The split's name.
    pub split: Arc<str>,
    /// When this was so.
    pub at: Instant,
    /// How far the rollout is.
    pub stage: Stage,
    /// Since when.
    pub since: Instant,
    /// The canary's share of the requests, 0 to 1.
    pub share: f64,
    /// How the stable did.
    pub stable: ArmSnapshot,
    /// How the canary did.
    pub canary: ArmSnapshot,
    /// Why the rollout is where it is; `None` in its first step.
    pub last_verdict: Option<Verdict>,
}

/// How one of the two did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ArmSnapshot {
    /// Calls of this stage that ended within the window.
    pub calls: u64,
    /// Those of them that failed.
    pub failures: u64,
    /// Calls that ever ended: well, badly, and so that it says nothing.
    pub totals: [u64; 3],
}

impl SplitHandle {
    pub(super) const fn new(shared: Arc<Shared>) -> Self {
        Self { shared, by: None }
    }

    /// A handle whose verdicts say of every change by hand that `by` made it, and why.
    #[must_use]
    pub fn on_behalf_of(&self, by: By) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
            by: Some(Arc::new(by)),
        }
    }

    /// How far the rollout is.
    pub fn snapshot(&self) -> SplitSnapshot {
        let shared = &self.shared;
        let (stage, since, last_verdict) = shared.stage();
        SplitSnapshot {
            split: Arc::clone(&shared.name),
            at: shared.clock.now(),
            stage,
            since,
            share: shared.share(),
            stable: self.arm(Arm::Stable, &shared.totals.stable),
            canary: self.arm(Arm::Canary, &shared.totals.canary),
            last_verdict,
        }
    }

    fn arm(&self, arm: Arm, totals: &[AtomicU64; 3]) -> ArmSnapshot {
        let seen = self.shared.arms.seen(arm);
        ArmSnapshot {
            calls: seen.calls,
            failures: seen.failures,
            totals: totals.each_ref().map(|it| it.load(Ordering::Relaxed)),
        }
    }

    /// How often the canary was rolled back: for failing, for being late, and by hand.
    pub(super) fn rollbacks(&self) -> [u64; 3] {
        let rollbacks = &self.shared.totals.rollbacks;
        rollbacks.each_ref().map(|it| it.load(Ordering::Relaxed))
    }

    /// Changes of the canary's share, from now on.
    pub fn subscribe(&self) -> Subscription<Event> {
        self.shared.events.subscribe()
    }

    /// Goes on to the next step, whatever this one has shown. `false` if there is none, or the canary is rolled back.
    pub fn advance(&self) -> bool {
        self.by_hand(Rollout::next)
    }

    /// Gives the canary this share of the requests, at most all of them, until somebody goes on by hand. It is rolled
    /// back all the same where it does worse. `false` if that changes nothing.
    pub fn set_share(&self, share: f64) -> bool {
        let share = if share > 0.0 { share.min(1.0) } else { 0.0 };
        self.by_hand(|_, _| Some(Stage::ByHand(share)))
    }

    /// Sends nothing more to the canary. `false` if nothing was sent.
    pub fn roll_back(&self) -> bool {
        self.by_hand(|_, _| Some(Stage::RolledBack))
    }

    /// Begins with the first step. `false` if that is where the rollout is.
    pub fn restart(&self) -> bool {
        self.by_hand(|_, _| Some(Stage::Step(0)))
    }

    fn by_hand(&self, stage: impl FnOnce(&Rollout, &Config) -> Option<Stage>) -> bool {
        self.shared.by_hand(stage, self.by.clone())
    }

    /// Replaces the configuration. The rollout stays in its step; name, clock and generator stay as they were.
    pub fn reconfigure(&self, config: Config) -> Result<(), ConfigError> {
        self.shared.reconfigure(config)
    }

    /// The configuration in force.
    pub fn config(&self) -> Config {
        Config::clone(&self.shared.config())
    }
}
