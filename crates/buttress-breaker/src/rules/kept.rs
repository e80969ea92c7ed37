//! A rule with the evidence it keeps.

use std::time::Duration;

use buttress_core::clock::Instant;
use buttress_core::window::Counts;

use super::Fired;
use super::baseline::{Baseline, calls_to_know, lower_bound};
use super::custom::{Evidence, Occasion, Question};
use super::rule::{Rule, Window};
use super::tally::{Counting, Sample, Tally, Threshold};

/// What the window of one rule holds.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct WindowCounts {
    /// The rule's name.
    pub rule: &'static str,
    /// The window it looks at.
    pub window: Window,
    /// What that holds; bad is what the rule counts as such. Of a rule of the user's own, failures.
    pub counts: Counts,
    /// At which share, or which count of timeouts, the rule fires at present; `None` of a rule of the
    /// user's own.
    pub threshold: Option<f64>,
}

/// A rule with its evidence: a tally, or two if it is the user's own and asks for slow calls, or none.
#[derive(Debug)]
pub(super) struct Kept {
    rule: Rule,
    tallies: Box<[Tally]>,
    baseline: Option<Baseline>,
}

impl Kept {
    /// `rule` with the first windows of `old` of its kinds. `places`: the slow thresholds of all
    /// rules.
    pub(super) fn taking(rule: Rule, places: &[Duration], old: &mut [Self], now: Instant) -> Self {
        let window = rule.window();
        let countings = countings(&rule, places).into_iter().flatten();
        let tallies = countings.zip(window.into_iter().cycle());
        let tallies = tallies
            .map(|(counting, window)| {
                let taken = old
                    .iter_mut()
                    .find_map(|old| old.hand_over(counting, window, now));
                taken.unwrap_or_else(|| Tally::new(counting, window))
            })
            .collect();
        let learned = old.iter_mut().find_map(|old| old.baseline.take());
        let baseline = matches!(rule, Rule::Adaptive { .. })
            .then(|| learned.unwrap_or(const { Baseline::new() }));
        Self {
            rule,
            tallies,
            baseline,
        }
    }

    /// A tally that goes on as one of `counting` over `window`.
    fn hand_over(&mut self, counting: Counting, window: Window, now: Instant) -> Option<Tally> {
        let mut tallies = std::mem::take(&mut self.tallies).into_vec();
        let taken = Tally::taking(counting, window, &mut tallies, now);
        self.tallies = tallies.into();
        taken
    }

    /// Whether it goes on with what was counted by another threshold.
    pub(super) fn moves(&self) -> bool {
        self.tallies.iter().any(Tally::moves)
    }

    /// Takes one call that ended into evidence; `false` if it is none.
    pub(super) fn record(&mut self, sample: &Sample, now: Instant) -> bool {
        let mut told = false;
        for tally in &mut self.tallies {
            told |= tally.record(sample, now);
        }
        told
    }

    /// Takes calls into evidence that passed a threshold in flight.
    pub(super) fn overdue(&mut self, place: u8, n: u64, due: Instant) {
        for tally in &mut self.tallies {
            tally.overdue(place, n, due);
        }
    }

    /// Takes successes into evidence.
    pub(super) fn succeeded(&mut self, n: u64, at: Instant) {
        for tally in &mut self.tallies {
            tally.succeeded(n, at);
        }
    }

    /// Whether no success in the buckets of `now` can make this rule fire.
    pub(super) fn is_indifferent(&self, now: Instant) -> bool {
        let Some(tally) = self.tallies.first() else {
            return true;
        };
        if let Rule::Custom(rule) = &self.rule {
            return !rule.judges_successes();
        }
        let Counts { total, bad } = tally.counts(now);
        let completing = total.saturating_add(1).max(self.rule.min_calls().into());
        let total = match self.rule.window() {
            Some(Window::Calls(n)) => completing.min(n.into()),
            _ => completing,
        };
        bad == 0 || self.weigh(Counts { total, bad }).is_none()
    }

    /// Until when this rule's windows change by no passing of time.
    pub(super) fn settled_until(&self, now: Instant) -> Instant {
        let ends = self.tallies.iter().map(|tally| tally.settled_until(now));
        ends.min().unwrap_or(Instant::NEVER)
    }

    /// Learns what is usual from what has left the window by `now`, unless what the window held then,
    /// or the bucket that left by itself, is certainly above the limit: even where the calls are too few
    /// to open the circuit.
    pub(super) fn roll(&mut self, now: Instant, learn: bool) {
        let Rule::Adaptive {
            baseline: memory, ..
        } = self.rule
        else {
            return;
        };
        let limit = self.limit().unwrap_or(1.0);
        let (Some(tally), Some(baseline)) = (self.tallies.first_mut(), &mut self.baseline) else {
            return;
        };
        let seen = tally.held();
        let usual = learn && lower_bound(seen) <= limit;
        for (at, counts) in tally.take_left(now) {
            if usual && lower_bound(counts) <= limit {
                baseline.learn(at, counts, memory);
            } else {
                baseline.age(at, memory);
            }
        }
    }

