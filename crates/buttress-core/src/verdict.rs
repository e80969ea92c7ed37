//! What was decided about a thing, and why.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// A decision with its evidence: every change of a breaker, an endpoint or a service carries one.
///
/// `Display` says it in words, for a log line or a table.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Verdict {
    /// The rule that decided, in `snake_case`: `consecutive_failures`, `failure_rate`, `probe` …
    pub rule: Cow<'static, str>,
    /// What was observed, in the rule's own unit (a count, a ratio).
    pub observed: f64,
    /// What the rule allows.
    pub threshold: f64,
    /// How many calls the observation rests on.
    pub samples: u64,
    /// The span of time the observation covers, where it is one of time.
    pub window: Option<Duration>,
    /// What the peers showed, where the rule compares.
    pub peers: Option<f64>,
    /// What was done.
    pub action: Action,
    /// Who did it, where somebody did it by hand and says so.
    pub by: Option<Arc<By>>,
}

/// Who does something by hand, and why, as they say.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct By {
    /// A name, or an address.
    pub who: String,
    /// The reason, in words; empty where none is given.
    pub why: String,
}

impl By {
    /// The longest of each, in bytes: what is longer is cut, for it is kept and shown with the verdict.
    pub const LONGEST: usize = 256;

    /// `who`, for this reason.
    pub fn new(who: impl Into<String>, why: impl Into<String>) -> Self {
        let cut = |mut text: String| {
            let mut end = text.len().min(Self::LONGEST);
            while !text.is_char_boundary(end) {
                end = end.saturating_sub(1);
            }
            text.truncate(end);
            text
        };
        Self {
            who: cut(who.into()),
            why: cut(why.into()),
        }
    }
}

/// What a [`Verdict`] led to.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Action {
    /// The circuit was opened for this long; the endpoint takes no traffic.
    Opened(Duration),
    /// Probes are let through.
    Probing,
    /// Traffic rises.
    Ramping,
    /// The circuit was closed; traffic flows.
    Closed,
    /// Held open or closed by hand, or released again.
    Forced,
    /// Takes no traffic for as long as somebody else's word stands against it.
    Held,
    /// Is in, and given next to nothing: others answer well sooner.
    Shunned,
    /// Is asked again as others are.
    Resumed,
    /// A rollout went on to its next step.
    Advanced,
    /// A rollout was taken back.
    RolledBack,
    /// The rule fired, and this held the action back.
    Suppressed(Cow<'static, str>),
}

impl Verdict {
    /// A verdict of `rule` that led to `action`, with nothing yet observed.
    pub fn new(rule: impl Into<Cow<'static, str>>, action: Action) -> Self {
        Self {
            rule: rule.into(),
            observed: 0.0,
            threshold: 0.0,
            samples: 0,
            window: None,
            peers: None,
            action,
            by: None,
        }
    }

    /// What was observed, what the rule allows, and on how many calls that rests.
    #[must_use]
    pub fn evidence(mut self, observed: f64, threshold: f64, samples: u64) -> Self {
        (self.observed, self.threshold, self.samples) = (observed, threshold, samples);
        self
    }

    /// The span of time that the observation covers.
    #[must_use]
    pub fn over(mut self, window: Duration) -> Self {
        self.window = Some(window);
        self
    }

    /// What the peers showed.
    #[must_use]
    pub fn against(mut self, peers: f64) -> Self {
        self.peers = Some(peers);
        self
    }

    /// Who did it by hand; `None` where they do not say.
    #[must_use]
    pub fn by(mut self, by: Option<Arc<By>>) -> Self {
        self.by = by;
        self
    }

    /// Whether the rule is a name for what the action says.
    fn says_by_hand_twice(&self) -> bool {
        self.action == Action::Forced && matches!(&*self.rule, "by_hand" | "manual")
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.action)?;
        if !self.says_by_hand_twice() {
            write!(f, ": {}", self.rule)?;
        }
        if self.samples > 0 {
            let (observed, threshold) = (Figure(self.observed), Figure(self.threshold));
            write!(f, " {observed} (limit {threshold}, {} calls", self.samples)?;
            if let Some(window) = self.window {
                write!(f, " in {window:?}")?;
            }
            if let Some(peers) = self.peers {
                write!(f, ", peers {}", Figure(peers))?;
            }
            f.write_str(")")?;
        }
        match self.by.as_deref() {
            None => Ok(()),
            Some(By { who, why }) if why.is_empty() => write!(f, " by {who}"),
            Some(By { who, why }) => write!(f, " by {who} ({why})"),
        }
    }
}

/// A figure with as many decimals as it needs, at most three.
struct Figure(f64);

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rounded = (self.0 * 1_000.0).round() / 1_000.0;
        write!(f, "{rounded}")
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Opened(duration) => write!(f, "opened for {duration:.1?}"),
            Self::Probing => f.write_str("probing"),
            Self::Ramping => f.write_str("ramping up"),
            Self::Closed => f.write_str("closed"),
            Self::Forced => f.write_str("set by hand"),
            Self::Held => f.write_str("held out"),
            Self::Shunned => f.write_str("shunned"),
            Self::Resumed => f.write_str("resumed"),
            Self::Advanced => f.write_str("advanced"),
            Self::RolledBack => f.write_str("rolled back"),
            Self::Suppressed(why) => write!(f, "held back ({why})"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verdict_reads_as_a_sentence_with_its_evidence() {
        let verdict = Verdict::new("failure_rate", Action::Opened(Duration::from_secs(5)))
            .evidence(0.62, 0.5, 40)
            .over(Duration::from_secs(10))
            .against(0.01);
        assert_eq!(
            verdict.to_string(),
            "opened for 5.0s: failure_rate 0.62 (limit 0.5, 40 calls in 10s, peers 0.01)"
        );
    }

    #[test]
    fn a_verdict_says_who_did_it_and_why_as_far_as_they_say() {
        let by_hand = |by| Verdict::new("manual", Action::Forced).by(by).to_string();
        assert_eq!(by_hand(None), "set by hand");
        let by = |why| Some(Arc::new(By::new("ann", why)));
        assert_eq!(by_hand(by("")), "set by hand by ann");
        assert_eq!(by_hand(by("ticket 7")), "set by hand by ann (ticket 7)");
        let weight = Verdict::new("weight", Action::Forced);
        assert_eq!(weight.to_string(), "set by hand: weight");
    }

    #[test]
    fn a_long_reason_is_cut_between_two_characters() {
        let by = By::new("a".repeat(300), "ü€".repeat(100));
        assert_eq!(by.who.len(), By::LONGEST);
        assert!((By::LONGEST - 3..=By::LONGEST).contains(&by.why.len()));
    }
}
