//! The machine behind the lock: the circuit, the rules over it, and what has been counted.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::time::Duration;

use buttress_core::circuit::{
    Admission, Cause, Circuit, Evidence, IllegalTransition, Saved, Settings, Settled, State,
    Ticket, Transition,
};
use buttress_core::clock::Instant;
use buttress_core::events;
use buttress_core::outcome::Outcome;
use buttress_core::rng::Rng;
use buttress_core::verdict::{Action, Verdict};

use crate::gate::Face;
use crate::inflight::{InFlight, overdue_before};
use crate::rules::{Answers, Asking, Fired, Rule, Rules, Sample};

/// Calls by how they ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Calls {
    /// Ended well and in time.
    pub success: u64,
    /// Failed, in whatever way.
    pub failure: u64,
    /// Ended well, over the slow threshold.
    pub slow: u64,
    /// Say nothing about the upstream.
    pub ignored: u64,
    /// Were left by their caller.
    pub abandoned: u64,
}

/// How often one state was left for another, by one rule.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TransitionCount {
    /// The state that was left.
    pub from: State,
    /// The state that was entered.
    pub to: State,
    /// The rule that decided: that of [`Verdict::rule`].
    pub rule: Cow<'static, str>,
    /// How often.
    pub count: u64,
}

/// A change that has yet to be told, or what would have been one.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    pub(crate) transition: Option<Transition>,
    pub(crate) verdict: Verdict,
}

/// The whole state of a breaker, without I/O: `now` and randomness are passed in.
#[derive(Debug)]
pub(crate) struct Machine {
    pub(crate) circuit: Circuit,
    pub(crate) rules: Rules,
    pub(crate) calls: Calls,
    pub(crate) stale: u64,
    pub(crate) verdict: Option<Verdict>,
    /// The rules whose firing was reported while observing, as long as it goes on.
    reported: Vec<&'static str>,
    until: Instant,
    /// The last look at what time does: successes that the gate counts belong to its buckets.
    looked_at: Instant,
    /// Until when those buckets last and no call in flight becomes slow.
    settled_until: Instant,
    /// The threshold of the outcome `Slow`.
    slow_after: Option<Duration>,
    /// Until when the upstream asked to be left alone, in this generation.
    asked_until: Instant,
    /// What the user's own rules have to be asked once the lock is free.
    asking: Option<Asking>,
    /// How often one of them has panicked.
    pub(crate) rule_panics: u64,
    /// One entry for each pair of states and rule: a closed set.
    transitions: Vec<TransitionCount>,
    /// Changes to be told once the lock is free, oldest first.
    untold: VecDeque<Change>,
}

/// Rules that are not of the configuration's making.
mod rule {
    pub(super) const OPEN_TIME: &str = "open_time";
    pub(super) const PROBE: &str = "probe";
    pub(super) const HALF_OPEN_LIMIT: &str = "half_open_limit";
    pub(super) const RAMP: &str = "ramp";
    pub(super) const MANUAL: &str = "manual";
    pub(super) const RESTORED: &str = "restored";
}

impl Machine {
    pub(crate) fn new(
        circuit: Circuit,
        rules: Vec<Rule>,
        slow_after: Option<Duration>,
        now: Instant,
    ) -> Self {
        let remaining = circuit.remaining(now);
        Self {
            circuit,
            rules: Rules::new(rules),
            calls: Calls::default(),
            stale: 0,
            verdict: None,
            reported: Vec::new(),
            until: now.saturating_add(remaining),
            looked_at: now,
            // Whoever comes first looks.
            settled_until: now,
            slow_after,
            asked_until: Instant::ORIGIN,
            asking: None,
            rule_panics: 0,
            transitions: Vec::new(),
            untold: VecDeque::new(),
        }
    }

    /// What the gate may show of this.
    #[inline]
    pub(crate) fn face(&self) -> Face {
        let state = self.circuit.state();
        let quiet = match state {
            State::Closed => self.rules.is_indifferent(self.looked_at),
            // What was reported is over as soon as its evidence is.
            State::Observing => {
                self.reported.is_empty() && self.rules.is_indifferent(self.looked_at)
            }
            State::ForcedClosed => true,
            _ => false,
        };
        Face {
            state,
            generation: self.circuit.generation(),
            quiet,
            until: self.until,
            settled_until: self.settled_until,
            brisk: self.brisk(),
        }
    }

