//! A breaker that keeps everything that ever happened, and recounts it for every question.

#![allow(unreachable_pub, reason = "a part of one test binary")]

use std::collections::BTreeMap;
use std::time::Duration;

use buttress_breaker::{Rule, State, Window};
use buttress_core::outcome::{FailureKind, Outcome};

use crate::kinds::{BUCKETS, Kind, Record, is_like, kind, memory, nanos, resized, width};
use crate::support::{OPEN_FOR, PROBE_DEADLINE};
use crate::usual::{Usual, lower_bound};

pub struct Model {
    pub rules: Vec<Rule>,
    pub state: State,
    pub generation: u64,
    pub now: u64,
    pub entered: u64,
    /// Of the present closed phase, for each rule: when each counted call counted, and whether it was bad.
    records: Vec<Record>,
    pub row: u32,
    /// Calls in flight.
    calls: Vec<Call>,
    leases: Vec<(u64, u64)>,
    next_id: u64,
    good_probes: u32,
    pub rejected: u64,
    pub stale: u64,
    usual: Usual,
    /// How often the thresholds have changed, and the start of the calls that had been counted then.
    plan: u32,
    counted_before: u64,
}

#[derive(Clone)]
pub struct Call {
    pub id: u64,
    generation: u64,
    pub is_probe: bool,
    start: u64,
    /// Under which thresholds it began, and whether there were any.
    plan: u32,
    watched: bool,
    /// The thresholds it has passed in flight and been counted for.
    overdue: Vec<u64>,
}

impl Model {
    pub fn new(rules: Vec<Rule>, now: u64) -> Self {
        Self {
            state: State::Closed,
            generation: 0,
            now,
            entered: now,
            records: vec![Record::new(); rules.len()],
            plan: 0,
            counted_before: 0,
            row: 0,
            calls: Vec::new(),
            leases: Vec::new(),
            next_id: 0,
            good_probes: 0,
            rejected: 0,
            stale: 0,
            usual: Usual::default(),
            rules,
        }
    }

    /// Other rules, of which each goes on with the first record of its kind that no other has taken.
    pub fn reconfigure(&mut self, rules: Vec<Rule>) {
        self.look();
        let before = self.thresholds();
        let mut old: Vec<_> = self.rules.drain(..).zip(self.records.drain(..)).collect();
        let mut moved = false;
        for rule in rules {
            let alike = old.iter().position(|(was, _)| is_like(was, &rule));
            let record = alike.map(|at| old.remove(at)).map(|(was, record)| {
                moved |= was.slower_than() != rule.slower_than();
                resized(record, &was, &rule, self.now)
            });
            self.records.push(record.unwrap_or_default());
            self.rules.push(rule);
        }
        // Calls in flight are forgotten, and count at their end unless they have been counted.
        if moved || self.thresholds() != before {
            self.plan += 1;
            if let Some(shortest) = before.first() {
                let late = self.now.saturating_sub(*shortest);
                let width = width(*shortest);
                self.counted_before = self.counted_before.max(late / width * width);
            }
        }
        if self.state == State::Closed {
            self.judge();
        }
    }

    pub fn enter(&mut self, state: State) {
        (self.state, self.entered) = (state, self.now);
        self.generation += 1;
        self.leases.clear();
        self.good_probes = 0;
        if state == State::Closed {
            self.records.iter_mut().for_each(Vec::clear);
            self.row = 0;
            let adaptive = self.rules.iter().find_map(memory);
            if let Some(memory) = adaptive {
                self.usual.learn(self.now, (0, 0), memory);
            }
        }
    }

    fn thresholds(&self) -> Vec<u64> {
        let asked = self.rules.iter().filter_map(Rule::slower_than);
        let mut thresholds: Vec<u64> = asked.map(nanos).collect();
        thresholds.sort_unstable();
        thresholds.dedup();
        thresholds
    }

    /// What time has brought up to now: calls in flight became slow, others have left the windows.
    pub fn look(&mut self) {
        let mut passed = Vec::new();
        for threshold in self.thresholds() {
            let width = width(threshold);
            for call in &mut self.calls {
                let end = (call.start / width).saturating_add(1).saturating_mul(width);
                let due = end.saturating_add(threshold);
                let known = call.overdue.contains(&threshold);
                let watched = call.watched && call.plan == self.plan;
                if due <= self.now && !known && watched {
                    call.overdue.push(threshold);
                    passed.push((threshold, due, call.generation));
                }
            }
        }
        passed.sort_by_key(|(_, due, _)| *due);
        for (threshold, due, generation) in passed {
            if self.state == State::Closed && generation == self.generation {
                for (rule, record) in self.rules.iter().zip(&mut self.records) {
                    if rule.slower_than() == Some(Duration::from_nanos(threshold)) {
                        record.push((due, true));
                    }
                }
                self.as_of(due, Self::judge);
            }
        }
        self.look_at_probes();
        self.learn();
    }

