//! Trip rules: what they are, the evidence they keep, and what they make of it.

mod baseline;
mod custom;
mod kept;
mod rule;
mod tally;
mod validate;

pub use custom::{CustomRule, Evidence, Trip, TripRule};
pub use kept::WindowCounts;
pub use rule::{Rule, Window};

pub(crate) use custom::{Answers, Asking, Occasion};
pub(crate) use tally::Sample;
pub(crate) use validate::{MAX_THRESHOLDS, thresholds, validate};

use std::time::Duration;

use buttress_core::clock::Instant;
use buttress_core::outcome::Outcome;

use kept::Kept;

/// All rules of one breaker with their evidence, in the order in which they are asked.
#[derive(Debug)]
pub(crate) struct Rules {
    kept: Box<[Kept]>,
    /// The different slow thresholds, shortest first.
    thresholds: Box<[Duration]>,
    consecutive: u32,
    /// How often they have been replaced.
    replaced: u32,
}

/// Rules that others have taken the place of. Some may be the user's, whose drop is their code.
#[derive(Debug)]
#[must_use]
pub(crate) struct Replaced(
    #[expect(dead_code, reason = "held to be dropped elsewhere")] Box<[Kept]>,
);

/// A rule that fired, with its evidence.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Fired {
    /// Which of the rules: several may have one name.
    pub(crate) place: usize,
    pub(crate) rule: &'static str,
    pub(crate) observed: f64,
    pub(crate) threshold: f64,
    pub(crate) samples: u64,
    pub(crate) window: Option<Duration>,
}

impl Rules {
    pub(crate) fn new(rules: Vec<Rule>) -> Self {
        let mut new = Self {
            kept: Box::default(),
            thresholds: Box::default(),
            consecutive: 0,
            replaced: 0,
        };
        drop(new.replaced_by(rules, Instant::ORIGIN));
        new
    }

    /// These rules with the evidence of the present ones at `now`: each takes the first window of its
    /// kind that no other has taken.
    pub(crate) fn replaced_by(&mut self, rules: Vec<Rule>, now: Instant) -> Replaced {
        self.thresholds = thresholds(&rules).into();
        self.replaced = self.replaced.wrapping_add(1);
        let places = &self.thresholds;
        let mut old = std::mem::take(&mut self.kept);
        self.kept = rules
            .into_iter()
            .map(|rule| Kept::taking(rule, places, &mut old, now))
            .collect();
        Replaced(old)
    }

    /// Whether any of them goes on with what was counted by another threshold.
    pub(crate) fn move_thresholds(&self) -> bool {
        self.kept.iter().any(Kept::moves)
    }

    /// Takes one call that ended into evidence; `false` if it is none.
    pub(crate) fn record(&mut self, sample: &Sample, now: Instant) -> bool {
        let mut told = self.count_row(sample.outcome);
        for kept in &mut self.kept {
            told |= kept.record(sample, now);
        }
        told
    }

    fn count_row(&mut self, outcome: Outcome) -> bool {
        match outcome {
            Outcome::Failure(_) => self.consecutive = self.consecutive.saturating_add(1),
            Outcome::Success | Outcome::Slow => self.consecutive = 0,
            _ => return false,
        }
        true
    }

    /// Takes `n` calls into evidence that passed the threshold at `place` at `due`, in flight.
    pub(crate) fn overdue(&mut self, place: u8, n: u64, due: Instant) {
        for kept in &mut self.kept {
            kept.overdue(place, n, due);
        }
    }

    /// Takes `n` successes into evidence that [`Rules::is_indifferent`] let pass uncounted, and that
    /// ended in the buckets of `at`.
    pub(crate) fn succeeded(&mut self, n: u64, at: Instant) {
        if n == 0 {
            return;
        }
        self.consecutive = 0;
        for kept in &mut self.kept {
            kept.succeeded(n, at);
        }
    }

    /// Whether successes may be taken into evidence later, many at once: none that ends in the
    /// buckets of `now` can make a rule fire.
    ///
    /// A success never raises a rate, nor the certainty that it is high. It can only complete the
    /// minimum, so what matters is whether the rate that the first one to do so leaves would fire.
    pub(crate) fn is_indifferent(&self, now: Instant) -> bool {
        self.kept.iter().all(|kept| kept.is_indifferent(now))
    }

    /// Until when no window changes by the passing of time alone.
    pub(crate) fn settled_until(&self, now: Instant) -> Instant {
        let ends = self.kept.iter().map(|kept| kept.settled_until(now));
        ends.min().unwrap_or(Instant::NEVER)
    }

    /// Lets go of what has left the windows by `now`; if `learn`, it teaches what is usual.
    pub(crate) fn roll(&mut self, now: Instant, learn: bool) {
        for kept in &mut self.kept {
            kept.roll(now, learn);
        }
    }

    /// The first rule that fires on the evidence at `now`.
    pub(crate) fn judge(&self, now: Instant) -> Option<Fired> {
        self.firing(now).next()
    }

    /// Every rule that fires on the evidence at `now`.
    pub(crate) fn firing(&self, now: Instant) -> impl Iterator<Item = Fired> {
        self.kept
            .iter()
            .enumerate()
            .filter_map(move |(place, kept)| kept.judge(place, self.consecutive, now))
    }

    /// What the user's own rules have to be asked, if there are any: `all` of them, or until one fires.
    pub(crate) fn questions(
        &self,
        (all, occasion): (bool, Occasion),
        generation: u64,
        now: Instant,
    ) -> Option<Asking> {
        let mut questions = self
            .kept
            .iter()
            .enumerate()
            .filter_map(|(place, kept)| kept.question((place, occasion), self.consecutive, now))
            .peekable();
        questions.peek()?;
        Some(Asking {
            questions: questions.collect(),
            all,
            generation,
            replaced: self.replaced,
            at: now,
        })
    }

    /// Whether `asked` are questions to these rules, and not to some that they have taken the place of.
    pub(crate) const fn are_those(&self, asked: &Asking) -> bool {
        self.replaced == asked.replaced
    }

    /// Forgets all evidence, but not what is usual.
    pub(crate) fn clear(&mut self, now: Instant) {
        self.consecutive = 0;
        for kept in &mut self.kept {
            kept.clear(now);
        }
    }

    /// The different slow thresholds, shortest first: their places.
    pub(crate) fn thresholds(&self) -> &[Duration] {
        &self.thresholds
    }

    pub(crate) fn consecutive(&self) -> u32 {
        self.consecutive
    }

    /// What the windows hold at `now`.
    pub(crate) fn counts(&self, now: Instant) -> Vec<WindowCounts> {
        self.kept
            .iter()
            .filter_map(|kept| kept.counts(now))
            .collect()
    }
}

#[cfg(test)]
mod tests;