    /// What takes longer is slow to somebody.
    fn brisk(&self) -> Duration {
        let shortest = self.rules.thresholds().first().copied();
        let slow_after = self.slow_after.unwrap_or(Duration::MAX);
        shortest.unwrap_or(Duration::MAX).min(slow_after)
    }

    /// Does what the passing of time up to `now` brings: calls in flight become slow, buckets leave
    /// their windows. To be called before whatever happens at `now`.
    #[inline]
    pub(crate) fn look(&mut self, now: Instant, in_flight: &InFlight, rng: &Rng) {
        if now >= self.settled_until {
            self.pass_time(now, in_flight, rng);
        }
    }

    fn pass_time(&mut self, now: Instant, in_flight: &InFlight, rng: &Rng) {
        let next_slow = self.count_overdue(now, in_flight, rng);
        self.rules.roll(now, self.is_judged());
        if !self.reported.is_empty() {
            self.judge(now, rng);
        }
        self.looked_at = now;
        self.settled_until = self.rules.settled_until(now).min(next_slow);
    }

    /// Takes the calls into evidence that have become slow in flight, judges, and says when the next
    /// will be.
    fn count_overdue(&mut self, now: Instant, in_flight: &InFlight, rng: &Rng) -> Instant {
        let Self { circuit, rules, .. } = self;
        let judged = matches!(circuit.state(), State::Closed | State::Observing);
        let times = (self.settled_until, now);
        let mut news = false;
        let next = in_flight.take_overdue(times, circuit.generation(), |overdue| {
            if judged {
                rules.overdue(overdue.place, overdue.calls, overdue.due);
                news = true;
            }
        });
        if news {
            self.judge(now, rng);
        }
        next
    }

    /// Takes in the successes that the gate counted.
    #[inline]
    pub(crate) fn absorb(&mut self, successes: u64) {
        self.calls.success = self.calls.success.saturating_add(successes);
        if self.is_judged() {
            self.rules.succeeded(successes, self.looked_at);
            self.circuit.succeeded(successes);
        }
    }

    pub(crate) fn admit(&mut self, now: Instant, rng: &Rng) -> Admission {
        if let Some(expired) = self.circuit.expire(now) {
            self.changed(expired);
        }
        let (admission, transition) = self.circuit.admit(now, rng);
        if let Some(transition) = transition {
            self.changed(transition);
        }
        admission
    }

    /// The end of an admitted call, at `now`.
    pub(crate) fn settle(&mut self, ticket: &Ticket, sample: &Sample, now: Instant, rng: &Rng) {
        let outcome = self.outcome(sample);
        self.calls.count(outcome);
        if self.is_unjudged(ticket) {
            return;
        }
        if ticket.generation() == self.circuit.generation() {
            self.asked_until = self.asked_until.max(now.saturating_add(sample.asked));
        }
        let asked = self.asked(now);
        match self.circuit.settle(ticket, outcome, asked, now, rng) {
            Settled::Counted => {
                if self.rules.record(sample, now) {
                    self.judge(now, rng);
                }
            }
            Settled::Stale => self.stale = self.stale.saturating_add(1),
            Settled::Probe(Some(transition)) | Settled::Ramp(Some(transition)) => {
                self.changed(transition);
            }
            Settled::Probe(None) | Settled::Ramp(None) => {}
        }
    }

    /// For how long the upstream still asks to be left alone.
    fn asked(&self, now: Instant) -> Option<Duration> {
        let left = self.asked_until.saturating_since(now);
        (!left.is_zero()).then_some(left)
    }

    /// What a call counts as: a success that took too long is slow.
    fn outcome(&self, sample: &Sample) -> Outcome {
        let late = self.slow_after.is_some_and(|after| sample.age > after);
        match sample.outcome {
            Outcome::Success if late => Outcome::Slow,
            outcome => outcome,
        }
    }

    /// Whether calls are evidence for the rules.
    fn is_judged(&self) -> bool {
        matches!(self.circuit.state(), State::Closed | State::Observing)
    }