    /// A probe that is in flight for too long before its deadline opens the circuit then.
    fn look_at_probes(&mut self) {
        let Some(after) = self.thresholds().first().copied() else {
            return;
        };
        let slow_at = |(id, until): &(u64, u64)| {
            let probe = self.calls.iter().find(|call| call.id == *id)?;
            let at = probe.start.saturating_add(after + 1);
            (at < *until && at <= self.now).then_some(at)
        };
        let slow = self.leases.iter().filter_map(slow_at).min();
        if let (State::HalfOpen, Some(at)) = (self.state, slow) {
            self.as_of(at, |model| model.enter(State::Open));
        }
    }

    fn as_of(&mut self, then: u64, what: impl FnOnce(&mut Self)) {
        let now = std::mem::replace(&mut self.now, then);
        what(self);
        self.now = now;
    }

    /// The call if admitted.
    pub fn admit(&mut self) -> Option<Call> {
        self.look();
        if self.state == State::Open && self.now >= self.entered.saturating_add(nanos(OPEN_FOR)) {
            self.enter(State::HalfOpen);
        }
        self.leases.retain(|(_, until)| *until > self.now);
        let is_probe = match self.state {
            State::Closed | State::ForcedClosed => false,
            State::HalfOpen if self.leases.is_empty() => true,
            _ => {
                self.rejected += 1;
                return None;
            }
        };
        self.next_id += 1;
        if is_probe {
            let until = self.now.saturating_add(nanos(PROBE_DEADLINE));
            self.leases.push((self.next_id, until));
        }
        let call = Call {
            id: self.next_id,
            generation: self.generation,
            is_probe,
            start: self.now,
            plan: self.plan,
            watched: !is_probe && !self.thresholds().is_empty(),
            overdue: Vec::new(),
        };
        self.calls.push(call.clone());
        Some(call)
    }

    pub fn end(&mut self, id: u64, outcome: Outcome) {
        self.look();
        let at = self.calls.iter().position(|call| call.id == id).unwrap();
        let call = self.calls.remove(at);
        let age = self.now - call.start;
        let told = match outcome {
            Outcome::Success if self.thresholds().first().is_some_and(|t| age > *t) => {
                Outcome::Slow
            }
            outcome => outcome,
        };
        let live = self
            .leases
            .iter()
            .any(|(lease, until)| *lease == id && *until > self.now);
        // After its deadline a probe is believed only if it ended well.
        let believed = !call.is_probe || live || told == Outcome::Success;
        let current = call.generation == self.generation && believed;
        self.leases.retain(|(lease, _)| *lease != id);
        match (self.state, told) {
            _ if !current => self.stale += 1,
            (State::Closed, _) => self.count(&call, outcome, age),
            (State::HalfOpen, Outcome::Failure(_) | Outcome::Slow) => self.enter(State::Open),
            (State::HalfOpen, Outcome::Success) => {
                self.good_probes += 1;
                if self.good_probes == 2 {
                    self.enter(State::Closed);
                }
            }
            _ => {}
        }
    }

    fn count(&mut self, call: &Call, outcome: Outcome, age: u64) {
        let failed = outcome.is_failure();
        let told = failed || matches!(outcome, Outcome::Success | Outcome::Slow);
        if told {
            self.row = if failed { self.row + 1 } else { 0 };
        }
        let forgotten = call.plan != self.plan;
        let counted_before = call.watched && call.start < self.counted_before;
        let counted = |after| {
            let overdue = call.overdue.contains(&after);
            (forgotten && counted_before) || (!forgotten && overdue)
        };
        let mut news = told;
        for (rule, record) in self.rules.iter().zip(&mut self.records) {
            let bad = match kind(rule) {
                Some(Kind::Failures) => told.then_some(failed),
                Some(Kind::Timeouts) => {
                    told.then_some(outcome == Outcome::Failure(FailureKind::Deadline))
                }
                Some(kind @ (Kind::Slow(after) | Kind::FailuresOrSlow(after))) => {
                    let slow = age > after || outcome == Outcome::Slow;
                    let bad = slow || (failed && kind != Kind::Slow(after));
                    let counts = told || (outcome == Outcome::Abandoned && slow);
                    (counts && !counted(after)).then_some(bad)
                }
                None => None,
            };
            news |= bad.is_some();
            record.extend(bad.map(|bad| (self.now, bad)));
        }
        if news {
            self.judge();
        }
    }

