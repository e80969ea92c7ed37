//! An endpoint that is in and given next to nothing: why, and when that is told.

use std::time::Duration;

use buttress_core::clock::Instant;
use buttress_core::verdict::{Action, Verdict};

use super::{Decision, State, acting};
use crate::evidence::{INDISTINCT, Score, Shown, left_after};
use crate::peers::Peers;
use crate::shunned::Limit;
use crate::snapshot::EndpointState;
use crate::tally::Rule;

/// How often it was so of late is a mean that fades with this many seconds.
const SMOOTH: f64 = 1.5;
/// One look says no more than this, however long ago the one before was.
const MOST_NEWS: f64 = 0.25;
/// What is so at this share of the looks is told, and its end at what is left of them: after two seconds. Now and then all others
/// are busy, and whoever is shunned is asked.
const OFTEN: f64 = 0.75;
/// Less is not at all.
const HARDLY: f64 = 0.01;

/// Why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    Slow,
    Silent,
    Failing,
    /// It failed in a row, more than chance has it.
    Doubted,
    /// It answers with `429`.
    Limited,
    HealthSignal,
    ActiveCheck,
}

/// In their order.
const NAMES: [&str; 7] = [
    "slow",
    "silent",
    "failing",
    "doubted",
    "limited",
    "health_signal",
    "active_check",
];

/// What was told, and how often it is so.
#[derive(Clone, Debug)]
pub(super) struct Shunning {
    told: Option<Why>,
    /// The share of the looks of late at which it was shunned.
    often: f64,
    /// Since when that is [`OFTEN`].
    since: Instant,
    looked_at: Instant,
    counts: [u32; 7],
}

/// A look at an endpoint among its peers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Look<'a> {
    pub(crate) limit: Limit,
    /// For how many nanoseconds nothing has come back, of so many requests.
    pub(crate) silence: f64,
    pub(crate) in_flight: u32,
    pub(crate) peers: &'a Peers,
    pub(crate) now: Instant,
}

impl Why {
    fn name(self) -> &'static str {
        NAMES.get(self as usize).copied().unwrap_or_default()
    }
}

impl Shunning {
    pub(super) const fn none() -> Self {
        Self {
            told: None,
            often: 0.0,
            since: Instant::NEVER,
            looked_at: Instant::ORIGIN,
            counts: [0; 7],
        }
    }

    /// The endpoint is in another state, which says more.
    pub(super) const fn ends(&mut self) {
        (self.told, self.often, self.since) = (None, 0.0, Instant::NEVER);
    }

    fn is_followed(&self) -> bool {
        self.told.is_some() || self.often > 0.0
    }

    fn see(&mut self, is_shunned: bool, now: Instant) {
        let passed = now.saturating_since(self.looked_at);
        let news = (1.0 - left_after(passed, SMOOTH)).min(MOST_NEWS);
        self.often += news * (f64::from(u8::from(is_shunned)) - self.often);
        self.looked_at = now;
        if self.often < HARDLY {
            self.often = 0.0;
        }
        self.since = if self.often < OFTEN {
            Instant::NEVER
        } else {
            self.since.min(now)
        };
    }

    /// Whether what was told has to be told otherwise.
    fn has_turned(&self, is_shunned: bool, lasts: Duration, now: Instant) -> bool {
        match self.told {
            None if self.often < OFTEN => false,
            None => is_shunned && now.saturating_since(self.since) >= lasts,
            Some(_) => self.often <= 1.0 - OFTEN,
        }
    }

    fn tell(&mut self, told: Option<Why>) {
        self.told = told;
        if let Some(count) = told.and_then(|why| self.counts.get_mut(why as usize)) {
            *count = count.saturating_add(1);
        }
    }
}

impl State {
    /// Why it is given next to nothing at this moment, if it is.
    pub(crate) fn shunned(&self, look: &Look<'_>) -> Option<Verdict> {
        let score = self.score(look.now, look.peers);
        let is_shunned = self.is_shunned(score, look);
        is_shunned.then(|| self.shows_of(self.why(score, look), look, Action::Shunned))
    }

    /// Tells that it is, or is so no more, once that has lasted.
    ///
    /// Whoever is off by less than would make it dear waits for as long as evidence does: among hosts that are well some
    /// have shown too many of the answers that take long now and then, and are asked again when that has faded.
    pub(crate) fn heed_shunning(&mut self, look: &Look<'_>) -> Option<Decision> {
        let score = self.score(look.now, look.peers);
        let is_shunned = self.is_shunned(score, look);
        let lasts = if look.limit.is_dear(score.idle(look.silence)) {
            Duration::ZERO
        } else {
            self.config.decay
        };
        self.shunning.see(is_shunned, look.now);
        if !self.shunning.has_turned(is_shunned, lasts, look.now) {
            return None;
        }
        let (why, action) = match self.shunning.told {
            None => (self.why(score, look), Action::Shunned),
            Some(why) => (why, Action::Resumed),
        };
        self.shunning
            .tell((action == Action::Shunned).then_some(why));
        Some(Decision(self.shows_of(why, look, action)))
    }

