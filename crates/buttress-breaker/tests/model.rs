//! The breaker beside a naive model of it, after any sequence of events.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod support;

use std::time::Duration;

use buttress_breaker::{Breaker, Config, Permit, Rule, State, Window};
use buttress_core::clock::ManualClock;
use buttress_core::outcome::Outcome;
use proptest::prelude::*;
use support::{BAD, OPEN_FOR, PROBE_DEADLINE, config, ended};

/// Buckets of the window of time, and how wide each is.
const BUCKETS: u64 = 16;

#[derive(Clone, Debug)]
enum Op {
    Admit,
    /// Ends the admitted call at this index, from the oldest.
    End(usize, Outcome),
    Drop(usize),
    Advance(Duration),
    Reconfigure(usize),
    ForceOpen,
    ForceClosed,
    Release,
}

/// Everything that was ever recorded, recounted for every question.
struct Model {
    rules: Vec<Rule>,
    state: State,
    generation: u64,
    now: u64,
    entered: u64,
    /// Of the present closed phase: when each counted call ended, and whether it was bad.
    record: Vec<(u64, bool)>,
    leases: Vec<(u64, u64)>,
    next_lease: u64,
    good_probes: u32,
    rejected: u64,
    stale: u64,
}

struct Call {
    permit: Permit,
    generation: u64,
    lease: Option<u64>,
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap()
}

impl Model {
    fn enter(&mut self, state: State) {
        (self.state, self.entered) = (state, self.now);
        self.generation += 1;
        self.leases.clear();
        self.good_probes = 0;
        if state == State::Closed {
            self.record.clear();
        }
    }

    /// `None` if rejected, else the lease of a probe.
    #[expect(
        clippy::option_option,
        reason = "rejected, admitted, admitted as a probe"
    )]
    fn admit(&mut self) -> Option<Option<u64>> {
        if self.state == State::Open && self.now >= self.entered.saturating_add(nanos(OPEN_FOR)) {
            self.enter(State::HalfOpen);
        }
        self.leases.retain(|(_, until)| *until > self.now);
        match self.state {
            State::Closed | State::ForcedClosed => return Some(None),
            State::HalfOpen if self.leases.is_empty() => {
                self.next_lease += 1;
                let until = self.now.saturating_add(nanos(PROBE_DEADLINE));
                self.leases.push((self.next_lease, until));
                return Some(Some(self.next_lease));
            }
            _ => self.rejected += 1,
        }
        None
    }

    fn end(&mut self, generation: u64, lease: Option<u64>, outcome: Outcome) {
        let live = self
            .leases
            .iter()
            .any(|(id, until)| Some(*id) == lease && *until > self.now);
        // After its deadline a probe is believed only if it ended well.
        let believed = lease.is_none() || live || outcome == Outcome::Success;
        let current = generation == self.generation && believed;
        self.leases.retain(|(id, _)| Some(*id) != lease);
        match (self.state, outcome) {
            _ if !current => self.stale += 1,
            (State::Closed, Outcome::Success | Outcome::Failure(_)) => {
                self.record.push((self.now, outcome.is_failure()));
                self.judge();
            }
            (State::HalfOpen, Outcome::Failure(_)) => self.enter(State::Open),
            (State::HalfOpen, Outcome::Success) => {
                self.good_probes += 1;
                if self.good_probes == 2 {
                    self.enter(State::Closed);
                }
            }
            _ => {}
        }
    }

    fn judge(&mut self) {
        let fires = |rule: &Rule| match *rule {
            Rule::ConsecutiveFailures(n) => self.row() >= n,
            Rule::FailureRate {
                ratio,
                min_calls,
                window,
            } => {
                let (total, bad) = self.count(window);
                bad > 0 && total >= u64::from(min_calls) && bad as f64 / total as f64 >= ratio
            }
            _ => unreachable!(),
        };
        if self.rules.iter().any(fires) {
            self.enter(State::Open);
        }
    }

    fn row(&self) -> u32 {
        self.record
            .iter()
            .rev()
            .take_while(|(_, bad)| *bad)
            .count()
            .try_into()
            .unwrap()
    }

    fn count(&self, window: Window) -> (u64, u64) {
        let seen: Vec<bool> = match window {
            Window::Calls(n) => {
                let newest = self.record.iter().rev().take(n as usize);
                newest.map(|(_, bad)| *bad).collect()
            }
            Window::Time(span) => {
                let bucket = |at: u64| at / (nanos(span) / BUCKETS);
                let fresh = |at: u64| bucket(at) + BUCKETS > bucket(self.now);
                let fresh = self.record.iter().filter(|(at, _)| fresh(*at));
                fresh.map(|(_, bad)| *bad).collect()
            }
            _ => unreachable!(),
        };
        (
            seen.len() as u64,
            seen.iter().filter(|bad| **bad).count() as u64,
        )
    }
}