    /// Whether `ticket` was given while the circuit was held closed, as it still is: its outcome is
    /// neither judged nor late.
    fn is_unjudged(&self, ticket: &Ticket) -> bool {
        self.circuit.state() == State::ForcedClosed
            && ticket.generation() == self.circuit.generation()
    }

    /// Opens the circuit if it is closed and a rule fires; reports it, once, if it is observed.
    fn judge(&mut self, now: Instant, rng: &Rng) {
        let fired = self.rules.judge(now);
        // Whoever observes wants to hear of every rule that fires.
        let all = self.circuit.state() == State::Observing;
        let ask = all || fired.is_none();
        let questions = || self.rules.questions(all, self.circuit.generation(), now);
        self.asking = ask.then(questions).flatten();
        if self.asking.is_none() {
            self.fire(fired.as_slice(), now, rng);
        }
    }

    /// What the user's own rules have to be asked, to be answered by [`Machine::answer`].
    #[inline]
    pub(crate) fn take_questions(&mut self) -> Option<Asking> {
        self.asking.take()
    }

    /// Takes the answers of the user's own rules, if nothing has changed since they were asked.
    pub(crate) fn answer(&mut self, asked: &Asking, answers: &Answers, rng: &Rng) {
        self.rule_panics = self.rule_panics.saturating_add(answers.panics);
        if asked.generation == self.circuit.generation() {
            self.fire(&answers.fired, asked.at, rng);
        }
    }

    fn fire(&mut self, fired: &[Fired], now: Instant, rng: &Rng) {
        if self.circuit.state() == State::Observing {
            return self.report(fired, now);
        }
        let Some(fired) = fired.first() else { return };
        if let Some(transition) = self.circuit.trip(now, rng, self.asked(now)) {
            let opened = Action::Opened(transition.open_for.unwrap_or_default());
            self.record(transition, fired.verdict(opened));
        }
    }

    /// Tells of each rule that fires and did not when last looked at; `own` are the user's that do.
    fn report(&mut self, own: &[Fired], now: Instant) {
        let firing: Vec<_> = self.rules.firing(now).chain(own.iter().copied()).collect();
        let before = std::mem::take(&mut self.reported);
        for fired in firing {
            let known = self.reported.contains(&fired.rule);
            if !known {
                self.reported.push(fired.rule);
            }
            if !known && !before.contains(&fired.rule) {
                let verdict = fired.verdict(Action::Suppressed("observing".into()));
                self.verdict = Some(verdict.clone());
                self.tell(None, verdict);
            }
        }
    }

    /// Sets the state by hand; whether that changed anything.
    pub(crate) fn by_hand(
        &mut self,
        to: State,
        now: Instant,
        rng: &Rng,
    ) -> Result<Option<Transition>, IllegalTransition> {
        let transition = self.circuit.transition_to(to, now, rng)?;
        if let Some(transition) = transition {
            self.changed(transition);
        }
        Ok(transition)
    }

    /// Takes over what a process before this one saved `passed` ago; whether that changed the state.
    pub(crate) fn restore(&mut self, saved: &Saved, passed: Duration, now: Instant) -> bool {
        let restored = self.circuit.restore(saved, passed, now);
        if let Some(restored) = restored {
            self.changed(restored);
        }
        restored.is_some()
    }

    /// Replaces settings and rules, keeps everything else, and judges what is known by the new rules.
    pub(crate) fn reconfigure(
        &mut self,
        settings: Settings,
        rules: Vec<Rule>,
        slow_after: Option<Duration>,
        now: Instant,
        in_flight: &InFlight,
        rng: &Rng,
    ) {
        self.circuit.reconfigure(settings);
        self.slow_after = slow_after;
        let before = self.rules.thresholds().to_vec();
        self.rules.replaced_by(rules);
        if *self.rules.thresholds() != before {
            let shortest = before.first().copied();
            let counted = shortest.map(|shortest| overdue_before(shortest, now));
            in_flight.set(self.rules.thresholds(), counted.unwrap_or(Instant::ORIGIN));
        }
        self.pass_time(now, in_flight, rng);
        if self.is_judged() {
            self.judge(now, rng);
        }
    }

    pub(crate) fn transitions(&self) -> &[TransitionCount] {
        &self.transitions
    }

