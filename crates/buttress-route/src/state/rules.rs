//! The rules, each held against what the peers show.

use buttress_core::clock::Instant;
use buttress_core::verdict::{Action, Verdict};

use super::{Decision, State};
use crate::budget::Fault;
use crate::peers::Peers;
use crate::tally::Rule;

/// How many standard deviations make it sure that an endpoint is worse than its peers: one error in
/// two hundred, at a share far beyond chance already.
pub(super) const SURE: f64 = 2.58;
/// Fewer failures say nothing of a rate below the threshold. Each failure is looked at anew: of twenty routers before an endpoint that fails one
/// call in a hundred, one soon has three of them in twenty-five calls.
const FEWEST_FAILURES: u64 = 5;

impl State {
    /// The rule that fires at `now`, with its evidence.
    pub(super) fn fired(&self, peers: &Peers, now: Instant) -> Option<(Rule, Verdict)> {
        (self.too_many_in_a_row(peers)).or_else(|| self.too_high_a_rate(peers, now))
    }

    /// What is wrong with the endpoint that this rule throws out. Failures in a row say what it has done since they began; what was
    /// before them would make the dead look better than who fails now and then.
    pub(super) fn fault_by(&self, rule: Rule, now: Instant) -> Fault {
        if rule == Rule::Slow || self.recent.fails_late() {
            return Fault::Late;
        }
        let recent = match rule {
            _ if self.recent.fails_all() => 1.0,
            Rule::ConsecutiveFailures => self.recent.share_since_the_first(),
            _ => self.recent.share().0,
        };
        Fault::Failing(recent.max(self.evidence.failing_at(now).0))
    }

    fn too_many_in_a_row(&self, peers: &Peers) -> Option<(Rule, Verdict)> {
        let limit = self.config.rules.consecutive_failures?.get();
        let (run, unlikely) = (self.run, self.unlikely_run(limit, peers));
        let rule = Rule::ConsecutiveFailures;
        // Weights say how bad it is, and not how unlikely.
        let fires = run.weight() >= run.left_of(limit) && f64::from(run.failures()) >= unlikely;
        fires.then(|| {
            // What was reached last has decided. Where peers have recovered since, it is the limit that stands.
            let left = f64::from(run.left_of(limit));
            let (seen, limit) = if unlikely <= left || run.has_just_reached(limit) {
                (run.weight(), left)
            } else {
                (run.failures(), unlikely)
            };
            let verdict = Verdict::new(rule.name(), Action::Closed);
            let verdict = verdict.evidence(seen.into(), limit, run.failures().into());
            (rule, verdict.against(peers.failing_now()))
        })
    }

    /// So many failures in a row are more than what its peers have by chance. Whoever is on trial has shown but the last of
    /// them before.
    fn unlikely_run(&self, limit: u32, peers: &Peers) -> f64 {
        let shown_before = limit.saturating_sub(self.run.left_of(limit));
        (peers.unlikely_run() - f64::from(shown_before)).max(0.0)
    }

    fn too_high_a_rate(&self, peers: &Peers, now: Instant) -> Option<(Rule, Verdict)> {
        let (rate, window) = (
            self.config.rules.failure_rate.as_ref()?,
            self.windows.failures()?,
        );
        let (counts, failing) = (window.counts(now), peers.failing());
        if counts.total < u64::from(rate.min_calls.get()) {
            return None;
        }
        let surely = counts.ratio_at_least(SURE);
        // As its peers' share fades, so does its own: where all began to fail of late a window holds less of what was before.
        let likewise = self.evidence.failing_at(now).0;
        let worse_than_peers = surely.min(likewise) > failing + rate.above_peers;
        let rule = match rate.threshold.max(failing + rate.above_peers) {
            limit if counts.ratio() >= limit && worse_than_peers => {
                (Rule::FailureRate, counts.ratio(), limit)
            }
            _ if worse_than_peers && counts.bad >= FEWEST_FAILURES => {
                (Rule::Outlier, surely, failing + rate.above_peers)
            }
            _ => return None,
        };
        let (rule, seen, limit) = rule;
        let verdict = Verdict::new(rule.name(), Action::Closed);
        let verdict = verdict
            .evidence(seen, limit, counts.total)
            .over(rate.window);
        Some((rule, verdict.against(failing)))
    }

    /// A run of failures that would throw the endpoint out, were it not that its peers have such runs.
    pub(super) fn spare_for_its_peers(&mut self, peers: &Peers) -> Option<Decision> {
        let limit = self.config.rules.consecutive_failures?.get();
        if !self.run.has_just_reached(limit) {
            return None;
        }
        self.spared = true;
        self.is_held_back("peers_fail");
        let (seen, bearable) = (self.run.failures(), self.unlikely_run(limit, peers));
        let verdict = Verdict::new(Rule::ConsecutiveFailures.name(), Action::Closed);
        let verdict = verdict.evidence(seen.into(), bearable, seen.into());
        Some(self.suppressed(verdict.against(peers.failing_now()), "peers_fail"))
    }
}
