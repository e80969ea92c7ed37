//! A function of the user's probes in the place of user calls.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod support;

#[path = "probe_fn/executors.rs"]
mod executors;

use std::collections::VecDeque;
use std::future::{pending, ready};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use buttress_breaker::{Breaker, Config, ProbeFn, State};
use buttress_core::clock::ManualClock;
use buttress_core::events::Received;
use buttress_core::outcome::Outcome;
use buttress_core::spawn::{Spawn, Task};
use support::{BAD, OPEN_FOR, PROBE_DEADLINE, calls, config};
use tokio_test::task;

const EVERY: Duration = Duration::from_secs(1);
const NANO: Duration = Duration::from_nanos(1);

/// What the function does when it is run next; it succeeds when nothing is said.
#[derive(Clone, Copy, Debug)]
enum Script {
    End(Outcome),
    Hang,
    Panic,
    PanicInFuture,
}

/// An executor that runs its tasks when it is told to, and a breaker that probes on it.
struct World {
    time: ManualClock,
    tasks: Arc<Mutex<Vec<Task>>>,
    polled: Vec<task::Spawn<Task>>,
    script: Arc<Mutex<VecDeque<Script>>>,
    runs: Arc<AtomicUsize>,
    spawn: Spawn,
    breaker: Option<Breaker>,
}

impl World {
    fn new() -> Self {
        Self::with(|config| config)
    }

    fn with(change: impl FnOnce(Config) -> Config) -> Self {
        let (time, tasks) = (ManualClock::new(), Arc::<Mutex<Vec<Task>>>::default());
        let (script, runs) = (Arc::<Mutex<VecDeque<_>>>::default(), Arc::default());
        let queue = Arc::clone(&tasks);
        let spawn = Spawn::new(move |task| queue.lock().unwrap().push(task));
        let probe = probe(Arc::clone(&script), Arc::clone(&runs));
        let config = change(config(&time).probe(probe, spawn.clone()));
        let breaker = Some(Breaker::new("probed", config).unwrap());
        Self {
            time,
            tasks,
            polled: Vec::new(),
            script,
            runs,
            spawn,
            breaker,
        }
    }

    fn breaker(&self) -> &Breaker {
        self.breaker.as_ref().unwrap()
    }

    fn script(&self, script: impl IntoIterator<Item = Script>) {
        self.script.lock().unwrap().extend(script);
    }

    /// Runs the tasks as far as they go, and says how often the function has been run.
    fn run(&mut self) -> usize {
        let fresh = std::mem::take(&mut *self.tasks.lock().unwrap());
        for task in fresh {
            let mut task = task::spawn(task);
            if task.poll().is_pending() {
                self.polled.push(task);
            }
        }
        self.polled.retain_mut(|task| {
            while task.is_woken() {
                if task.poll().is_ready() {
                    return false;
                }
            }
            true
        });
        self.runs.load(Ordering::Relaxed)
    }

    fn advance(&mut self, time: Duration) -> usize {
        self.time.advance(time);
        self.run()
    }

    /// Opens the circuit, and lets its time pass.
    fn fall(&mut self) -> usize {
        for _ in 0..2 {
            self.breaker().try_acquire().unwrap().record(BAD);
        }
        assert_eq!(self.state(), State::Open);
        assert_eq!(self.run(), self.runs.load(Ordering::Relaxed));
        self.advance(OPEN_FOR)
    }

    fn state(&self) -> State {
        self.breaker().state()
    }
}

fn probe(script: Arc<Mutex<VecDeque<Script>>>, runs: Arc<AtomicUsize>) -> ProbeFn {
    let run = move || -> Pin<Box<dyn Future<Output = Outcome> + Send>> {
        runs.fetch_add(1, Ordering::Relaxed);
        let next = script.lock().unwrap().pop_front();
        match next.unwrap_or(Script::End(Outcome::Success)) {
            Script::End(outcome) => Box::pin(ready(outcome)),
            Script::Hang => Box::pin(pending()),
            Script::Panic => panic!("in the function"),
            Script::PanicInFuture => Box::pin(async { panic!("in the future") }),
        }
    };
    ProbeFn::new(run).every(EVERY)
}

