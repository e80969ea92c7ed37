//! The breaker beside a naive model of it, after any sequence of events.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

#[path = "model/given.rs"]
mod given;
#[path = "model/kinds.rs"]
mod kinds;
#[path = "model/naive.rs"]
mod naive;
mod support;
#[path = "model/usual.rs"]
mod usual;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use buttress_breaker::{Breaker, Config, Permit, Rule, State};
use buttress_core::clock::ManualClock;
use buttress_core::outcome::{FailureKind, Outcome};
use given::{Op, Rules, ops};
use kinds::nanos;
use naive::{Call, Model};
use proptest::prelude::*;
use support::{OPEN_FOR, PROBE_DEADLINE, config, ended};

struct Pair {
    time: ManualClock,
    breaker: Breaker,
    model: Model,
    calls: Vec<(Permit, Call)>,
    ended: u64,
    rules: Rules,
}

impl Pair {
    fn new(rules: Rules) -> Self {
        let time = ManualClock::new();
        let breaker = Breaker::new("test", config(&time).rules(rules(0))).unwrap();
        let now = time.now().as_nanos();
        Self {
            time,
            breaker,
            model: Model::new(rules(0), now),
            calls: Vec::new(),
            ended: 0,
            rules,
        }
    }

    fn step(&mut self, op: &Op) {
        let handle = self.breaker.handle();
        match *op {
            Op::Admit => self.admit(),
            Op::End(at, outcome) => self.end(at, outcome, |permit| permit.record(outcome)),
            Op::Drop(at) => self.end(at, Outcome::Abandoned, drop),
            Op::Panic(at) => self.end(at, Outcome::Failure(FailureKind::Panic), unwind),
            Op::Advance(by) => {
                self.time.advance(by);
                self.model.now = self.time.now().as_nanos();
            }
            Op::Reconfigure(which) => self.reconfigure(which),
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
            expected.as_ref().map(|call| call.is_probe)
        );
        self.calls.extend(admitted.zip(expected));
    }

    fn end(&mut self, at: usize, outcome: Outcome, how: impl FnOnce(Permit)) {
        if at < self.calls.len() {
            let (permit, call) = self.calls.remove(at);
            self.ended += 1;
            how(permit);
            self.model.end(call.id, outcome);
        }
    }

    fn reconfigure(&mut self, which: usize) {
        let config: Config = config(&self.time).rules((self.rules)(which));
        self.breaker.handle().reconfigure(config).unwrap();
        self.model.reconfigure((self.rules)(which));
    }

    fn force(&mut self, state: State, changed: bool) {
        self.model.look();
        assert_eq!(changed, self.model.state != state);
        if changed {
            self.model.enter(state);
        }
    }

    fn check(&mut self) {
        let snapshot = self.breaker.handle().snapshot();
        self.model.look();
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
            assert_eq!(snapshot.consecutive_failures, model.row);
            let rules = model.rules.iter().filter(|rule| rule.window().is_some());
            for (held, rule) in snapshot.windows.iter().zip(rules) {
                let counts = (held.counts.total, held.counts.bad);
                assert_eq!(counts, model.count_of(rule), "{rule:?}");
                if matches!(rule, Rule::Adaptive { .. }) {
                    let off = held.threshold.unwrap() - model.limit(rule);
                    assert!(off.abs() < 1e-9, "{held:?}: off by {off}");
                }
            }
        }
    }

    /// Does all of `ops` and looks whether the two are alike, after each or at the end.
    fn run(mut self, ops: &[Op], after_each: bool) -> Self {
        for op in ops {
            self.step(op);
            if after_each {
                self.check();
            }
        }
        self.check();
        self
    }
}

/// Drops `permit` while a panic unwinds.
fn unwind(permit: Permit) {
    let panicking = AssertUnwindSafe(|| {
        let _held = permit;
        // Without the hook that would print it.
        resume_unwind(Box::new(()));
    });
    assert!(catch_unwind(panicking).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 250, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_breaker_does_what_the_model_does(ops in ops()) {
        Pair::new(given::failures).run(&ops, true);
    }

    #[test]
    fn it_does_so_too_where_nobody_looks_until_the_end(ops in ops()) {
        Pair::new(given::timeless).run(&ops, false);
        Pair::new(given::failures).run(&ops, false);
    }

    #[test]
    fn calls_are_slow_when_the_model_says_so_in_flight_or_at_their_end(ops in ops()) {
        Pair::new(given::slow_calls).run(&ops, true);
        Pair::new(given::slow_calls).run(&ops, false);
    }

    #[test]
    fn calls_that_fail_and_are_slow_by_several_thresholds_count_as_in_the_model(ops in ops()) {
        Pair::new(given::mixed).run(&ops, true);
        Pair::new(given::mixed).run(&ops, false);
    }

    #[test]
    fn timeouts_count_as_in_the_model(ops in ops()) {
        Pair::new(given::timeouts).run(&ops, true);
        Pair::new(given::timeouts).run(&ops, false);
    }

    #[test]
    fn windows_that_change_their_size_or_go_and_come_hold_what_those_of_the_model_do(ops in ops()) {
        Pair::new(given::resized).run(&ops, true);
        Pair::new(given::resized).run(&ops, false);
    }

    #[test]
    fn calls_in_flight_under_changing_thresholds_count_as_in_the_model(ops in ops()) {
        Pair::new(given::other_thresholds).run(&ops, true);
        Pair::new(given::other_thresholds).run(&ops, false);
    }

    #[test]
    fn what_is_usual_is_learned_as_in_the_model(ops in ops()) {
        Pair::new(given::adaptive).run(&ops, true);
    }

    #[test]
    fn traffic_flows_again_after_the_open_time_and_a_probe_deadline(ops in ops()) {
        for rules in [given::failures, given::mixed] {
            let pair = Pair::new(rules).run(&ops, true);
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
            // One that hung since has opened it when it became slow, and not just now.
            prop_assert!(pair.breaker.try_acquire().is_ok());
        }
    }
}