    /// Whether the next look has to follow what this one has seen.
    pub(crate) fn is_followed(&self) -> bool {
        self.shunning.is_followed()
    }

    /// How often it was told, by why.
    pub(crate) fn shunnings(&self) -> Vec<(&'static str, u64)> {
        let counts = self.shunning.counts.into_iter().map(u64::from);
        NAMES.into_iter().zip(counts).collect()
    }

    fn is_shunned(&self, score: Score, look: &Look<'_>) -> bool {
        self.endpoint_state() == EndpointState::Active && look.limit.keeps_from(score, look.silence)
    }

    fn why(&self, score: Score, look: &Look<'_>) -> Why {
        match self.word_against(look.now) {
            Some((Rule::ActiveCheck, _)) if self.warned => Why::ActiveCheck,
            _ if self.warned => Why::HealthSignal,
            _ => self.dearest(score, look),
        }
    }

    /// What of this score is the most beyond what a usual endpoint costs.
    fn dearest(&self, score: Score, look: &Look<'_>) -> Why {
        let failures = self.evidence.failures(look.now, &self.pool(look.peers));
        let weight = look.limit.weight();
        let if_idle = (f64::from(score.penalty) - failures.wasted) * weight;
        let slow = f64::from(score.latency) + if_idle - look.peers.usual();
        let silent = look.silence - look.peers.usual();
        let failing = failures.wasted * weight;
        if silent > slow.max(failing) {
            Why::Silent
        } else if slow >= failing {
            Why::Slow
        } else if failures.in_a_row {
            Why::Doubted
        } else if failures.by_limits {
            Why::Limited
        } else {
            Why::Failing
        }
    }

    /// What it shows of that beside what would not be dear, and what its peers show.
    fn shows_of(&self, why: Why, look: &Look<'_>, action: Action) -> Verdict {
        let (shown, peers) = match why {
            Why::Slow => (self.takes(look), look.peers.latency() / 1e9),
            Why::Silent => (self.says_nothing_for(look), look.peers.latency() / 1e9),
            Why::Doubted => self.fails_in_a_row(look),
            Why::Failing | Why::Limited => self.fails(look),
            Why::HealthSignal | Why::ActiveCheck => {
                let word = self.word_against(look.now).map(|it| it.1);
                let word = word.unwrap_or_else(|| Verdict::new(why.name(), Action::Held));
                return acting(word, action);
            }
        };
        // Where nobody else is asked nothing is too much.
        let most = if shown.most.is_finite() {
            shown.most
        } else {
            shown.observed
        };
        let verdict = Verdict::new(why.name(), action);
        let verdict = verdict.evidence(shown.observed, most, shown.calls);
        verdict.against(peers)
    }

    fn takes(&self, look: &Look<'_>) -> Shown {
        let pool = self.pool(look.peers);
        let failures = self.evidence.failures(look.now, &pool);
        let latency = f64::from(self.score(look.now, look.peers).latency) - INDISTINCT;
        let most = look.limit.latency_beside(failures.wasted);
        self.evidence.takes(latency, most, look.now, &pool)
    }

    fn says_nothing_for(&self, look: &Look<'_>) -> Shown {
        let failures = (self.evidence).failures(look.now, &self.pool(look.peers));
        Shown {
            observed: look.silence.max(0.0) / 1e9,
            most: look.limit.silence_beside(failures.wasted).max(0.0) / 1e9,
            calls: look.in_flight.into(),
        }
    }

    /// And its peers.
    fn fails_in_a_row(&self, look: &Look<'_>) -> (Shown, f64) {
        let shown = self.evidence.failed_in_a_row(&self.pool(look.peers));
        (shown, look.peers.failing_now())
    }

    fn fails(&self, look: &Look<'_>) -> (Shown, f64) {
        let (pool, score) = (self.pool(look.peers), self.score(look.now, look.peers));
        let failures = self.evidence.failures(look.now, &pool);
        let if_idle = (f64::from(score.penalty) - failures.wasted) * look.limit.weight();
        let most = look
            .limit
            .penalty_beside(f64::from(score.latency) + if_idle);
        (
            self.evidence.failed(most, look.now, &pool),
            look.peers.failing(),
        )
    }
}
