//! One run: hosts, routers and clients, event after event.

mod calls;

use buttress_core::clock::{Instant, ManualClock};
use buttress_core::rng::Rng;

use crate::agenda::Agenda;
use crate::distribution::until_next;
use crate::host::{Answer, Host, Reception};
use crate::measure::Measure;
use crate::router::{End, Policy, Router, View};
use crate::scenario::{Scenario, Step};

pub use calls::CallRef;
use calls::{Call, Calls};

/// What may happen.
#[derive(Clone, Copy, Debug)]
enum Event {
    /// A client comes.
    Arrival,
    /// A worker of this host has ended with this call.
    Worked(usize, CallRef),
    /// The answer is there.
    Answer(CallRef, Answer),
    /// The router waits no longer.
    Timeout(CallRef),
    /// The client waits no longer.
    Departure(CallRef),
    /// The scenario's next step.
    Step(usize),
}

/// Hosts, routers and clients under one clock and one seed.
struct World<'a> {
    scenario: &'a Scenario,
    start: Instant,
    time: ManualClock,
    rng: Rng,
    rate: f64,
    hosts: Vec<Host<CallRef>>,
    members: Vec<usize>,
    routers: Vec<Box<dyn Router>>,
    calls: Calls,
    agenda: Agenda<Event>,
    measure: Measure,
}

/// Runs `scenario` with so many routers of `policy`. The same seed gives the same run.
pub fn run(scenario: &Scenario, policy: Policy, routers: usize, seed: u64) -> Measure {
    let mut world = World::new(scenario, policy, routers, seed);
    let end = world.start.saturating_add(scenario.length);
    while let Some((at, event)) = world.agenda.take_next() {
        if at > end {
            break;
        }
        world.time.advance(at.saturating_since(world.time.now()));
        world.happen(event, at);
    }
    let ejections = world.routers.iter().map(|router| router.ejections()).sum();
    world.measure.finish(ejections)
}

impl<'a> World<'a> {
    fn new(scenario: &'a Scenario, policy: Policy, routers: usize, seed: u64) -> Self {
        let time = ManualClock::new();
        let rng = Rng::seeded(seed);
        let (start, clock) = (time.now(), time.clock());
        let router = |_| policy.build(&scenario.members, &clock, &Rng::seeded(rng.next_u64()));
        let routers = (0..routers).map(router).collect();
        let host = |&capacity: &f64| Host::new(scenario.workers, capacity);
        let mut agenda = Agenda::new();
        for (index, (at, _)) in scenario.steps.iter().enumerate() {
            agenda.enter(start.saturating_add(*at), Event::Step(index));
        }
        agenda.enter(start, Event::Arrival);
        Self {
            scenario,
            start,
            rate: scenario.rate,
            hosts: scenario.capacities.iter().map(host).collect(),
            members: scenario.members.clone(),
            routers,
            calls: Calls::default(),
            agenda,
            measure: Measure::new(scenario),
            time,
            rng,
        }
    }

    fn happen(&mut self, event: Event, now: Instant) {
        match event {
            Event::Arrival => {
                let next = now.saturating_add(until_next(self.rate, &self.rng));
                self.agenda.enter(next, Event::Arrival);
                self.send(now, now, 0);
            }
            Event::Worked(host, call) => self.worked(host, call, now),
            Event::Answer(call, answer) => self.end(call, End::Answered(answer), now),
            Event::Timeout(call) => self.end(call, End::TimedOut, now),
            Event::Departure(call) => self.end(call, End::Left, now),
            Event::Step(index) => self.step(index, now),
        }
    }

    /// A client that came at `came` asks for the `attempt`-th time.
    fn send(&mut self, came: Instant, now: Instant, attempt: u32) {
        let router = self.rng.below(self.routers.len());
        let call = self.calls.enter(Call {
            router,
            host: 0,
            came,
            sent: now,
            attempt,
        });
        let view = View {
            now,
            members: &self.members,
            hosts: &self.hosts,
        };
        let place = call.place();
        let sent = self
            .routers
            .get_mut(router)
            .and_then(|it| it.send(place, view));
        let Some(host) = sent else {
            self.calls.leave(call);
            self.measure.refused(now.saturating_since(self.start));
            self.give_up_or_retry(came, now, attempt);
            return;
        };
        self.calls.sent_to(call, host);
        self.measure.sent(host, now.saturating_since(self.start));
        self.receive(host, call, now);
        self.agenda.enter(
            now.saturating_add(self.scenario.timeout),
            Event::Timeout(call),
        );
        if self.rng.unit() < self.scenario.cancels {
            let patience = self.scenario.patience.mul_f64(self.rng.unit());
            self.agenda
                .enter(now.saturating_add(patience), Event::Departure(call));
        }
    }

    fn receive(&mut self, host: usize, call: CallRef, now: Instant) {
        let Some(receiver) = self.hosts.get_mut(host) else {
            return;
        };
        match receiver.receive(call, self.scenario.network, &self.rng) {
            Reception::Begin => self.work(host, call, now),
            Reception::Answer(after, answer) => {
                self.agenda
                    .enter(now.saturating_add(after), Event::Answer(call, answer));
            }
            Reception::Wait | Reception::Silence => {}
        }
    }

    fn work(&mut self, host: usize, call: CallRef, now: Instant) {
        let usual = self.scenario.service.draw(&self.rng);
        let took = self.hosts.get(host).map_or(usual, |it| it.stretch(usual));
        self.agenda
            .enter(now.saturating_add(took), Event::Worked(host, call));
    }

    fn worked(&mut self, host: usize, call: CallRef, now: Instant) {
        let Some(worker) = self.hosts.get_mut(host) else {
            return;
        };
        if let Some(answer) = worker.answer(&self.rng) {
            let there = now.saturating_add(self.scenario.network);
            self.agenda.enter(there, Event::Answer(call, answer));
        }
        // Whoever hung up while they waited is not worked for.
        let calls = &self.calls;
        if let Some(next) = worker.free(|waiting| calls.get(*waiting).is_none()) {
            self.work(host, next, now);
        }
    }

    fn end(&mut self, call: CallRef, end: End, now: Instant) {
        // A timeout after the answer, an answer after the timeout: the first one was the end.
        let Some(ended) = self.calls.leave(call) else {
            return;
        };
        let took = now.saturating_since(ended.sent);
        if let Some(router) = self.routers.get_mut(ended.router) {
            router.ended(call.place(), ended.host, end, took, now);
        }
        if end == End::Left {
            return;
        }
        if end.is_good() {
            let at = ended.came.saturating_since(self.start);
            self.measure
                .answered(at, now.saturating_since(ended.came), true);
        } else {
            self.give_up_or_retry(ended.came, now, ended.attempt);
        }
    }

    fn give_up_or_retry(&mut self, came: Instant, now: Instant, attempt: u32) {
        if attempt < self.scenario.retries {
            self.measure.retried();
            self.send(came, now, attempt + 1);
            return;
        }
        let at = came.saturating_since(self.start);
        self.measure.answered(at, now.saturating_since(came), false);
    }

    fn step(&mut self, index: usize, now: Instant) {
        let Some((_, step)) = self.scenario.steps.get(index) else {
            return;
        };
        match step {
            Step::Set(hosts, condition) => {
                for host in hosts {
                    if let Some(host) = self.hosts.get_mut(*host) {
                        host.condition = *condition;
                    }
                }
            }
            Step::Rate(rate) => self.rate = *rate,
            Step::Members(members) => {
                self.members.clone_from(members);
                for router in &mut self.routers {
                    router.members(&self.members, now);
                }
            }
        }
    }
}