    pub fn judge(&mut self) {
        if self.rules.iter().any(|rule| self.fires(rule)) {
            self.enter(State::Open);
        }
    }

    fn fires(&self, rule: &Rule) -> bool {
        let (total, bad) = self.count_of(rule);
        let share = bad as f64 / total.max(1) as f64;
        match *rule {
            Rule::ConsecutiveFailures(n) => self.row >= n,
            _ if bad == 0 => false,
            Rule::FailureRate {
                ratio, min_calls, ..
            }
            | Rule::SlowRate {
                ratio, min_calls, ..
            }
            | Rule::FailureOrSlowRate {
                ratio, min_calls, ..
            } => total >= u64::from(min_calls) && share >= ratio,
            Rule::Timeouts { n, .. } => bad >= u64::from(n),
            Rule::Adaptive { min_calls, .. } => {
                total >= u64::from(min_calls) && lower_bound(total, bad) > self.limit(rule)
            }
            _ => unreachable!(),
        }
    }

    /// All and bad calls in the window of `rule`.
    pub fn count_of(&self, rule: &Rule) -> (u64, u64) {
        let at = self.rules.iter().position(|it| std::ptr::eq(it, rule));
        let record = self.records[at.unwrap()].iter();
        let seen: Vec<bool> = match rule.window() {
            Some(Window::Calls(n)) => record.rev().take(n as usize).map(|(_, bad)| *bad).collect(),
            Some(Window::Time(span)) => {
                let bucket = |at: u64| at / (nanos(span) / BUCKETS);
                let fresh = |at: u64| bucket(at) + BUCKETS > bucket(self.now);
                let fresh = record.filter(|(at, _)| fresh(*at));
                fresh.map(|(_, bad)| *bad).collect()
            }
            _ => Vec::new(),
        };
        let bad = seen.iter().filter(|bad| **bad).count();
        (seen.len() as u64, bad as u64)
    }

    /// At which share the adaptive `rule` fires at present.
    pub fn limit(&self, rule: &Rule) -> f64 {
        let &Rule::Adaptive {
            factor,
            floor,
            ceiling,
            min_calls,
            ..
        } = rule
        else {
            unreachable!()
        };
        let enough = (9.0 / floor - 9.0).max(f64::from(min_calls));
        if self.usual.total < enough {
            return ceiling;
        }
        (factor * self.usual.bad / self.usual.total).clamp(floor, ceiling)
    }

    /// Moves what has left the window of an adaptive rule into what is usual.
    fn learn(&mut self) {
        let adaptive = |rule: &Rule| matches!(rule, Rule::Adaptive { .. });
        let Some(at) = self.rules.iter().position(adaptive) else {
            return;
        };
        let rule = self.rules[at].clone();
        let Rule::Adaptive {
            window, baseline, ..
        } = rule
        else {
            unreachable!()
        };
        let limit = self.limit(&rule);
        let width = nanos(window) / BUCKETS;
        let record = &mut self.records[at];
        let sums = |calls: &[(u64, bool)]| {
            let bad = calls.iter().filter(|(_, bad)| *bad).count();
            (calls.len() as u64, bad as u64)
        };
        let (total, bad) = sums(record);
        let learns = self.state == State::Closed && lower_bound(total, bad) <= limit;
        let mut left = BTreeMap::<u64, Vec<(u64, bool)>>::new();
        let stays = |at: u64| at / width + BUCKETS > self.now / width;
        for call in record.iter().filter(|(at, _)| !stays(*at)) {
            left.entry(call.0 / width).or_default().push(*call);
        }
        record.retain(|(at, _)| stays(*at));
        for (bucket, calls) in left {
            let ((total, bad), at) = (sums(&calls), bucket * width);
            let usual = learns && lower_bound(total, bad) <= limit;
            let learned = if usual { (total, bad) } else { (0, 0) };
            self.usual.learn(at, learned, baseline);
        }
    }
}
