//! What all clones of a split share.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use buttress_core::clock::{Clock, Instant};
use buttress_core::config::ConfigError;
use buttress_core::events::Events;
use buttress_core::outcome::Outcome;
use buttress_core::rng::Rng;
use buttress_core::verdict::{Action, By, Verdict};

use super::arms::{Arm, Arms, Seen};
use super::config::Config;
use super::handle::Event;
use super::rollout::{Rollout, Stage};
use crate::affinity::{mix, unit};

/// Told apart from what else is drawn by a key.
const SALT: u64 = 0x5704_1e55_c0de_d1ce;
/// A step that has lasted and lacks calls is looked at again after this.
const AGAIN: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) name: Arc<str>,
    pub(super) clock: Clock,
    rng: Rng,
    config: ArcSwap<Config>,
    /// The canary's share, as the bits of a number from 0 to 1.
    share: AtomicU64,
    /// When somebody has to look whether the window turns or the step is over.
    look_at: AtomicU64,
    /// Counts stages: what began in an earlier one says nothing of this one.
    generation: AtomicU64,
    /// Calls to the canary that began and ended in this one.
    ended_here: AtomicU64,
    pub(super) arms: Arms,
    rollout: Mutex<Inner>,
    pub(super) events: Events<Event>,
    pub(super) totals: Totals,
}

#[derive(Debug)]
struct Inner {
    rollout: Rollout,
    turn_at: Instant,
}

/// All that ever ended, by outcome.
#[derive(Debug, Default)]
pub(super) struct Totals {
    pub(super) stable: [AtomicU64; 3],
    pub(super) canary: [AtomicU64; 3],
    /// By [`ROLLBACKS`].
    pub(super) rollbacks: [AtomicU64; 3],
}

/// So many first answers of a canary in a step say nothing of how long it takes.
const COLD: u64 = 20;
/// The outcomes that are told apart.
pub(super) const OUTCOMES: [&str; 3] = ["success", "failure", "other"];
/// Why canaries are rolled back: both of the first two by the same test.
pub(super) const ROLLBACKS: [&str; 3] = [FAILED, LATE, "by_hand"];
/// It failed more often than the stable.
const FAILED: &str = "two_proportions";
/// It was late more often.
const LATE: &str = "late";

impl Shared {
    pub(super) fn new(config: Config) -> Result<Self, ConfigError> {
        config.validate()?;
        let clock = config.clock.clone();
        let now = clock.now();
        let shared = Self {
            name: Arc::clone(&config.name),
            rng: config.rng.clone(),
            share: AtomicU64::new(0),
            look_at: AtomicU64::new(now.as_nanos()),
            generation: AtomicU64::new(0),
            ended_here: AtomicU64::new(0),
            arms: Arms::default(),
            rollout: Mutex::new(Inner {
                rollout: Rollout::new(now),
                turn_at: now.saturating_add(config.window / 2),
            }),
            events: Events::new(),
            totals: Totals::default(),
            config: ArcSwap::from_pointee(config),
            clock,
        };
        shared.tell(&shared.lock(), &shared.config());
        Ok(shared)
    }

    pub(super) fn config(&self) -> arc_swap::Guard<Arc<Config>> {
        self.config.load()
    }

    /// Replaces the configuration, but for name, clock and generator. The rollout stays where it is.
    pub(super) fn reconfigure(&self, mut config: Config) -> Result<(), ConfigError> {
        config.validate()?;
        let inner = self.lock();
        config.name = Arc::clone(&self.name);
        config.clock = self.clock.clone();
        config.rng = self.rng.clone();
        let config = Arc::new(config);
        self.config.store(Arc::clone(&config));
        self.tell(&inner, &config);
        Ok(())
    }

    pub(super) fn share(&self) -> f64 {
        f64::from_bits(self.share.load(Ordering::Relaxed))
    }

    pub(super) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Which of the two a request with this key goes to.
    #[inline]
    pub(super) fn draw(&self, key: Option<u64>) -> Arm {
        let drawn = key.map_or_else(|| self.rng.unit(), |key| unit(mix(key ^ SALT)));
        if drawn < self.share() {
            Arm::Canary
        } else {
            Arm::Stable
        }
    }

    /// Turns the window and ends the step, if it is time to.
    #[inline]
    pub(super) fn look(&self, now: Instant) {
        if now.as_nanos() >= self.look_at.load(Ordering::Relaxed) {
            self.look_now(now);
        }
    }

    #[cold]
    fn look_now(&self, now: Instant) {
        let config = self.config();
        let mut inner = self.lock();
        if now >= inner.turn_at {
            self.arms.turn();
            // After a long silence both halves are old.
            if now.saturating_since(inner.turn_at) >= config.window / 2 {
                self.arms.clear();
            }
            inner.turn_at = now.saturating_add(config.window / 2);
        }
        let ended = self.ended_here.load(Ordering::Relaxed);
        let next = inner.rollout.advance(&config, ended, now);
        let over_at = inner
            .rollout
            .over_at(&config)
            .max(now.saturating_add(AGAIN));
        let look_at = inner.turn_at.min(over_at);
        self.look_at.store(look_at.as_nanos(), Ordering::Relaxed);
        if let Some((stage, verdict)) = next {
            self.enter(inner, &config, stage, verdict, now);
        }
    }

