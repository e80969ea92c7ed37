//! Whoever is out is probed by copies, and no user pays for it.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_types
)]

mod common;

#[path = "hedged/shunned.rs"]
mod shunned;
#[path = "hedged/without_copies.rs"]
mod without_copies;

use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use buttress_core::clock::{Instant, ManualClock};
use buttress_core::rng::Rng;
use buttress_core::spawn::{Spawn, Task};
use buttress_route::{ByCopies, Config, EndpointState, HealthRouter, RouterHandle};
use common::{Backend, Mode, endpoint, fails_after, ok_after};
use http::{Method, Request};
use tokio_test::task::{self, Spawn as Polled};
use tower_service::Service;

type Router = HealthRouter<Backend, buttress_core::classify::HttpStatus, ByCopies>;
type Call = Polled<<Router as Service<Request<()>>>::Future>;

/// How long users wait.
const PATIENCE: Duration = Duration::from_secs(2);

struct World {
    time: ManualClock,
    backends: Vec<Backend>,
    router: Router,
    /// Of the same pool, without copies.
    plain: HealthRouter<Backend>,
    by_plain: bool,
    handle: RouterHandle<Backend>,
    tasks: Arc<Mutex<Vec<Task>>>,
    spawned: Arc<Mutex<u64>>,
    /// With when they began.
    calls: Vec<(Instant, Call)>,
    method: Method,
    extension: Extension,
    failed: u64,
}

/// What a user puts into a request.
#[derive(Debug, Default)]
struct Extension {
    copies: Arc<Mutex<u64>>,
    panics: bool,
}

impl Clone for Extension {
    fn clone(&self) -> Self {
        *self.copies.lock().unwrap() += 1;
        assert!(!self.panics, "the extension panics in clone");
        Self {
            copies: Arc::clone(&self.copies),
            panics: self.panics,
        }
    }
}

impl World {
    fn new(cap: usize) -> Self {
        Self::on(cap, |_| true)
    }

    /// Where the executor runs the tasks, counted from 1, that `runs` says, and drops the others.
    fn on(cap: usize, runs: impl Fn(u64) -> bool + Send + Sync + 'static) -> Self {
        let time = ManualClock::new();
        let backends: Vec<_> = (0..3).map(|_| Backend::new(&time, ok_after(5))).collect();
        let config = Config::default()
            .hedged()
            .clock(time.clock())
            .rng(Rng::seeded(3));
        let endpoints = backends.iter().enumerate().map(endpoint);
        let tasks: Arc<Mutex<Vec<Task>>> = Arc::default();
        let (queue, spawned) = (Arc::clone(&tasks), Arc::<Mutex<u64>>::default());
        let count = Arc::clone(&spawned);
        let spawn = Spawn::new(move |task| {
            let number = {
                let mut count = count.lock().unwrap();
                *count += 1;
                *count
            };
            if runs(number) {
                queue.lock().unwrap().push(task);
            }
        });
        let spawn = spawn.cap(cap);
        let plain = HealthRouter::new(config, endpoints).unwrap();
        let router = plain.clone().hedged(spawn);
        Self {
            time,
            backends,
            handle: router.handle(),
            router,
            plain,
            by_plain: false,
            tasks,
            spawned,
            calls: Vec::new(),
            method: Method::GET,
            extension: Extension::default(),
            failed: 0,
        }
    }

    /// A request each millisecond; how many failed.
    fn load(&mut self, seconds: f64) -> u64 {
        let before = self.failed;
        for _ in 0..Duration::from_secs_f64(seconds).as_millis() {
            let mut request = Request::new(());
            request.method_mut().clone_from(&self.method);
            let Extension { copies, panics } = &self.extension;
            let (copies, panics) = (Arc::clone(copies), *panics);
            request
                .extensions_mut()
                .insert(Extension { copies, panics });
            let call = if self.by_plain {
                self.plain.call(request)
            } else {
                self.router.call(request)
            };
            let call = task::spawn(call);
            self.calls.push((self.time.now(), call));
            self.poll();
            self.time.advance(Duration::from_millis(1));
            self.poll();
        }
        self.failed - before
    }

