//! A simulated network: origins, users who ask them through the router, and what happens to the links between.

use std::sync::Arc;
use std::time::Duration;

use buttress::core::circuit::{Backoff, Settings};
use buttress::core::classify::HttpStatus;
use buttress::core::clock::ManualClock;
use buttress::core::rng::Rng;
use buttress::core::spawn::Spawn;
use buttress::route::check::{Checks, HttpCheck};
use buttress::route::failover::{self, Failover, FailoverHandle, FailoverLayer};
use buttress::route::{ByCopies, Config, Endpoint, HealthRouter, PoolSnapshot, RouterHandle};
use bytes::Bytes;
use http_body_util::Full;
use tower::Layer;
use turmoil::Sim;

use crate::origin;
use crate::remote::Remote;
use crate::users::{Answer, Users};

pub const HOSTS: [&str; 3] = ["origin-0", "origin-1", "origin-2"];
const USERS: &str = "users";
/// One step of the simulated time, on every clock there is.
const TICK: Duration = Duration::from_millis(5);
/// What is sent takes at most so long to arrive.
const LATENCY: Duration = Duration::from_millis(3);
/// What is under way when the last request has been sent ends within this.
const LEFT: Duration = Duration::from_secs(10);

/// What happens to the network.
#[derive(Clone, Copy, Debug)]
pub enum Event {
    /// Nothing that is sent between users and this host arrives, and connections are refused.
    Partition(usize),
    Repair(usize),
    /// What is sent is held until it is released: all hangs.
    Hold(usize),
    Release(usize),
    Crash(usize),
    Bounce(usize),
    /// What is sent takes so many milliseconds, each way.
    Slow(usize, u64),
    /// And no longer than to others.
    Quick(usize),
}

/// What happens when, in milliseconds.
pub type Script = [(u64, Event)];

/// What a run has shown.
#[derive(Debug)]
pub struct Seen {
    /// In the order in which they came.
    pub answers: Vec<Answer>,
    pub pool: PoolSnapshot,
    /// Attempts after the first.
    pub resent: u64,
}

type Router = HealthRouter<Remote, HttpStatus, ByCopies>;
pub type Routed = Failover<Router>;

/// A run of the simulation.
#[derive(Clone, Copy, Debug)]
pub struct Run {
    seed: u64,
    seconds: u64,
    checked: bool,
    copied: bool,
    leave: bool,
}

impl Run {
    pub const fn new(seed: u64, seconds: u64) -> Self {
        Self {
            seed,
            seconds,
            checked: false,
            copied: false,
            leave: false,
        }
    }

    /// The origins are asked how they are, as well.
    pub const fn checked(mut self) -> Self {
        self.checked = true;
        self
    }

    /// Copies of requests are the probes.
    pub const fn copied(mut self) -> Self {
        self.copied = true;
        self
    }

    /// Users leave before an attempt has timed out.
    pub const fn with_users_who_leave(mut self) -> Self {
        self.leave = true;
        self
    }

    /// Plays the script while users ask.
    pub fn play(self, script: &Script) -> Seen {
        let time = ManualClock::new();
        let router = self.router(&time);
        let handle = router.handle();
        let layer = FailoverLayer::new(failover::Config::new("net").clock(time.clock())).unwrap();
        let answers = Arc::default();
        let users = Users {
            service: layer.layer(router),
            clock: time.clock(),
            leave: self.leave,
            answers: Arc::clone(&answers),
        };
        let checked = self.checked.then(|| handle.clone());
        let mut sim = self.network();
        sim.client(USERS, async move {
            if let Some(handle) = checked {
                begin_checks(&handle);
            }
            users.ask_for(Duration::from_secs(self.seconds)).await;
            Ok(())
        });
        step_through(&mut sim, script, &time);
        let answers = std::mem::take(&mut *answers.lock().unwrap());
        Seen {
            answers,
            pool: handle.snapshot(),
            resent: resent(&layer.handle()),
        }
    }

    fn router(self, time: &ManualClock) -> Router {
        let open_for = Backoff::exponential(Duration::from_secs(1), Duration::from_secs(4));
        let config = Config::new("net")
            .circuit(Settings::default().open_for(open_for))
            .clock(time.clock())
            .rng(Rng::seeded(self.seed));
        let endpoints = HOSTS.map(|host| Endpoint::new(host, Remote::to(host)));
        // Whoever asks is in the runtime of the users' host.
        let spawn = Spawn::new(|task| drop(tokio::spawn(task)));
        let spawn = spawn.cap(if self.copied { 16 } else { 0 });
        HealthRouter::new(config, endpoints).unwrap().hedged(spawn)
    }

    fn network(self) -> Sim<'static> {
        let mut sim = turmoil::Builder::new()
            .rng_seed(self.seed)
            .tick_duration(TICK)
            .simulation_duration(Duration::from_secs(self.seconds) + LEFT)
            .min_message_latency(Duration::from_millis(1))
            .max_message_latency(LATENCY)
            // What is held back comes all at once.
            .tcp_capacity(1 << 14)
            .build();
        for host in HOSTS {
            sim.host(host, move || origin::serve(host));
        }
        sim
    }
}

fn begin_checks(handle: &RouterHandle<Remote>) {
    let check = HttpCheck::<Full<Bytes>>::get("/healthz").unwrap();
    let checks = Checks::default().interval(Duration::from_secs(1));
    handle
        .check(check, checks, &Spawn::current().unwrap())
        .unwrap();
}

/// The simulated time and that of the router are the same to the tick.
fn step_through(sim: &mut Sim<'_>, script: &Script, time: &ManualClock) {
    let mut events = script.iter().peekable();
    let begun = time.now();
    loop {
        let now = time.now().saturating_since(begun);
        while let Some((_, event)) = events.next_if(|(at, _)| Duration::from_millis(*at) <= now) {
            happen(sim, *event);
        }
        if sim.step().unwrap() {
            return;
        }
        time.advance(TICK);
    }
}

fn happen(sim: &mut Sim<'_>, event: Event) {
    let host = |index: usize| HOSTS[index];
    match event {
        Event::Partition(it) => sim.partition(USERS, host(it)),
        Event::Repair(it) => sim.repair(USERS, host(it)),
        Event::Hold(it) => sim.hold(USERS, host(it)),
        Event::Release(it) => sim.release(USERS, host(it)),
        Event::Crash(it) => sim.crash(host(it)),
        Event::Bounce(it) => sim.bounce(host(it)),
        Event::Slow(it, ms) => {
            sim.set_link_max_message_latency(USERS, host(it), Duration::from_millis(ms));
        }
        Event::Quick(it) => sim.set_link_max_message_latency(USERS, host(it), LATENCY),
    }
}

fn resent(handle: &FailoverHandle) -> u64 {
    handle.snapshot().resent.iter().map(|of| of.1).sum()
}