    /// Until when an open circuit stays so.
    pub(crate) fn open_until(&self) -> Option<Instant> {
        (self.circuit.state() == State::Open).then_some(self.until)
    }

    pub(crate) fn has_untold(&self) -> bool {
        !self.untold.is_empty()
    }

    pub(crate) fn next_untold(&mut self) -> Option<Change> {
        let next = self.untold.pop_front();
        if next.is_none() {
            // Transitions are rare: their room is not kept for the next one.
            self.untold = VecDeque::new();
        }
        next
    }

    /// A change that the circuit itself gives the reason of.
    fn changed(&mut self, transition: Transition) {
        self.record(transition, verdict(&transition));
    }

    fn record(&mut self, transition: Transition, verdict: Verdict) {
        self.until = transition
            .at
            .saturating_add(transition.open_for.unwrap_or_default());
        if matches!(transition.to, State::Closed | State::Observing) {
            self.rules.clear(transition.at);
        }
        self.reported.clear();
        self.asked_until = Instant::ORIGIN;
        self.count(&transition, &verdict);
        self.verdict = Some(verdict.clone());
        self.tell(Some(transition), verdict);
    }

    fn tell(&mut self, transition: Option<Transition>, verdict: Verdict) {
        // Told at once, unless a subscriber's waker hangs: then the oldest give way.
        if self.untold.len() == events::CAPACITY {
            self.untold.pop_front();
        }
        self.untold.push_back(Change {
            transition,
            verdict,
        });
    }

    fn count(&mut self, transition: &Transition, verdict: &Verdict) {
        let (from, to, rule) = (transition.from, transition.to, &verdict.rule);
        let known = self
            .transitions
            .iter_mut()
            .find(|known| known.from == from && known.to == to && known.rule == *rule);
        match known {
            Some(known) => known.count = known.count.saturating_add(1),
            None => self.transitions.push(TransitionCount {
                from,
                to,
                rule: rule.clone(),
                count: 1,
            }),
        }
    }
}

impl Calls {
    /// Adds what somebody else has counted.
    pub(crate) fn add(&mut self, other: Self) {
        for (count, more) in [
            (&mut self.success, other.success),
            (&mut self.failure, other.failure),
            (&mut self.slow, other.slow),
            (&mut self.ignored, other.ignored),
            (&mut self.abandoned, other.abandoned),
        ] {
            *count = count.saturating_add(more);
        }
    }

    fn count(&mut self, outcome: Outcome) {
        let count = match outcome {
            Outcome::Success => &mut self.success,
            Outcome::Failure(_) => &mut self.failure,
            Outcome::Slow => &mut self.slow,
            Outcome::Abandoned => &mut self.abandoned,
            _ => &mut self.ignored,
        };
        *count = count.saturating_add(1);
    }
}

/// The reason that the circuit gives.
fn verdict(transition: &Transition) -> Verdict {
    let (rule, evidence) = match transition.cause {
        Cause::OpenTime => (rule::OPEN_TIME, None),
        Cause::Probes(evidence) => (rule::PROBE, Some(evidence)),
        Cause::HalfOpenLimit => (rule::HALF_OPEN_LIMIT, None),
        Cause::Ramp(evidence) => (rule::RAMP, Some(evidence)),
        Cause::Restored => (rule::RESTORED, None),
        _ => (rule::MANUAL, None),
    };
    let action = match transition.to {
        _ if transition.cause == Cause::ByHand => Action::Forced,
        State::Open => Action::Opened(transition.open_for.unwrap_or_default()),
        State::HalfOpen => Action::Probing,
        State::Ramping => Action::Ramping,
        State::Closed => Action::Closed,
        _ => Action::Forced,
    };
    let Evidence {
        observed,
        threshold,
        samples,
        ..
    } = evidence.unwrap_or_default();
    Verdict::new(rule, action).evidence(observed, threshold, samples.into())
}

impl Fired {
    fn verdict(self, action: Action) -> Verdict {
        let verdict =
            Verdict::new(self.rule, action).evidence(self.observed, self.threshold, self.samples);
        match self.window {
            Some(window) => verdict.over(window),
            None => verdict,
        }
    }
}