#[test]
fn a_function_that_hangs_opens_the_circuit_when_it_is_slow_though_nobody_calls() {
    let mut world = World::with(|config| config.slow_after(EVERY));
    let mut events = world.breaker().handle().subscribe();
    world.script([Script::Hang]);
    assert_eq!(world.fall(), 1);
    let mut states = || {
        let told = std::iter::from_fn(|| events.try_recv());
        let told = told.map(|received| match received {
            Received::Event(event) => event.transition.unwrap().to,
            Received::Lagged(lost) => panic!("lost {lost}"),
        });
        told.collect::<Vec<_>>()
    };
    assert_eq!(states(), [State::Open, State::HalfOpen]);
    world.advance(EVERY);
    assert_eq!(states(), []);
    world.advance(NANO);
    assert_eq!(states(), [State::Open]);
    assert_eq!(world.advance(OPEN_FOR), 2, "the next one");
}

#[test]
fn when_the_open_time_is_over_the_function_probes_until_the_circuit_closes() {
    let mut world = World::new();
    assert_eq!(world.fall(), 1);
    assert_eq!(world.state(), State::HalfOpen);
    assert_eq!(world.advance(EVERY.saturating_sub(NANO)), 1);
    assert_eq!(world.advance(NANO), 2);
    assert_eq!(world.state(), State::Closed);
    world
        .breaker()
        .try_acquire()
        .unwrap()
        .record(Outcome::Success);
    assert_eq!(
        world.spawn.live(),
        0,
        "no task where there is nothing to probe"
    );
    assert_eq!(
        calls(world.breaker()).success,
        3,
        "probes are counted as calls"
    );
}

#[test]
fn it_does_not_probe_before_the_open_time_is_over() {
    let mut world = World::new();
    (0..2).for_each(|_| world.breaker().try_acquire().unwrap().record(BAD));
    assert_eq!(world.run(), 0);
    assert_eq!(world.advance(OPEN_FOR.saturating_sub(NANO)), 0);
    assert_eq!(world.advance(NANO), 1);
}

#[test]
fn user_calls_are_rejected_while_it_probes() {
    let mut world = World::new();
    world.script([Script::Hang]);
    (0..2).for_each(|_| world.breaker().try_acquire().unwrap().record(BAD));
    // The open time is over, and the task has yet to see that.
    world.time.advance(OPEN_FOR);
    for _ in 0..2 {
        let rejected = world.breaker().try_acquire().unwrap_err();
        assert_eq!(rejected.reason, "probing");
        assert_eq!(rejected.retry_after, Some(PROBE_DEADLINE));
        assert_eq!(world.run(), 1);
    }
}

#[test]
fn a_failure_or_a_panic_opens_the_circuit_again() {
    for script in [Script::End(BAD), Script::Panic, Script::PanicInFuture] {
        let mut world = World::new();
        world.script([script]);
        assert_eq!(world.fall(), 1);
        assert_eq!(world.state(), State::Open, "{script:?}");
        assert_eq!(calls(world.breaker()).failure, 3, "{script:?}");
        assert_eq!(
            world.advance(OPEN_FOR),
            2,
            "it goes on after the next open time"
        );
        assert_eq!(world.state(), State::HalfOpen);
    }
}

#[test]
fn a_hang_is_a_failure_by_deadline_that_is_still_believed() {
    let mut world = World::new();
    world.script([Script::Hang]);
    assert_eq!(world.fall(), 1);
    world.advance((PROBE_DEADLINE / 16 * 15).saturating_sub(NANO));
    assert_eq!(world.state(), State::HalfOpen);
    world.advance(NANO);
    assert_eq!(world.state(), State::Open);
    assert_eq!(calls(world.breaker()).failure, 3);
}

