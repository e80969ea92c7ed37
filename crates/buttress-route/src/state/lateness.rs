//! Who is slow beside its peers, where the policy would ask it as often as these.
//!
//! Late is what takes many times what an endpoint in the middle does. How many of an endpoint's answers are late is held
//! against the same of its peers, as failures are. All of them may be late at once, and answers come before a pick has
//! looked at the others: so the rule fires once that has lasted, and they have been looked at since.

use std::sync::Arc;
use std::time::Duration;

use buttress_core::clock::Instant;
use buttress_core::outcome::Outcome;
use buttress_core::verdict::{Action, Verdict};
use buttress_core::window::TimeWindow;

use super::rules::SURE;
use super::{Call, Decision, State};
use crate::config::{Config, SlowRate};
use crate::peers::Peers;
use crate::slot::Slot;
use crate::tally::Rule;

/// Differences of less are none, as for what a request costs.
const INDISTINCT: Duration = Duration::from_millis(1);
/// Whoever keeps so many of its last sixteen clients waiting in vain answers nobody.
const NEARLY_ALL: u32 = 15;
/// So long it has to last.
const LASTS: Duration = Duration::from_millis(100);

/// The rule that is in force.
pub(super) fn rule(config: &Config) -> Option<SlowRate> {
    let rule = config.rules.slow_rate;
    rule.filter(|_| !config.policy.shuns_the_late())
}

/// Whether an answer that took so long is late, where an endpoint in the middle takes so many nanoseconds in the mean.
fn is_late(rule: &SlowRate, took: Duration, usual: f64) -> bool {
    took.saturating_sub(INDISTINCT).as_secs_f64() * 1e9 > usual * rule.times
}

/// The last answers of an endpoint, and how many of them were late.
#[derive(Clone, Debug)]
pub(super) struct Lateness {
    rule: SlowRate,
    answers: TimeWindow,
    /// Of the last sixteen, those for which nobody waited to the end.
    in_vain: u16,
    /// Since when there are too many.
    since: Option<Instant>,
}

impl Lateness {
    pub(super) fn new(rule: SlowRate) -> Self {
        Self {
            rule,
            answers: TimeWindow::new(rule.window),
            in_vain: 0,
            since: None,
        }
    }

    pub(super) fn clear(&mut self) {
        self.answers.clear();
        self.since = None;
    }

    pub(super) fn is_late(&self, took: Duration, peers: &Peers) -> bool {
        is_late(&self.rule, took, peers.latency())
    }

    pub(super) fn record(&mut self, late: bool, now: Instant) {
        self.in_vain <<= 1;
        self.answers.record(now, late);
    }

    /// A client has left who had waited so long that an answer would have been late.
    fn record_in_vain(&mut self, now: Instant) {
        self.record(true, now);
        self.in_vain |= 1;
    }

    /// The share of late answers, and of how many.
    pub(super) fn share(&self, now: Instant) -> (f64, f64) {
        let counts = self.answers.counts(now);
        (counts.ratio(), counts.total as f64)
    }

    /// The evidence, if there are too many.
    fn fired(&mut self, peers: &Peers, now: Instant) -> Option<Verdict> {
        let (rule, of_peers) = (self.rule, peers.slow());
        let counts = self.answers.counts(now);
        let (surely, limit) = (counts.ratio_at_least(SURE), of_peers + rule.above_peers);
        if counts.total < u64::from(rule.min_calls.get()) || surely <= limit {
            self.since = None;
            return None;
        }
        let since = *self.since.get_or_insert(now);
        let verdict = Verdict::new(Rule::Slow.name(), Action::Closed);
        let verdict = verdict.evidence(surely, limit, counts.total);
        let verdict = verdict.over(rule.window).against(of_peers);
        peers
            .have_been_seen_since(since.saturating_add(LASTS))
            .then_some(verdict)
    }
}

