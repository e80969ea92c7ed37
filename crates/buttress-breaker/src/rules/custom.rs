//! Rules of the user's own.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use buttress_core::clock::Instant;
use buttress_core::window::Counts;

use super::Fired;
use super::rule::Window;

/// A trip rule of the user's own, for [`Rule::custom`](crate::Rule::custom).
///
/// It is asked after every call that counts, on a copy of its evidence and under no lock; a breaker
/// that has one counts every call under its lock first, unless the rule
/// [judges no successes](TripRule::judges_successes). If it panics it counts as one that does not
/// fire, and [`Snapshot::rule_panics`](crate::Snapshot::rule_panics) says so.
///
/// ```
/// use buttress_breaker::{Evidence, Rule, Trip, TripRule, Window};
///
/// /// Any failure at all among many calls.
/// #[derive(Debug)]
/// struct Spotless;
///
/// impl TripRule for Spotless {
///     fn name(&self) -> &'static str {
///         "spotless"
///     }
///     fn window(&self) -> Window {
///         Window::Calls(1_000)
///     }
///     fn judge(&self, evidence: &Evidence) -> Option<Trip> {
///         let failures = evidence.failures;
///         (failures.total >= 100 && failures.bad > 0).then(|| Trip::new(failures.ratio(), 0.0))
///     }
///     fn judges_successes(&self) -> bool {
///         // The hundredth call may be one.
///         true
///     }
/// }
///
/// let rule = Rule::custom(Spotless);
/// assert_eq!(rule.name(), "spotless");
/// ```
pub trait TripRule: fmt::Debug + Send + Sync + 'static {
    /// The name in verdicts, metrics and log lines, in `snake_case`. One of a few: each is counted
    /// by itself.
    fn name(&self) -> &'static str {
        "custom"
    }

    /// The window that the evidence is kept over. Asked once, when the rule is set.
    fn window(&self) -> Window;

    /// What takes longer is counted as slow. Asked once, when the rule is set. Default: nothing is.
    fn slower_than(&self) -> Option<Duration> {
        None
    }

    /// Whether a call that ended well, and in time, may be what makes it fire: by completing a number of
    /// calls, say. Asked once, when the rule is set. Default: yes. A rule that says no is asked after
    /// other calls alone, on evidence that holds all successes before; and as long as no other rule
    /// has to be asked after one, a success takes no lock.
    fn judges_successes(&self) -> bool {
        true
    }

    /// Whether the circuit should open.
    fn judge(&self, evidence: &Evidence) -> Option<Trip>;
}

/// A copy of what a [`TripRule`] judges.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Evidence {
    /// The calls in the window; bad are those that failed.
    pub failures: Counts,
    /// The calls in the window; bad are those that were slow. Empty if
    /// [`TripRule::slower_than`] is `None`.
    pub slow: Counts,
    /// How many calls in a row have failed.
    pub consecutive_failures: u32,
}

/// The decision to open, with what goes into its verdict.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Trip {
    /// What was observed, in the rule's own unit.
    pub observed: f64,
    /// What the rule allows.
    pub threshold: f64,
}

impl Trip {
    /// Opens because `observed` is beyond `threshold`.
    pub const fn new(observed: f64, threshold: f64) -> Self {
        Self {
            observed,
            threshold,
        }
    }
}

/// A [`TripRule`] as a [`Rule`](crate::Rule) carries it. Equal to its clones alone.
#[derive(Clone)]
pub struct CustomRule {
    rule: Arc<dyn TripRule>,
    name: &'static str,
    window: Window,
    slower_than: Option<Duration>,
    judges_successes: bool,
}

impl CustomRule {
    pub(super) fn new(rule: impl TripRule) -> Self {
        Self {
            name: rule.name(),
            window: rule.window(),
            slower_than: rule.slower_than(),
            judges_successes: rule.judges_successes(),
            rule: Arc::new(rule),
        }
    }

    pub(super) const fn name(&self) -> &'static str {
        self.name
    }

    pub(super) const fn window(&self) -> Window {
        self.window
    }

    pub(super) const fn slower_than(&self) -> Option<Duration> {
        self.slower_than
    }

    pub(super) const fn judges_successes(&self) -> bool {
        self.judges_successes
    }
}

impl PartialEq for CustomRule {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.rule, &other.rule)
    }
}

impl fmt::Debug for CustomRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("CustomRule").field(&self.name).finish()
    }
}

/// Questions to the user's code, to be asked when the lock is free.
#[derive(Debug)]
pub(crate) struct Asking {
    pub(super) questions: Vec<Question>,
    /// Whether all are to be heard, or the first that fires will do.
    pub(super) all: bool,
    /// That in which the evidence was copied, and when.
    pub(crate) generation: u64,
    pub(crate) at: Instant,
    /// How often the rules had been replaced by then.
    pub(super) replaced: u32,
}

/// What there is to judge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Occasion {
    /// A call ended well.
    Success,
    /// Anything else.
    Other,
}

#[derive(Debug)]
pub(super) struct Question {
    pub(super) place: usize,
    pub(super) rule: CustomRule,
    pub(super) evidence: Evidence,
}

/// What came of asking.
#[derive(Debug, Default)]
pub(crate) struct Answers {
    /// The rules that fire, in their order; the first alone where that will do.
    pub(crate) fired: Vec<Fired>,
    /// How many rules panicked.
    pub(crate) panics: u64,
}

impl Asking {
    /// Asks them in their order: all, or until one fires.
    pub(crate) fn answers(&self) -> Answers {
        let mut answers = Answers::default();
        for question in &self.questions {
            match catch_unwind(AssertUnwindSafe(|| question.ask())) {
                Ok(None) => {}
                Ok(Some(fired)) => {
                    answers.fired.push(fired);
                    if !self.all {
                        break;
                    }
                }
                Err(_) => answers.panics += 1,
            }
        }
        answers
    }
}

impl Question {
    fn ask(&self) -> Option<Fired> {
        let trip = self.rule.rule.judge(&self.evidence)?;
        Some(Fired {
            place: self.place,
            rule: self.rule.name,
            observed: trip.observed,
            threshold: trip.threshold,
            samples: self.evidence.failures.total,
            window: self.rule.window.as_time(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::Rule;

    #[derive(Debug)]
    struct Never;

    impl TripRule for Never {
        fn window(&self) -> Window {
            Window::Calls(1)
        }

        fn judge(&self, _: &Evidence) -> Option<Trip> {
            None
        }
    }

    #[derive(Debug)]
    struct Named;

    impl TripRule for Named {
        fn name(&self) -> &'static str {
            "named"
        }

        fn window(&self) -> Window {
            Window::Calls(1)
        }

        fn judge(&self, _: &Evidence) -> Option<Trip> {
            None
        }
    }

    #[test]
    fn a_rule_is_known_by_its_name_and_equal_to_its_clones_alone() {
        let (rule, named) = (Rule::custom(Never), Rule::custom(Named));
        assert_eq!((rule.name(), named.name()), ("custom", "named"));
        assert_eq!(format!("{named:?}"), r#"Custom(CustomRule("named"))"#);
        assert_eq!(rule, rule.clone());
        assert_ne!(rule, Rule::custom(Never));
    }
}