/// Rules to run with. A window keeps its size: what a smaller one forgot a larger one cannot recall,
/// and the model forgets nothing.
fn rules(which: usize) -> Vec<Rule> {
    let rate = |ratio, min_calls, window| Rule::FailureRate {
        ratio,
        min_calls,
        window,
    };
    let calls = Window::Calls(7);
    let time = Window::Time(Duration::from_secs(16));
    [
        vec![
            rate(0.5, 3, calls),
            rate(0.6, 4, time),
            Rule::ConsecutiveFailures(4),
        ],
        vec![
            Rule::ConsecutiveFailures(3),
            rate(0.9, 7, calls),
            rate(0.3, 2, time),
        ],
        vec![rate(0.2, 5, time), rate(0.7, 2, calls)],
        vec![rate(0.4, 6, calls), rate(1.0, 9, time)],
    ][which % 4]
        .clone()
}

/// Without a window of time a healthy breaker counts its successes in one atomic word alone.
fn quiet_rules(which: usize) -> Vec<Rule> {
    let timeless = |rule: &Rule| {
        !matches!(
            rule,
            Rule::FailureRate {
                window: Window::Time(_),
                ..
            }
        )
    };
    rules(which).into_iter().filter(timeless).collect()
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let outcome = prop_oneof![
        4 => Just(Outcome::Success),
        4 => Just(BAD),
        1 => Just(Outcome::Ignored),
        1 => Just(Outcome::Abandoned),
    ];
    let century = Duration::from_secs(100 * 365 * 24 * 3600);
    let advance = prop_oneof![
        Just(Duration::from_nanos(1)),
        (0_u64..3_000).prop_map(Duration::from_millis),
        Just(OPEN_FOR),
        Just(PROBE_DEADLINE),
        Just(century),
    ];
    let op = prop_oneof![
        20 => Just(Op::Admit),
        20 => (0_usize..6, outcome).prop_map(|(at, outcome)| Op::End(at, outcome)),
        2 => (0_usize..6).prop_map(Op::Drop),
        5 => advance.prop_map(Op::Advance),
        1 => (0_usize..4).prop_map(Op::Reconfigure),
        1 => prop_oneof![Just(Op::ForceOpen), Just(Op::ForceClosed)],
        1 => Just(Op::Release),
    ];
    proptest::collection::vec(op, 1..200)
}

struct Pair {
    time: ManualClock,
    breaker: Breaker,
    model: Model,
    calls: Vec<Call>,
    ended: u64,
    rules: fn(usize) -> Vec<Rule>,
}

impl Pair {
    fn new(rules: fn(usize) -> Vec<Rule>) -> Self {
        let time = ManualClock::new();
        let breaker = Breaker::new("test", config(&time).rules(rules(0))).unwrap();
        let now = time.now().as_nanos();
        let model = Model {
            rules: rules(0),
            state: State::Closed,
            generation: 0,
            now,
            entered: now,
            record: Vec::new(),
            leases: Vec::new(),
            next_lease: 0,
            good_probes: 0,
            rejected: 0,
            stale: 0,
        };
        Self {
            time,
            breaker,
            model,
            calls: Vec::new(),
            ended: 0,
            rules,
        }
    }

