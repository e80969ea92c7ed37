//! What active checks say of an endpoint.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use buttress_core::circuit::{Settled, Ticket};
use buttress_core::clock::Instant;
use buttress_core::health::HealthStatus;
use buttress_core::outcome::{FailureKind, Outcome};
use buttress_core::verdict::{Action, Verdict};

use super::pause::Pause;
use super::{Decision, State};
use crate::check::{Answer, Checks, Turn};
use crate::slot::Slot;
use crate::snapshot::CheckSnapshot;
use crate::tally::{CheckResult, ProbeResult, Rule};

/// A word that nobody repeats is worth nothing after this much.
const STALE: Duration = Duration::from_secs(60);

/// Who checks a pool.
#[derive(Clone, Debug)]
pub(crate) struct Checker {
    /// Of two that check the same endpoint the later one counts.
    term: u64,
    name: Arc<str>,
    fall: NonZeroU32,
    patience: Duration,
    stale: Duration,
}

/// How a check ended.
#[derive(Debug)]
pub(crate) struct CheckEnded {
    pub(crate) answer: Answer,
    pub(crate) turn: Option<Turn>,
    /// The probe that the check was as well.
    pub(crate) probe: Option<Ticket>,
}

/// What was said of one endpoint.
#[derive(Clone, Debug, Default)]
pub(super) struct Checked {
    by: Option<Checker>,
    said: HealthStatus,
    /// The row of answers that said it.
    row: u32,
    /// When the last answer came.
    at: Option<Instant>,
    last_failure: Option<Arc<str>>,
}

impl Checker {
    pub(crate) fn new(term: u64, name: Arc<str>, checks: &Checks) -> Self {
        let sweep = checks.interval.saturating_add(checks.timeout);
        Self {
            term,
            name,
            fall: checks.fall,
            patience: checks.patience(),
            stale: sweep.saturating_mul(10).max(STALE),
        }
    }
}

impl Checked {
    /// For how long requests leave a probe that is due to the checks.
    pub(super) fn patience(&self) -> Duration {
        self.by.as_ref().map_or(Duration::ZERO, |by| by.patience)
    }

    /// The verdict against the endpoint, if its checks fail.
    pub(super) fn against(&self, now: Instant) -> Option<Verdict> {
        let by = self.by.as_ref()?;
        let stale = now.saturating_since(self.at?) > by.stale;
        if self.said != HealthStatus::Unhealthy || stale {
            return None;
        }
        let (seen, limit) = (f64::from(self.row), f64::from(by.fall.get()));
        let verdict = Verdict::new(Rule::ActiveCheck.name(), Action::Held);
        Some(verdict.evidence(seen, limit, u64::from(self.row)))
    }

    pub(super) fn snapshot(&self) -> Option<CheckSnapshot> {
        Some(CheckSnapshot {
            check: Arc::clone(&self.by.as_ref()?.name),
            said: self.said,
            at: self.at,
            last_failure: self.last_failure.clone(),
        })
    }

    /// Whether `by` may speak. What an earlier one has said is forgotten.
    fn hear(&mut self, by: &Checker) -> bool {
        let known = self.by.as_ref().map_or(0, |known| known.term);
        if by.term > known {
            *self = Self {
                by: Some(by.clone()),
                ..Self::default()
            };
        }
        by.term >= known
    }

    fn answered(&mut self, ended: &CheckEnded, now: Instant) {
        self.at = Some(now);
        self.row = match ended.turn {
            Some(Turn::Fell(row)) => {
                self.said = HealthStatus::Unhealthy;
                row
            }
            Some(Turn::Rose(row)) => {
                self.said = HealthStatus::Healthy;
                row
            }
            None => self.row,
        };
        match &ended.answer {
            Answer::Passed => {}
            Answer::Failed(failed) => self.last_failure = Some(Arc::clone(failed.problem())),
            Answer::TimedOut => self.last_failure = Some("no answer in time".into()),
        }
    }
}

impl State {
    /// For how long requests leave a probe that is due to the checks. How long requests take a check does not know.
    pub(super) fn patience(&self) -> Duration {
        if self.for_slowness {
            Duration::ZERO
        } else {
            self.checked.patience()
        }
    }

    /// A check begins. It is a probe as well if the endpoint is due one.
    pub(crate) fn check_begins(
        &mut self,
        by: &Checker,
        slot: &Arc<Slot>,
        now: Instant,
    ) -> (Option<Ticket>, Option<Decision>) {
        if self.checked.hear(by)
            && !self.for_slowness
            && !self.circuit.state().is_closed()
            && self.circuit.would_admit(now)
        {
            return self.probe(slot, now);
        }
        (None, None)
    }

    /// A check has ended.
    pub(crate) fn check_ended(
        &mut self,
        by: &Checker,
        ended: &CheckEnded,
        slot: &Arc<Slot>,
        now: Instant,
    ) -> Option<Decision> {
        if self.checked.hear(by) {
            self.tally.checked(match ended.answer {
                Answer::Passed => CheckResult::Success,
                Answer::Failed(_) => CheckResult::Failure,
                Answer::TimedOut => CheckResult::Timeout,
            });
            self.checked.answered(ended, now);
        }
        let passed = ended.answer == Answer::Passed;
        let probed =
            (ended.probe.as_ref()).and_then(|probe| self.check_was_probe(probe, passed, slot, now));
        // An endpoint that was probed was not in, so that no more comes of its checks.
        probed.or_else(|| self.heed_signals(slot, now))
    }

    /// The outcome of a probe; of requests and what they cost it says nothing.
    fn check_was_probe(
        &mut self,
        probe: &Ticket,
        passed: bool,
        slot: &Arc<Slot>,
        now: Instant,
    ) -> Option<Decision> {
        let outcome = if passed {
            Outcome::Success
        } else {
            Outcome::Failure(FailureKind::Answer)
        };
        let settled = self.circuit.settle(probe, outcome, None, now, slot.rng());
        match settled {
            Settled::Probe(transition) => {
                self.pause = Pause::over();
                self.probed(outcome, transition, now)
            }
            Settled::Stale => {
                self.tally.probed(ProbeResult::Expired);
                None
            }
            // It was let in by a circuit that time had closed.
            _ => None,
        }
    }

    /// Nobody checks the endpoint any more: what `by` said is forgotten.
    pub(crate) fn checks_over(
        &mut self,
        by: &Checker,
        slot: &Arc<Slot>,
        now: Instant,
    ) -> Option<Decision> {
        let known = self.checked.by.as_ref().map(|known| known.term);
        if known != Some(by.term) {
            return None;
        }
        self.checked = Checked::default();
        self.heed_signals(slot, now)
    }
}