#[test]
fn what_decides_nothing_is_asked_again_after_a_pause() {
    let mut world = World::new();
    let nothing = [Outcome::Ignored, Outcome::Abandoned].map(Script::End);
    world.script(nothing);
    assert_eq!(world.fall(), 1);
    assert_eq!(world.run(), 1);
    assert_eq!(world.advance(EVERY), 2);
    assert_eq!((world.advance(EVERY), world.state()), (3, State::HalfOpen));
    assert_eq!((world.advance(EVERY), world.state()), (4, State::Closed));
}

#[test]
fn it_ends_with_the_last_clone_of_the_breaker_wherever_it_is() {
    for hang in [false, true] {
        let mut world = World::new();
        world.script([Script::Hang]);
        if hang {
            assert_eq!(world.fall(), 1);
        } else {
            (0..2).for_each(|_| world.breaker().try_acquire().unwrap().record(BAD));
            assert_eq!(world.run(), 0);
        }
        assert_eq!(world.spawn.live(), 1);
        world.breaker = None;
        world.run();
        assert_eq!(world.spawn.live(), 0, "hanging: {hang}");
    }
}

#[test]
fn a_state_set_by_hand_stops_it() {
    let mut world = World::new();
    world.script([Script::Hang]);
    assert_eq!(world.fall(), 1);
    world.breaker().handle().force_open();
    world.run();
    assert_eq!(world.spawn.live(), 0);
    world.breaker().handle().release();
    world
        .breaker()
        .try_acquire()
        .unwrap()
        .record(Outcome::Success);
    assert_eq!(
        world.fall(),
        2,
        "and it begins again when the circuit opens"
    );
}

#[test]
fn who_is_rejected_is_told_what_is_left_of_the_probes_time() {
    let mut world = World::new();
    world.script([Script::Hang]);
    world.fall();
    world.advance(EVERY);
    let rejected = world.breaker().try_acquire().unwrap_err();
    assert_eq!(rejected.reason, "probing");
    let left = PROBE_DEADLINE.saturating_sub(EVERY);
    assert_eq!(rejected.retry_after, Some(left));
}

#[test]
fn reconfiguring_keeps_it_and_changes_its_deadline() {
    let mut world = World::new();
    world.script([Script::Hang]);
    (0..2).for_each(|_| world.breaker().try_acquire().unwrap().record(BAD));
    let mut other = config(&world.time);
    other.circuit.probe_deadline = Duration::from_secs(16);
    world.breaker().handle().reconfigure(other).unwrap();
    assert_eq!(world.run(), 0);
    assert_eq!(world.advance(OPEN_FOR), 1);
    world.advance(Duration::from_secs(15));
    assert_eq!(world.state(), State::Open);
}

#[test]
fn a_breaker_that_is_made_open_probes_too() {
    let mut world = World::with(|config| config.start(State::Open));
    assert_eq!(world.run(), 0);
    assert_eq!(world.advance(OPEN_FOR), 1);
    assert_eq!(world.state(), State::HalfOpen);
}

#[test]
fn a_probe_without_a_pause_or_with_an_endless_one_is_refused_by_name() {
    for every in [Duration::ZERO, Duration::MAX] {
        let probe = ProbeFn::new(|| ready(Outcome::Success)).every(every);
        let config = Config::default().probe(probe, Spawn::new(drop));
        assert_eq!(config.validate().unwrap_err().field(), "probe.every");
    }
}

#[tokio::test]
async fn on_a_runtime_it_closes_the_circuit_without_any_call() {
    let time = ManualClock::new();
    let probe = ProbeFn::new(|| ready(Outcome::Success));
    let config = config(&time).probe(probe, Spawn::current().unwrap());
    let breaker = Breaker::new("probed", config).unwrap();
    support::trip(&breaker);
    for _ in 0..1_000 {
        time.advance(Duration::from_millis(100));
        tokio::task::yield_now().await;
        if breaker.state() == State::Closed {
            return;
        }
    }
    panic!("{:?}", breaker.state());
}
