//! The evidence that trip rules keep, and what they make of it.

use std::num::NonZeroU32;
use std::time::Duration;

use buttress_core::clock::Instant;
use buttress_core::outcome::Outcome;
use buttress_core::window::{CallWindow, Counts, TimeWindow};

use crate::config::{Rule, Window};

/// All rules of one breaker with their evidence, in the order in which they are asked.
#[derive(Debug)]
pub(crate) struct Rules {
    rules: Vec<Kept>,
    consecutive: u32,
}

/// A rule with the window it looks at, if it has one.
#[derive(Debug)]
struct Kept {
    rule: Rule,
    evidence: Evidence,
}

#[derive(Debug)]
enum Evidence {
    None,
    Calls(CallWindow),
    Time {
        window: Box<TimeWindow>,
        /// The end of the last failure: a window without one has nothing to judge.
        last_failure: Option<Instant>,
    },
}

/// A rule that fired, with its evidence.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Fired {
    pub(crate) rule: &'static str,
    pub(crate) observed: f64,
    pub(crate) threshold: f64,
    pub(crate) samples: u64,
    pub(crate) window: Option<Duration>,
}

/// What the window of one rule holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct WindowCounts {
    /// The rule's name.
    pub rule: &'static str,
    /// The window it looks at.
    pub window: Window,
    /// What that holds.
    pub counts: Counts,
}

impl Rules {
    pub(crate) fn new(rules: Vec<Rule>) -> Self {
        let rules = rules.into_iter().map(Kept::new).collect();
        Self {
            rules,
            consecutive: 0,
        }
    }

    /// These rules with the evidence of the present ones: each takes the first window of its kind
    /// that no other has taken.
    pub(crate) fn replaced_by(&mut self, rules: Vec<Rule>) {
        let mut old = std::mem::take(&mut self.rules);
        self.rules = rules
            .into_iter()
            .map(|rule| Kept::taking(rule, &mut old))
            .collect();
    }

    /// Takes the outcome of one call into evidence; `false` if it is none.
    pub(crate) fn record(&mut self, outcome: Outcome, now: Instant) -> bool {
        let bad = match outcome {
            Outcome::Failure(_) => true,
            Outcome::Success | Outcome::Slow => false,
            _ => return false,
        };
        self.consecutive = if bad {
            self.consecutive.saturating_add(1)
        } else {
            0
        };
        for kept in &mut self.rules {
            kept.evidence.record(bad, now);
        }
        true
    }

    /// Takes `n` successes into evidence that [`Rules::is_indifferent`] let pass uncounted.
    pub(crate) fn succeeded(&mut self, n: u64) {
        if n == 0 {
            return;
        }
        self.consecutive = 0;
        for kept in &mut self.rules {
            if let Evidence::Calls(window) = &mut kept.evidence {
                // After as many good calls as it spans a window changes no more.
                (0..n.min(window.span().into())).for_each(|_| window.record(false));
            }
        }
    }

    /// Whether successes may be taken into evidence later, many at once: none of them can make a
    /// rule fire, and none needs the time at which it came.
    ///
    /// A success never raises a rate. It can only complete the minimum, so a window that holds
    /// failures and less than its minimum is not indifferent to it.
    pub(crate) fn is_indifferent(&self) -> bool {
        self.rules
            .iter()
            .all(|kept| match (&kept.rule, &kept.evidence) {
                (Rule::FailureRate { min_calls, .. }, Evidence::Calls(window)) => {
                    let counts = window.counts();
                    counts.bad == 0 || counts.total >= u64::from(*min_calls)
                }
                (_, Evidence::None) => true,
                _ => false,
            })
    }

    /// The first rule that fires on the evidence at `now`.
    pub(crate) fn judge(&self, now: Instant) -> Option<Fired> {
        self.rules
            .iter()
            .find_map(|kept| kept.judge(self.consecutive, now))
    }

    /// Forgets all evidence.
    pub(crate) fn clear(&mut self) {
        self.consecutive = 0;
        for kept in &mut self.rules {
            kept.evidence.clear();
        }
    }

    pub(crate) fn consecutive(&self) -> u32 {
        self.consecutive
    }

    /// What the windows hold at `now`.
    pub(crate) fn counts(&self, now: Instant) -> Vec<WindowCounts> {
        self.rules
            .iter()
            .filter_map(|kept| kept.counts(now))
            .collect()
    }
}

