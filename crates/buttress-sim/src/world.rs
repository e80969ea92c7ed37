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
use calls::{Call, Calls, Client};

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
    /// When clients come, to which router, and how much work they bring: the same whatever becomes of them, so that
    /// policies are held against each other on the same requests.
    arrivals: Rng,
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
    let last = end.saturating_add(world.measure.afterwards(routers));
    while let Some((at, event)) = world.agenda.take_next() {
        if at > end {
            world.stop_measuring();
        }
        if at > last {
            break;
        }
        world.time.advance(at.saturating_since(world.time.now()));
        world.give_up();
        world.happen(event, at);
    }
    world.stop_measuring();
    world.measure
}

impl<'a> World<'a> {
    fn new(scenario: &'a Scenario, policy: Policy, routers: usize, seed: u64) -> Self {
        let time = ManualClock::new();
        let rng = Rng::seeded(seed);
        let arrivals = Rng::seeded(rng.next_u64());
        let (start, clock) = (time.now(), time.clock());
        let router = |_| policy.build(&scenario.members, &clock, &Rng::seeded(rng.next_u64()));
        let measure = Measure::new(scenario, routers);
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
            measure,
            time,
            rng,
            arrivals,
        }
    }

    /// What comes from now on is not measured.
    fn stop_measuring(&mut self) {
        let ejections = self.routers.iter().map(|router| router.ejections());
        self.measure.end(ejections.sum());
    }

    fn happen(&mut self, event: Event, now: Instant) {
        match event {
            Event::Arrival => {
                let next = now.saturating_add(until_next(self.rate, &self.arrivals));
                self.agenda.enter(next, Event::Arrival);
                let client = Client {
                    came: now,
                    asked: 0,
                    work: self.scenario.service.draw(&self.arrivals),
                };
                let router = self.arrivals.below(self.routers.len());
                self.send(client, router, now);
            }
            Event::Worked(host, call) => self.worked(host, call, now),
            Event::Answer(call, answer) => self.end(call, End::Answered(answer), now),
            Event::Timeout(call) => self.end(call, End::TimedOut, now),
            Event::Departure(call) => {
                if let Some(call) = self.calls.present(call) {
                    self.end(call, End::Left, now);
                }
            }
            Event::Step(index) => self.step(index, now),
        }
    }

    /// A client asks, for the first time or again.
    fn send(&mut self, client: Client, router: usize, now: Instant) {
        let call = self.calls.enter(Call {
            router,
            host: 0,
            sent: now,
            work: client.work,
            client: Some(client),
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
        if let Some(host) = sent {
            self.calls.sent_to(call, host);
            let at = now.saturating_since(self.start);
            self.measure.sent(router, host, at);
            self.reach(host, call, now);
            self.may_leave(call, now);
        } else {
            self.calls.leave(call);
            self.measure.refused(now.saturating_since(self.start));
            self.give_up_or_retry(client, now);
        }
        self.copy(router, now);
    }

    /// Some clients do not wait for the end.
    fn may_leave(&mut self, call: CallRef, now: Instant) {
        if self.rng.unit() < self.scenario.cancels {
            let patience = self.scenario.patience.mul_f64(self.rng.unit());
            self.agenda
                .enter(now.saturating_add(patience), Event::Departure(call));
        }
    }

    /// Makes the calls that a router has made for nobody.
    fn copy(&mut self, router: usize, now: Instant) {
        loop {
            let call = self.calls.enter(Call {
                router,
                host: 0,
                sent: now,
                work: self.scenario.service.draw(&self.rng),
                client: None,
            });
            let place = call.place();
            let copy = self.routers.get_mut(router).and_then(|it| it.copy(place));
            let Some(host) = copy else {
                self.calls.leave(call);
                return;
            };
            self.calls.sent_to(call, host);
            self.measure.copied(host, now.saturating_since(self.start));
            self.reach(host, call, now);
        }
    }

    /// Calls for nobody may be given up at any time.
    fn give_up(&mut self) {
        for router in &mut self.routers {
            while let Some(place) = router.given_up() {
                if let Some(call) = self.calls.at(place) {
                    self.calls.leave(call);
                }
            }
        }
    }

    fn reach(&mut self, host: usize, call: CallRef, now: Instant) {
        self.receive(host, call, now);
        let late = now.saturating_add(self.scenario.timeout);
        self.agenda.enter(late, Event::Timeout(call));
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
        let Some(&Call { work, .. }) = self.calls.get(call) else {
            return;
        };
        let took = self.hosts.get(host).map_or(work, |it| it.stretch(work));
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
        let Some(&ended) = self.calls.get(call) else {
            return;
        };
        let took = now.saturating_since(ended.sent);
        let router = self.routers.get_mut(ended.router);
        let next = router.and_then(|it| it.ended(call.place(), ended.host, end, took, now));
        if let Some(host) = next {
            let next = self.calls.again(call, host, now);
            self.measure.retried();
            let at = now.saturating_since(self.start);
            self.measure.sent(ended.router, host, at);
            self.reach(host, next, now);
            return;
        }
        self.calls.leave(call);
        let Some(client) = ended.client.filter(|_| end != End::Left) else {
            return;
        };
        if end.is_good() {
            self.answered(client, now, true);
        } else {
            self.give_up_or_retry(client, now);
        }
    }

    fn give_up_or_retry(&mut self, mut client: Client, now: Instant) {
        if client.asked >= self.scenario.retries {
            self.answered(client, now, false);
            return;
        }
        client.asked += 1;
        self.measure.retried();
        let router = self.rng.below(self.routers.len());
        self.send(client, router, now);
    }

    fn answered(&mut self, client: Client, now: Instant, good: bool) {
        let at = client.came.saturating_since(self.start);
        let wait = now.saturating_since(client.came);
        self.measure.answered(at, wait, good);
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