impl State {
    /// An answer came, or a client has waited for it in vain.
    pub(super) fn took(
        &mut self,
        took: Duration,
        slot: &Arc<Slot>,
        now: Instant,
    ) -> Option<Decision> {
        let lateness = self.windows.lateness_mut()?;
        let late = lateness.is_late(took, slot.peers());
        lateness.record(late, now);
        late.then(|| self.was_late(slot, now)).flatten()
    }

    fn was_late(&mut self, slot: &Arc<Slot>, now: Instant) -> Option<Decision> {
        let lateness = self.windows.lateness_mut()?;
        if !slot.ledger().is_first(slot.rank()) {
            return None;
        }
        let evidence = lateness.fired(slot.peers(), now)?;
        Some(self.eject(Rule::Slow, evidence, None, slot, now))
    }

    /// A client has left who had waited so long.
    pub(super) fn left(
        &mut self,
        call: &Call<'_>,
        slot: &Arc<Slot>,
        now: Instant,
    ) -> Option<Decision> {
        let waited = call.waited_in_vain().filter(|_| !call.copy)?;
        let lateness = self.windows.lateness_mut()?;
        if !lateness.is_late(waited, slot.peers()) {
            return None;
        }
        lateness.record_in_vain(now);
        self.was_late(slot, now)
    }

    /// Whether clients wait for its answers in vain.
    pub(super) fn answers_nobody(&self) -> bool {
        let lateness = self.windows.lateness();
        lateness.is_some_and(|it| it.in_vain.count_ones() >= NEARLY_ALL)
    }

    /// Whether a probe of whoever went out for being slow was late as well.
    pub(super) fn is_slow_again(&self, call: &Call<'_>, peers: &Peers) -> bool {
        let took = call.latency.unwrap_or(call.took);
        let answered = matches!(call.outcome, Outcome::Success | Outcome::Slow);
        let is_probe = call.ticket.is_probe() && self.for_slowness;
        let late = || rule(&self.config).is_some_and(|rule| is_late(&rule, took, peers.latency()));
        is_probe && answered && late()
    }

    /// The share of what its peers answer in the same time.
    pub(super) fn in_time(&self, peers: &Peers) -> f64 {
        let mean = self.evidence.mean();
        mean.map_or(1.0, |mean| (peers.latency() / mean).min(1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peers::Medians;

    const NOW: Instant = Instant::from_nanos(1_000_000_000);

    fn at(ms: u64) -> Instant {
        NOW.saturating_add(Duration::from_millis(ms))
    }

    /// What a pick does that finds the middle of the pool late by this share.
    fn look(peers: &Peers, slow: f64, now: Instant) {
        let medians = Medians {
            slow,
            ..Medians::default()
        };
        assert!(peers.is_due(now));
        peers.see(medians, now);
    }

    fn late(answers: u32) -> Lateness {
        let mut lateness = Lateness::new(SlowRate::default());
        (0..answers).for_each(|_| lateness.record(true, NOW));
        lateness
    }

    #[test]
    fn it_fires_once_it_has_lasted_and_the_others_have_been_looked_at_since() {
        let (peers, mut lateness) = (Peers::new(), late(40));
        look(&peers, 0.0, NOW);
        assert!(lateness.fired(&peers, NOW).is_none());
        assert!(
            lateness.fired(&peers, at(150)).is_none(),
            "nobody has looked"
        );
        look(&peers, 0.0, at(150));
        assert!(lateness.fired(&peers, at(150)).is_some());
    }

    #[test]
    fn it_does_not_where_the_others_turn_out_to_be_as_late_and_begins_anew() {
        let (peers, mut lateness) = (Peers::new(), late(40));
        assert!(lateness.fired(&peers, NOW).is_none());
        look(&peers, 1.0, at(150));
        assert!(lateness.fired(&peers, at(150)).is_none());
        look(&peers, 0.0, at(200));
        assert!(lateness.fired(&peers, at(200)).is_none());
    }

    #[test]
    fn so_few_answers_say_nothing() {
        let (peers, mut lateness) = (Peers::new(), late(19));
        assert!(lateness.fired(&peers, NOW).is_none());
        look(&peers, 0.0, at(150));
        assert!(lateness.fired(&peers, at(150)).is_none());
    }
}
