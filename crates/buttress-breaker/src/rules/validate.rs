//! Which rules make sense.

use std::time::Duration;

use buttress_core::config::ConfigError;

use super::rule::{Rule, Window};

/// The longest window over calls: a bit for each, so 128 KiB.
const MAX_CALLS: u32 = 1 << 20;
/// The shortest window of time.
const MIN_SPAN: Duration = Duration::from_millis(1);
/// How many different slow thresholds the rules of one breaker may have: calls in flight are counted
/// for each.
pub(crate) const MAX_THRESHOLDS: usize = 4;

/// The different slow thresholds of `rules`, shortest first.
pub(crate) fn thresholds(rules: &[Rule]) -> Vec<Duration> {
    let mut thresholds: Vec<Duration> = rules.iter().filter_map(Rule::slower_than).collect();
    thresholds.sort_unstable();
    thresholds.dedup();
    thresholds
}

/// Refuses rules that make no sense, alone or together.
pub(crate) fn validate(rules: &[Rule]) -> Result<(), ConfigError> {
    if rules.is_empty() {
        let problem = "without a rule the circuit never opens; give at least one";
        return Err(ConfigError::new("rules", problem));
    }
    if thresholds(rules).len() > MAX_THRESHOLDS {
        let problem = format!(
            "calls in flight are watched for at most {MAX_THRESHOLDS} different thresholds; use \
             the same one in several rules"
        );
        return Err(ConfigError::new("rules.slower_than", problem));
    }
    let after = |at: usize| rules.iter().skip(at + 1);
    let twice = (rules.iter().enumerate()).find(|(at, rule)| after(*at).any(|it| it == *rule));
    if let Some((_, rule)) = twice {
        let problem = format!(
            "{} is there twice, just the same; give it once",
            rule.name()
        );
        return Err(ConfigError::new("rules", problem));
    }
    rules.iter().try_for_each(|rule| Fields(rule).validate())
}

/// A rule whose fields are named in errors.
struct Fields<'a>(&'a Rule);