impl Kept {
    fn new(rule: Rule) -> Self {
        Self::taking(rule, &mut Vec::new())
    }

    fn taking(rule: Rule, old: &mut Vec<Self>) -> Self {
        let evidence = match rule {
            Rule::ConsecutiveFailures(_) => Evidence::None,
            Rule::FailureRate { window, .. } => Evidence::taking(window, old),
        };
        Self { rule, evidence }
    }

    fn judge(&self, consecutive: u32, now: Instant) -> Option<Fired> {
        match (&self.rule, &self.evidence) {
            (Rule::ConsecutiveFailures(limit), _) => (consecutive >= *limit).then(|| Fired {
                rule: self.rule.name(),
                observed: f64::from(consecutive),
                threshold: f64::from(*limit),
                samples: u64::from(consecutive),
                window: None,
            }),
            (
                Rule::FailureRate {
                    ratio,
                    min_calls,
                    window,
                },
                evidence,
            ) => {
                let counts = evidence.suspicious(*window, now)?;
                let fires = counts.total >= u64::from(*min_calls) && counts.ratio() >= *ratio;
                fires.then(|| Fired {
                    rule: self.rule.name(),
                    observed: counts.ratio(),
                    threshold: *ratio,
                    samples: counts.total,
                    window: window.as_time(),
                })
            }
        }
    }

    fn counts(&self, now: Instant) -> Option<WindowCounts> {
        let Rule::FailureRate { window, .. } = self.rule else {
            return None;
        };
        Some(WindowCounts {
            rule: self.rule.name(),
            window,
            counts: self.evidence.counts(now),
        })
    }
}

impl Evidence {
    /// Evidence over `window`, with what the first of `old` over the same kind of window holds.
    fn taking(window: Window, old: &mut Vec<Kept>) -> Self {
        let same_kind = old.iter().position(|kept| {
            matches!(
                (&kept.evidence, window),
                (Self::Calls(_), Window::Calls(_)) | (Self::Time { .. }, Window::Time(_))
            )
        });
        let taken = same_kind.map(|at| old.remove(at).evidence);
        match (window, taken) {
            (Window::Calls(n), Some(Self::Calls(old))) => Self::Calls(old.resized(at_least_one(n))),
            (Window::Calls(n), _) => Self::Calls(CallWindow::new(at_least_one(n))),
            (
                Window::Time(span),
                Some(Self::Time {
                    window: old,
                    last_failure,
                }),
            ) => Self::Time {
                window: Box::new(old.resized(span)),
                last_failure,
            },
            (Window::Time(span), _) => Self::Time {
                window: Box::new(TimeWindow::new(span)),
                last_failure: None,
            },
        }
    }

    fn record(&mut self, bad: bool, now: Instant) {
        match self {
            Self::None => {}
            Self::Calls(window) => window.record(bad),
            Self::Time {
                window,
                last_failure,
            } => {
                window.record(now, bad);
                if bad {
                    *last_failure = (*last_failure).max(Some(now));
                }
            }
        }
    }

    fn clear(&mut self) {
        match self {
            Self::None => {}
            Self::Calls(window) => window.clear(),
            Self::Time {
                window,
                last_failure,
            } => {
                window.clear();
                *last_failure = None;
            }
        }
    }

    fn counts(&self, now: Instant) -> Counts {
        match self {
            Self::None => Counts::default(),
            Self::Calls(window) => window.counts(),
            Self::Time { window, .. } => window.counts(now),
        }
    }

    /// What the window holds, unless that is certainly no failure.
    fn suspicious(&self, window: Window, now: Instant) -> Option<Counts> {
        if let (Self::Time { last_failure, .. }, Window::Time(span)) = (self, window) {
            (*last_failure).filter(|last| now.saturating_since(*last) < span)?;
        }
        Some(self.counts(now)).filter(|counts| counts.bad > 0)
    }
}

impl Window {
    fn as_time(self) -> Option<Duration> {
        match self {
            Self::Calls(_) => None,
            Self::Time(span) => Some(span),
        }
    }
}

/// A validated configuration has no window of 0.
fn at_least_one(n: u32) -> NonZeroU32 {
    NonZeroU32::new(n).unwrap_or(NonZeroU32::MIN)
}

#[cfg(test)]
mod tests {
    use super::*;
    use buttress_core::outcome::FailureKind;