    /// So many requests, each after the one before was answered.
    fn one_by_one(&mut self, count: usize) {
        for _ in 0..count {
            self.load(0.001);
            while !self.calls.is_empty() {
                self.time.advance(Duration::from_millis(1));
                self.poll();
            }
        }
    }

    fn poll(&mut self) {
        let (failed, now) = (&mut self.failed, self.time.now());
        self.calls.retain_mut(|(began, call)| match call.poll() {
            // Users give up.
            Poll::Pending => now.saturating_since(*began) < PATIENCE,
            Poll::Ready(answer) => {
                *failed += u64::from(!answer.is_ok_and(|it| it.status().is_success()));
                false
            }
        });
        self.poll_tasks();
    }

    fn poll_tasks(&self) {
        let mut cx = Context::from_waker(Waker::noop());
        let mut tasks = self.tasks.lock().unwrap();
        tasks.retain_mut(|task| task.as_mut().poll(&mut cx).is_pending());
    }

    /// How many copies there were.
    fn spawned(&self) -> u64 {
        *self.spawned.lock().unwrap()
    }

    fn picks(&self) -> u64 {
        self.handle.snapshot().endpoints[0].picks
    }

    fn state(&self) -> EndpointState {
        self.handle.snapshot().endpoints[0].state
    }
}

#[test]
fn who_is_out_is_probed_by_copies_and_no_user_hears_of_it() {
    for bad in [fails_after(1), Mode::Refuse, Mode::Hang] {
        let mut world = World::new(16);
        world.load(1.0);
        world.backends[0].set(fails_after(1));
        world.load(1.0);
        assert_ne!(world.state(), EndpointState::Active);
        world.backends[0].set(bad);
        let asked = world.backends[0].calls();
        assert_eq!(world.load(20.0), 0, "{bad:?}");
        assert!(world.backends[0].calls() > asked, "{bad:?}: nobody asked");
        assert_ne!(world.state(), EndpointState::Active);
    }
}

#[test]
fn one_failure_of_an_endpoint_that_no_look_finds_well_is_forgotten_in_the_end() {
    let mut world = World::new(16);
    // Longer than a look may take to have gone well.
    world.backends[0].set(ok_after(15));
    world.load(10.0);
    let share = |world: &mut World| {
        let before = world.picks();
        world.load(10.0);
        (world.picks() - before) as f64 / 10_000.0
    };
    let usual = share(&mut world);
    world.backends[0].set(fails_after(1));
    while world.load(0.001) == 0 {}
    world.backends[0].set(ok_after(15));
    assert!(world.handle.snapshot().endpoints[0].doubted);
    let doubted = share(&mut world);
    world.load(2.0);
    let later = share(&mut world);
    assert!(!world.handle.snapshot().endpoints[0].doubted);
    assert!(doubted < usual / 2.0, "{doubted} of {usual}");
    assert!(later > usual / 2.0, "{later} of {usual}");
}

#[test]
fn users_hear_of_two_or_three_failures_and_copies_of_the_rest() {
    let mut world = World::new(16);
    world.load(5.0);
    world.backends[0].set(fails_after(1));
    let failed = world.load(1.0);
    assert!(failed <= 3, "{failed}");
    assert_ne!(
        world.state(),
        EndpointState::Active,
        "the rules were told by copies"
    );
}

#[test]
fn who_is_well_again_is_back_within_five_seconds() {
    let mut world = World::new(16);
    world.load(1.0);
    world.backends[0].set(fails_after(1));
    world.load(20.0);
    world.backends[0].set(ok_after(5));
    assert_eq!(world.load(5.0), 0);
    assert_eq!(world.state(), EndpointState::Active);
    let before = world.picks();
    world.load(3.0);
    let share = (world.picks() - before) as f64 / 3_000.0;
    assert!(share > 0.9 / 3.0, "{share}");
}