impl Fields<'_> {
    fn validate(&self) -> Result<(), ConfigError> {
        match *self.0 {
            Rule::ConsecutiveFailures(n) => self.at_least_one("", n)?,
            Rule::FailureRate {
                ratio, min_calls, ..
            }
            | Rule::SlowRate {
                ratio, min_calls, ..
            }
            | Rule::FailureOrSlowRate {
                ratio, min_calls, ..
            } => {
                self.share("ratio", ratio)?;
                self.fits("min_calls", min_calls)?;
            }
            Rule::Timeouts { n, .. } => self.fits("n", n)?,
            Rule::Adaptive { .. } => self.adaptive()?,
            Rule::Custom(_) => {}
        }
        self.window()?;
        self.threshold("slower_than", self.0.slower_than())
    }

    fn adaptive(&self) -> Result<(), ConfigError> {
        let &Rule::Adaptive {
            factor,
            floor,
            ceiling,
            min_calls,
            window,
            baseline,
        } = self.0
        else {
            return Ok(());
        };
        self.share("floor", floor)?;
        self.share("ceiling", ceiling)?;
        self.fits("min_calls", min_calls)?;
        if !(factor >= 1.0 && factor.is_finite()) {
            let problem = format!("{factor} times the usual would be usual; use 1 or more");
            return Err(self.wrong("factor", problem));
        }
        if floor > ceiling {
            let problem = format!("{floor} is above the ceiling of {ceiling}; use at most that");
            return Err(self.wrong("floor and ceiling", problem));
        }
        if ceiling >= 1.0 {
            let problem = "nothing is certainly above 1; use less";
            return Err(self.wrong("ceiling", problem));
        }
        if baseline < window {
            let problem = format!(
                "what is learned over {baseline:?} is not longer known than the window of \
                 {window:?}; use ten times the window or more"
            );
            return Err(self.wrong("baseline and window", problem));
        }
        Ok(())
    }

    fn share(&self, field: &str, ratio: f64) -> Result<(), ConfigError> {
        if ratio > 0.0 && ratio <= 1.0 {
            return Ok(());
        }
        let problem = format!("{ratio} is no share of calls; use a number above 0, at most 1");
        Err(self.wrong(field, problem))
    }

    fn at_least_one(&self, field: &str, n: u32) -> Result<(), ConfigError> {
        if n > 0 {
            return Ok(());
        }
        Err(self.wrong(field, "0 calls would always suffice; use 1 or more"))
    }

    /// Whether so many calls can be in the window.
    fn fits(&self, field: &str, n: u32) -> Result<(), ConfigError> {
        self.at_least_one(field, n)?;
        match self.0.window() {
            Some(Window::Calls(window)) if n > window && window > 0 => {
                let problem = format!(
                    "{n} calls never fit into a window of {window}; use at most {window}, or a \
                     longer window"
                );
                Err(self.wrong(&format!("{field} and window"), problem))
            }
            _ => Ok(()),
        }
    }

    fn window(&self) -> Result<(), ConfigError> {
        match self.0.window() {
            Some(Window::Calls(n)) if n == 0 || n > MAX_CALLS => {
                let problem = format!("{n} calls; use 1 to {MAX_CALLS}");
                Err(self.wrong("window", problem))
            }
            Some(Window::Time(span)) if span < MIN_SPAN => {
                let problem = format!("{span:?} is too short to hold calls; use at least 1ms");
                Err(self.wrong("window", problem))
            }
            _ => Ok(()),
        }
    }

    fn threshold(&self, field: &str, threshold: Option<Duration>) -> Result<(), ConfigError> {
        if threshold.is_some_and(|threshold| threshold.is_zero()) {
            let problem = "0 would make every call slow; use a duration above 0";
            return Err(self.wrong(field, problem));
        }
        self.outlasts(&self.path(field), threshold)
    }

    /// Whether a call can become slow within the window.
    fn outlasts(&self, field: &str, threshold: Option<Duration>) -> Result<(), ConfigError> {
        match (self.0.window().and_then(Window::as_time), threshold) {
            (Some(span), Some(slow)) if span < slow => {
                let problem = format!(
                    "a window of {span:?} ends before a call is slow ({slow:?}); use a longer \
                     window or a shorter threshold"
                );
                let fields = format!("{} and {field}", self.path("window"));
                Err(ConfigError::new(fields, problem))
            }
            _ => Ok(()),
        }
    }

    fn path(&self, field: &str) -> String {
        let dot = if field.is_empty() { "" } else { "." };
        format!("rules.{}{dot}{field}", self.0.name())
    }

    fn wrong(&self, field: &str, problem: impl Into<String>) -> ConfigError {
        ConfigError::new(self.path(field), problem.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const CALLS: Window = Window::Calls(10);

    fn refused(rule: Rule) -> String {
        validate(&[rule]).unwrap_err().field().to_owned()
    }

    fn slow(slower_than: Duration, window: Window) -> Rule {
        Rule::SlowRate {
            slower_than,
            ratio: 0.5,
            min_calls: 5,
            window,
        }
    }

    fn adaptive(factor: f64, floor: f64, ceiling: f64, baseline: Duration) -> Rule {
        Rule::Adaptive {
            factor,
            floor,
            ceiling,
            min_calls: 5,
            window: SECOND * 2,
            baseline,
        }
    }

    #[test]
    fn rules_that_make_sense_are_let_be() {
        let rules = [
            Rule::ConsecutiveFailures(1),
            Rule::adaptive(),
            Rule::Timeouts {
                n: 10,
                window: CALLS,
            },
            slow(SECOND, Window::Time(SECOND)),
            slow(SECOND, CALLS),
        ];
        assert_eq!(validate(&rules), Ok(()));
        let at_the_bounds = [
            adaptive(1.0, 0.5, 0.5, SECOND * 2),
            slow(SECOND, Window::Calls(MAX_CALLS)),
            slow(MIN_SPAN, Window::Time(MIN_SPAN)),
        ];
        assert_eq!(validate(&at_the_bounds), Ok(()));
    }

    #[test]
    fn a_rule_about_slow_calls_is_refused_by_the_names_of_its_fields() {
        let cases = [
            (slow(Duration::ZERO, CALLS), "rules.slow_rate.slower_than"),
            (
                slow(SECOND * 2, Window::Time(SECOND)),
                "rules.slow_rate.window and rules.slow_rate.slower_than",
            ),
            (slow(SECOND, Window::Calls(0)), "rules.slow_rate.window"),
            (
                slow(SECOND, Window::Calls(4)),
                "rules.slow_rate.min_calls and window",
            ),
            (
                Rule::FailureOrSlowRate {
                    slower_than: SECOND,
                    ratio: 1.5,
                    min_calls: 1,
                    window: CALLS,
                },
                "rules.failure_or_slow_rate.ratio",
            ),
        ];
        for (rule, field) in cases {
            assert_eq!(refused(rule), field);
        }
    }

    #[test]
    fn timeouts_that_never_fit_are_refused() {
        let timeouts = |n, window| Rule::Timeouts { n, window };
        assert_eq!(refused(timeouts(0, CALLS)), "rules.timeouts.n");
        assert_eq!(refused(timeouts(11, CALLS)), "rules.timeouts.n and window");
        let short = Window::Time(Duration::from_micros(999));
        assert_eq!(refused(timeouts(1, short)), "rules.timeouts.window");
    }

    #[test]
    fn an_adaptive_rule_whose_bounds_contradict_each_other_is_refused() {
        let long = SECOND * 600;
        let cases = [
            (adaptive(0.9, 0.1, 0.5, long), "factor"),
            (adaptive(f64::NAN, 0.1, 0.5, long), "factor"),
            (adaptive(f64::INFINITY, 0.1, 0.5, long), "factor"),
            (adaptive(3.0, 0.0, 0.5, long), "floor"),
            (adaptive(3.0, 0.6, 0.5, long), "floor and ceiling"),
            (adaptive(3.0, 0.1, 1.0, long), "ceiling"),
            (adaptive(3.0, 0.1, 1.1, long), "ceiling"),
            (adaptive(3.0, 0.1, 0.5, SECOND), "baseline and window"),
        ];
        for (rule, field) in cases {
            assert_eq!(refused(rule), format!("rules.adaptive.{field}"));
        }
    }

    #[test]
    fn more_thresholds_than_are_watched_are_refused() {
        let rules: Vec<Rule> = (1..=5).map(|n| slow(SECOND * n, CALLS)).collect();
        let error = validate(&rules).unwrap_err();
        assert_eq!(error.field(), "rules.slower_than");
        let again = slow(SECOND, Window::Calls(20));
        let four: Vec<Rule> = rules[..4].iter().cloned().chain([again]).collect();
        assert_eq!(validate(&four), Ok(()));
    }

    #[test]
    fn a_rule_that_is_there_twice_is_refused_and_one_that_differs_is_not() {
        let row = Rule::ConsecutiveFailures;
        let error = validate(&[row(3), slow(SECOND, CALLS), row(3)]).unwrap_err();
        assert_eq!(error.field(), "rules");
        assert!(error.problem().contains("consecutive_failures"), "{error}");
        assert_eq!(validate(&[row(3), row(4)]), Ok(()));
    }
}