    /// The verdict on the evidence at `now` of this rule, at `place` among them all.
    pub(super) fn judge(&self, place: usize, consecutive: u32, now: Instant) -> Option<Fired> {
        if let Rule::ConsecutiveFailures(limit) = self.rule {
            return (consecutive >= limit).then(|| Fired {
                place,
                rule: self.rule.name(),
                observed: f64::from(consecutive),
                threshold: f64::from(limit),
                samples: u64::from(consecutive),
                window: None,
            });
        }
        let fired = self.weigh(self.tallies.first()?.counts(now))?;
        Some(Fired { place, ..fired })
    }

    /// The verdict on a window that holds `counts`, of a rule whose place does not matter.
    fn weigh(&self, counts: Counts) -> Option<Fired> {
        let threshold = self.limit()?;
        let (fires, observed) = match self.rule {
            Rule::Timeouts { n, .. } => (counts.bad >= u64::from(n), counts.bad as f64),
            Rule::Adaptive { .. } => (lower_bound(counts) > threshold, counts.ratio()),
            _ => (counts.ratio() >= threshold, counts.ratio()),
        };
        let enough = counts.total >= u64::from(self.rule.min_calls());
        (fires && enough).then(|| Fired {
            place: 0,
            rule: self.rule.name(),
            observed,
            threshold,
            samples: counts.total,
            window: self.rule.window().and_then(Window::as_time),
        })
    }

    /// At which share or count in its window this rule fires at present.
    fn limit(&self) -> Option<f64> {
        match self.rule {
            Rule::FailureRate { ratio, .. }
            | Rule::SlowRate { ratio, .. }
            | Rule::FailureOrSlowRate { ratio, .. } => Some(ratio),
            Rule::Timeouts { n, .. } => Some(f64::from(n)),
            Rule::Adaptive {
                factor,
                floor,
                ceiling,
                min_calls,
                ..
            } => {
                let enough = calls_to_know(floor, min_calls);
                let usual = self.baseline.as_ref().and_then(|known| known.rate(enough));
                Some(usual.map_or(ceiling, |usual| (factor * usual).clamp(floor, ceiling)))
            }
            Rule::ConsecutiveFailures(_) | Rule::Custom(_) => None,
        }
    }

    /// What the user's rule has to be asked, if this is one; where a success is the `occasion`, if it
    /// judges those.
    pub(super) fn question(
        &self,
        (place, occasion): (usize, Occasion),
        consecutive: u32,
        now: Instant,
    ) -> Option<Question> {
        let Rule::Custom(rule) = &self.rule else {
            return None;
        };
        if occasion == Occasion::Success && !rule.judges_successes() {
            return None;
        }
        let mut counts = self.tallies.iter().map(|tally| tally.counts(now));
        let evidence = Evidence {
            failures: counts.next().unwrap_or_default(),
            slow: counts.next().unwrap_or_default(),
            consecutive_failures: consecutive,
        };
        Some(Question {
            place,
            rule: rule.clone(),
            evidence,
        })
    }

    /// Forgets all evidence, but not what is usual, which is `now` as old as that.
    pub(super) fn clear(&mut self, now: Instant) {
        for tally in &mut self.tallies {
            tally.clear();
        }
        if let (Some(usual), &Rule::Adaptive { baseline, .. }) = (&mut self.baseline, &self.rule) {
            usual.age(now, baseline);
        }
    }

    /// What the window holds at `now`.
    pub(super) fn counts(&self, now: Instant) -> Option<WindowCounts> {
        Some(WindowCounts {
            rule: self.rule.name(),
            window: self.rule.window()?,
            counts: self.tallies.first()?.counts(now),
            threshold: self.limit(),
        })
    }
}

/// What `rule` counts.
fn countings(rule: &Rule, places: &[Duration]) -> [Option<Counting>; 2] {
    let threshold = rule
        .slower_than()
        .map(|after| Threshold::among(places, after));
    match rule {
        Rule::ConsecutiveFailures(_) => [None, None],
        Rule::FailureRate { .. } | Rule::Adaptive { .. } => [Some(Counting::Failures), None],
        Rule::SlowRate { .. } => [threshold.map(Counting::Slow), None],
        Rule::FailureOrSlowRate { .. } => [threshold.map(Counting::FailuresOrSlow), None],
        Rule::Timeouts { .. } => [Some(Counting::Timeouts), None],
        Rule::Custom(_) => [Some(Counting::Failures), threshold.map(Counting::Slow)],
    }
}