#[test]
fn copies_end_with_the_last_router() {
    let mut world = World::new(16);
    world.load(1.0);
    world.backends[0].set(fails_after(1));
    world.load(1.0);
    world.backends[0].set(Mode::Hang);
    world.load(5.0);
    assert_eq!(world.tasks.lock().unwrap().len(), 1, "one copy at a time");
    let other = world.router.clone();
    let empty = HealthRouter::new(Config::default(), []).unwrap();
    world.router = empty.hedged(Spawn::new(drop));
    world.poll_tasks();
    assert_eq!(world.tasks.lock().unwrap().len(), 1);
    drop(other);
    world.poll_tasks();
    assert!(world.tasks.lock().unwrap().is_empty());
}

#[test]
fn a_copy_that_panics_anywhere_harms_no_request() {
    for bad in [Mode::PanicInCall, Mode::PanicInPoll, Mode::PanicInClone] {
        let mut world = World::new(16);
        world.load(1.0);
        world.backends[0].set(fails_after(1));
        world.load(0.5);
        assert_ne!(world.state(), EndpointState::Active);
        world.backends[0].set(bad);
        assert_eq!(world.load(10.0), 0, "{bad:?}");
        world.backends[0].set(ok_after(5));
        assert_eq!(world.load(5.0), 0, "{bad:?}");
        assert_eq!(world.state(), EndpointState::Active, "{bad:?}");
    }
}

#[test]
fn a_request_is_cloned_for_a_copy_and_for_nothing_else() {
    let mut world = World::new(16);
    world.load(1.0);
    world.backends[0].set(fails_after(1));
    world.load(20.0);
    let cloned = *world.extension.copies.lock().unwrap();
    assert!(world.spawned() > 0);
    assert!(
        cloned <= world.spawned() + 1,
        "{cloned} for {}",
        world.spawned()
    );
}

#[test]
fn where_all_are_slow_or_silent_copies_add_next_to_nothing() {
    for bad in [ok_after(900), Mode::Hang] {
        let mut world = World::new(16);
        world.load(1.0);
        world.backends.iter().for_each(|it| it.set(bad));
        world.load(0.5);
        let spawned = world.spawned();
        world.load(2.0);
        let copies = world.spawned() - spawned;
        assert!(copies <= 9, "{bad:?}: {copies} to 2,000 requests");
    }
}

#[test]
fn of_many_routers_on_many_threads_one_sends_a_copy_at_a_time() {
    let mut world = World::new(16);
    world.load(1.0);
    world.backends[0].set(fails_after(1));
    world.load(0.5);
    world.backends[0].set(Mode::Hang);
    assert_ne!(world.state(), EndpointState::Active);
    for _ in 0..20 {
        world.time.advance(Duration::from_millis(500));
        std::thread::scope(|scope| {
            for _ in 0..8 {
                let mut router = world.router.clone();
                scope.spawn(move || (0..50).for_each(|_| drop(router.call(Request::new(())))));
            }
        });
        // Users' requests go elsewhere.
        assert!(world.handle.snapshot().endpoints[0].in_flight <= 1);
        world.poll_tasks();
    }
    assert!(world.spawned() > 0);
}

#[test]
fn an_endpoint_that_leaves_while_a_copy_is_there_comes_back_all_the_same() {
    let mut world = World::new(16);
    world.load(1.0);
    world.backends[0].set(fails_after(1));
    world.load(0.5);
    world.backends[0].set(Mode::Hang);
    world.load(2.0);
    assert_eq!(world.tasks.lock().unwrap().len(), 1);
    let all: Vec<_> = world.backends.iter().enumerate().map(endpoint).collect();
    world
        .handle
        .update(all.clone().into_iter().skip(1))
        .unwrap();
    world.load(1.0);
    world.handle.update(all).unwrap();
    assert_ne!(world.state(), EndpointState::Active);
    world.backends[0].set(ok_after(5));
    // Of a copy that hangs nobody waits for the lease of a request to run out.
    assert_eq!(world.load(8.0), 0);
    assert_eq!(world.state(), EndpointState::Active);
}