    fn step(&mut self, op: &Op) {
        let handle = self.breaker.handle();
        match *op {
            Op::Admit => self.admit(),
            Op::End(at, outcome) => self.end(at, Some(outcome)),
            Op::Drop(at) => self.end(at, None),
            Op::Advance(by) => {
                self.time.advance(by);
                self.model.now = self.time.now().as_nanos();
            }
            Op::Reconfigure(which) => {
                let config: Config = config(&self.time).rules((self.rules)(which));
                handle.reconfigure(config).unwrap();
                self.model.rules = (self.rules)(which);
                if self.model.state == State::Closed {
                    self.model.judge();
                }
            }
            Op::ForceOpen => self.force(State::ForcedOpen, handle.force_open()),
            Op::ForceClosed => self.force(State::ForcedClosed, handle.force_closed()),
            Op::Release => self.force(State::Closed, handle.release()),
        }
    }

    fn admit(&mut self) {
        let admitted = self.breaker.try_acquire().ok();
        let expected = self.model.admit();
        assert_eq!(
            admitted.as_ref().map(Permit::is_probe),
            expected.map(|lease| lease.is_some())
        );
        if let (Some(permit), Some(lease)) = (admitted, expected) {
            let generation = self.model.generation;
            self.calls.push(Call {
                permit,
                generation,
                lease,
            });
        }
    }

    fn end(&mut self, at: usize, outcome: Option<Outcome>) {
        if at >= self.calls.len() {
            return;
        }
        let call = self.calls.remove(at);
        self.ended += 1;
        match outcome {
            Some(outcome) => call.permit.record(outcome),
            None => drop(call.permit),
        }
        self.model.end(
            call.generation,
            call.lease,
            outcome.unwrap_or(Outcome::Abandoned),
        );
    }

    fn force(&mut self, state: State, changed: bool) {
        assert_eq!(changed, self.model.state != state);
        if changed {
            self.model.enter(state);
        }
    }

    fn check(&self) {
        let snapshot = self.breaker.handle().snapshot();
        let model = &self.model;
        assert_eq!(snapshot.state, model.state);
        assert_eq!(snapshot.generation, model.generation);
        assert_eq!(
            (snapshot.rejected, snapshot.stale),
            (model.rejected, model.stale)
        );
        assert_eq!(ended(&snapshot.calls), self.ended);
        assert_eq!(
            nanos(snapshot.since),
            model.now.saturating_sub(model.entered)
        );
        if model.state == State::Closed {
            assert_eq!(snapshot.consecutive_failures, model.row());
            for window in &snapshot.windows {
                let counts = (window.counts.total, window.counts.bad);
                assert_eq!(counts, model.count(window.window), "{window:?}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_breaker_does_what_the_model_does(ops in ops()) {
        let mut pair = Pair::new(rules);
        for op in &ops {
            pair.step(op);
            pair.check();
        }
    }

    #[test]
    fn it_does_so_too_where_nobody_looks_until_the_end(ops in ops()) {
        let mut pair = Pair::new(quiet_rules);
        for op in &ops {
            pair.step(op);
        }
        pair.check();
    }

    #[test]
    fn traffic_flows_again_after_the_open_time_and_a_probe_deadline(ops in ops()) {
        let mut pair = Pair::new(rules);
        for op in &ops {
            pair.step(op);
        }
        let handle = pair.breaker.handle();
        if handle.snapshot().state == State::ForcedOpen {
            handle.release();
        }
        let before = pair.time.now();
        pair.time.advance(OPEN_FOR);
        pair.time.advance(PROBE_DEADLINE);
        // At the end of time itself nothing passes any more.
        let passed = pair.time.now().saturating_since(before);
        prop_assume!(passed == OPEN_FOR + PROBE_DEADLINE);
        prop_assert!(pair.breaker.try_acquire().is_ok());
    }
}