    const NOW: Instant = Instant::from_nanos(3_600_000_000_000);
    const BAD: Outcome = Outcome::Failure(FailureKind::Answer);

    fn rate(min_calls: u32, window: Window) -> Rules {
        Rules::new(vec![Rule::FailureRate {
            ratio: 0.5,
            min_calls,
            window,
        }])
    }

    fn record_all(rules: &mut Rules, outcomes: &[Outcome]) {
        for outcome in outcomes {
            rules.record(*outcome, NOW);
        }
    }

    #[test]
    fn failures_in_a_row_fire_and_a_success_or_a_slow_call_breaks_the_row() {
        let mut rules = Rules::new(vec![Rule::ConsecutiveFailures(2)]);
        record_all(
            &mut rules,
            &[BAD, Outcome::Success, BAD, Outcome::Slow, BAD],
        );
        assert_eq!(rules.judge(NOW), None);
        rules.record(BAD, NOW);
        assert_eq!(rules.judge(NOW).unwrap().rule, "consecutive_failures");
    }

    #[test]
    fn what_says_nothing_of_the_upstream_neither_counts_nor_breaks_a_row() {
        let mut rules = Rules::new(vec![Rule::ConsecutiveFailures(2)]);
        record_all(
            &mut rules,
            &[BAD, Outcome::Ignored, Outcome::Abandoned, BAD],
        );
        assert!(rules.judge(NOW).is_some());
    }

    #[test]
    fn a_rate_fires_at_its_threshold_and_not_below_its_minimum() {
        let mut rules = rate(4, Window::Calls(10));
        record_all(&mut rules, &[BAD, BAD, Outcome::Success]);
        assert_eq!(rules.judge(NOW), None);
        rules.record(Outcome::Success, NOW);
        let fired = rules.judge(NOW).unwrap();
        assert_eq!((fired.observed, fired.samples), (0.5, 4));
    }

    #[test]
    fn a_healthy_past_of_any_length_does_not_dull_a_rate_over_calls() {
        let mut rules = rate(10, Window::Calls(10));
        rules.succeeded(10_000);
        record_all(&mut rules, &[BAD; 4]);
        assert_eq!(rules.judge(NOW), None);
        rules.record(BAD, NOW);
        assert!(rules.judge(NOW).is_some());
    }

    #[test]
    fn failures_that_have_left_a_window_of_time_fire_no_more() {
        let span = Duration::from_secs(10);
        let mut rules = rate(1, Window::Time(span));
        rules.record(BAD, NOW);
        assert!(rules.judge(NOW).is_some());
        assert_eq!(rules.judge(NOW.saturating_add(span)), None);
        assert_eq!(rules.judge(Instant::NEVER), None);
    }

    #[test]
    fn successes_may_wait_unless_one_could_complete_a_minimum() {
        let mut rules = rate(3, Window::Calls(10));
        assert!(rules.is_indifferent());
        rules.record(BAD, NOW);
        assert!(!rules.is_indifferent());
        record_all(&mut rules, &[Outcome::Success; 2]);
        assert!(rules.is_indifferent());
        assert!(!rate(3, Window::Time(Duration::from_secs(1))).is_indifferent());
    }

    #[test]
    fn the_first_rule_to_fire_is_named() {
        let row = Rule::ConsecutiveFailures(1);
        let share = Rule::FailureRate {
            ratio: 1.0,
            min_calls: 1,
            window: Window::Calls(1),
        };
        for (rules, name) in [
            (vec![row.clone(), share.clone()], "consecutive_failures"),
            (vec![share, row], "failure_rate"),
        ] {
            let mut rules = Rules::new(rules);
            rules.record(BAD, NOW);
            assert_eq!(rules.judge(NOW).unwrap().rule, name);
        }
    }

    #[test]
    fn replaced_rules_take_over_the_windows_of_their_kind() {
        let mut rules = rate(4, Window::Calls(10));
        record_all(&mut rules, &[BAD, BAD, Outcome::Success]);
        rules.replaced_by(vec![
            Rule::ConsecutiveFailures(9),
            Rule::FailureRate {
                ratio: 0.9,
                min_calls: 1,
                window: Window::Calls(2),
            },
        ]);
        let [kept] = rules.counts(NOW)[..] else {
            panic!("one window");
        };
        assert_eq!(kept.counts, Counts { total: 2, bad: 1 });
    }
}