    /// A call has ended, for whose answer its client had waited `late` or not.
    pub(super) fn ended(&self, arm: Arm, generation: u64, outcome: Outcome, late: bool) {
        let failed = match outcome {
            Outcome::Success | Outcome::Slow => Some(false),
            Outcome::Failure(_) => Some(true),
            _ => None,
        };
        self.totals.count(arm, failed);
        let Some(failed) = failed else { return };
        if generation != self.generation() {
            return;
        }
        self.arms.record(arm, failed);
        let late = !failed && (late || outcome == Outcome::Slow) && self.counts_lateness(arm);
        if late {
            self.arms.late(arm);
        }
        if arm == Arm::Canary {
            self.ended_here.fetch_add(1, Ordering::Relaxed);
            if failed {
                self.judge(FAILED, Arms::seen);
            } else if late {
                self.judge(LATE, Arms::waits);
            }
        }
    }

    /// The first answers of a canary fill its caches. And where a key ties requests a few users make many calls: those that are late by
    /// nature say nothing of whom they are tied to.
    fn counts_lateness(&self, arm: Arm) -> bool {
        let is_cold = arm == Arm::Canary && self.ended_here.load(Ordering::Relaxed) < COLD;
        !is_cold && self.config().affinity.is_none()
    }

    /// Whether whoever has waited since then has waited for long.
    pub(super) fn is_late(&self, began: Instant) -> bool {
        self.clock.now().saturating_since(began) >= self.config().late_after
    }

    /// Its client has left before there was an answer. Whoever had waited long may have left for that.
    #[cold]
    pub(super) fn left(&self, arm: Arm, generation: u64, began: Instant) {
        self.totals.count(arm, None);
        if generation != self.generation() || !self.is_late(began) {
            return;
        }
        self.arms.hung(arm);
        if arm == Arm::Canary {
            self.judge(LATE, Arms::waits);
        }
    }

    /// Holds the canary against the stable, by what is `seen` of each.
    #[cold]
    fn judge(&self, rule: &'static str, seen: fn(&Arms, Arm) -> Seen) {
        let config = self.config();
        let inner = self.lock();
        let [stable, canary] = [Arm::Stable, Arm::Canary].map(|arm| seen(&self.arms, arm));
        if let Some(verdict) = inner.rollout.roll_back(rule, &config, stable, canary) {
            self.enter(inner, &config, Stage::RolledBack, verdict, self.clock.now());
        }
    }

    /// Somebody says where the rollout goes; `None` leaves it where it is.
    pub(super) fn by_hand(
        &self,
        stage: impl FnOnce(&Rollout, &Config) -> Option<Stage>,
        by: Option<Arc<By>>,
    ) -> bool {
        let config = self.config();
        let inner = self.lock();
        let stage = stage(&inner.rollout, &config).filter(|it| *it != inner.rollout.stage);
        let Some(stage) = stage else { return false };
        let verdict = Verdict::new("by_hand", Action::Forced).by(by);
        self.enter(inner, &config, stage, verdict, self.clock.now());
        true
    }

    fn enter(
        &self,
        mut inner: MutexGuard<'_, Inner>,
        config: &Config,
        stage: Stage,
        verdict: Verdict,
        now: Instant,
    ) {
        let from = inner.rollout.share(config);
        inner.rollout = Rollout {
            stage,
            since: now,
            last: Some(verdict.clone()),
        };
        self.generation.fetch_add(1, Ordering::AcqRel);
        self.ended_here.store(0, Ordering::Relaxed);
        self.arms.clear();
        inner.turn_at = now.saturating_add(config.window / 2);
        self.tell(&inner, config);
        if stage == Stage::RolledBack {
            self.totals.rolled_back(&verdict);
        }
        let to = inner.rollout.share(config);
        drop(inner);
        self.events.publish(|| Event {
            split: Arc::clone(&self.name),
            at: now,
            from,
            to,
            verdict,
        });
    }

    /// Tells requests what share goes to the canary, and when to look again.
    fn tell(&self, inner: &Inner, config: &Config) {
        let share = inner.rollout.share(config);
        self.share.store(share.to_bits(), Ordering::Relaxed);
        let look_at = inner.turn_at.min(inner.rollout.over_at(config));
        self.look_at.store(look_at.as_nanos(), Ordering::Relaxed);
    }

    /// How far the rollout is, since when, and by what verdict.
    pub(super) fn stage(&self) -> (Stage, Instant, Option<Verdict>) {
        let inner = self.lock();
        let Rollout { stage, since, last } = &inner.rollout;
        (*stage, *since, last.clone())
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.rollout.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Totals {
    fn count(&self, arm: Arm, failed: Option<bool>) {
        let of = match arm {
            Arm::Stable => &self.stable,
            Arm::Canary => &self.canary,
        };
        let [success, failure, other] = of;
        let count = match failed {
            Some(false) => success,
            Some(true) => failure,
            None => other,
        };
        count.fetch_add(1, Ordering::Relaxed);
    }

    fn rolled_back(&self, verdict: &Verdict) {
        let counts = ROLLBACKS.iter().zip(&self.rollbacks);
        for (_, count) in counts.filter(|(rule, _)| verdict.rule == **rule) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }
}
