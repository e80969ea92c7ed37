//! Probes by a function of the user's, in the place of user traffic.

use std::fmt;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use buttress_core::circuit::{Admission, State, Ticket};
use buttress_core::clock::Instant;
use buttress_core::config::ConfigError;
use buttress_core::outcome::{FailureKind, Outcome};
use buttress_core::spawn::Spawn;
use tokio::sync::watch;

use crate::breaker::Breaker;
use crate::gate::{nanos, remaining};
use crate::shared::Shared;

type Probing = Pin<Box<dyn Future<Output = Outcome> + Send>>;

/// Finds out whether what is guarded works again. Given to [`Config::probe`](crate::Config::probe).
///
/// When the circuit has been open for its time, the function is run as a probe under lease, one at a
/// time, until the circuit closes, ramps or opens again. User calls are rejected meanwhile
/// (`probing`): nobody's request is the guinea pig. It stands for the user traffic in all other
/// respects: by its outcomes the circuit closes or opens, and its calls are counted.
///
/// - It may take fifteen sixteenths of the probe deadline; after that it is a failure by deadline. Where
///   a slow threshold is set ([`Config::slow_after`](crate::Config::slow_after), or one of the rules') it is
///   slow as soon as that is over.
/// - A panic of it is a failure. `Ignored` and `Abandoned` decide nothing, and it is run again.
/// - It ends with the last clone of the breaker, and is stopped when the state changes by hand.
/// - Where it cannot run, because its [`Spawn`] is full or its executor is gone, user calls probe as
///   if there were none: the circuit never waits for a task that is not there. Nor does it wait for
///   one that is there and does not run: when nothing has come of it for a probe deadline after it was
///   due, user calls probe until it is back.
///
/// ```
/// use buttress_breaker::{Breaker, Config, ProbeFn};
/// use buttress_core::outcome::{FailureKind, Outcome};
/// use buttress_core::spawn::Spawn;
///
/// # async fn ping() -> Result<(), std::io::Error> { Ok(()) }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let probe = ProbeFn::new(|| async {
///     match ping().await {
///         Ok(()) => Outcome::Success,
///         Err(_) => Outcome::Failure(FailureKind::Transport),
///     }
/// });
/// let breaker = Breaker::new("database", Config::default().probe(probe, Spawn::current()?))?;
/// # drop(breaker);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct ProbeFn {
    run: Arc<dyn Fn() -> Probing + Send + Sync>,
    every: Duration,
}

impl ProbeFn {
    /// Probes by `run`, once a second while the circuit is half-open.
    pub fn new<F, Fut>(run: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Outcome> + Send + 'static,
    {
        Self {
            run: Arc::new(move || Box::pin(run())),
            every: Duration::from_secs(1),
        }
    }

    /// With this pause after a probe that has not decided. Default 1 s; 1 ms to a day.
    #[must_use]
    pub const fn every(mut self, every: Duration) -> Self {
        self.every = every;
        self
    }

    /// Refuses what makes no sense.
    pub(crate) fn validate(&self) -> Result<(), ConfigError> {
        if !(SHORTEST..=LONGEST).contains(&self.every) {
            let problem = format!(
                "{:?} is no pause between probes; use {SHORTEST:?} to {LONGEST:?}",
                self.every
            );
            return Err(ConfigError::new("probe.every", problem));
        }
        Ok(())
    }
}

/// The probing of one breaker: a task while it is open or half-open, and none otherwise.
pub(crate) struct Prober {
    probe: ProbeFn,
    spawn: Spawn,
    deadline: AtomicU64,
    running: Arc<AtomicBool>,
    /// When the task has to have done something, in nanoseconds; it may be late by a probe deadline.
    due: AtomicU64,
    /// It was later than that, and has not been seen since.
    stalled: AtomicBool,
    /// Told of every change of state; its end is the breaker's.
    changes: watch::Sender<()>,
    of: Weak<Shared>,
}

impl Prober {
    pub(crate) fn new(
        (probe, spawn): (ProbeFn, Spawn),
        deadline: Duration,
        of: Weak<Shared>,
    ) -> Self {
        Self {
            probe,
            spawn,
            deadline: AtomicU64::new(nanos(deadline)),
            running: Arc::default(),
            due: AtomicU64::new(0),
            stalled: AtomicBool::new(false),
            changes: watch::Sender::new(()),
            of,
        }
    }

    /// For how long user calls of a circuit that may probe leave that to the task; `None` if there is no
    /// task, or none that runs: it was due, at `open_until` at the earliest, and has not been seen for a
    /// probe deadline. Under the machine's lock.
    pub(crate) fn leaves(&self, open_until: Option<Instant>, now: Instant) -> Option<Duration> {
        if !self.is_running() || self.stalled.load(Ordering::Relaxed) {
            return None;
        }
        let due = Instant::from_nanos(self.due.load(Ordering::Relaxed));
        let due = open_until.map_or(due, |until| until.max(due));
        let left = remaining(due.saturating_add(self.deadline()), now);
        self.stalled.store(left.is_none(), Ordering::Relaxed);
        left.map(|left| left.min(self.deadline()))
    }

    /// The task runs, and will be seen again at `due`.
    fn seen(&self, due: Instant) {
        self.due.store(due.as_nanos(), Ordering::Relaxed);
        self.stalled.store(false, Ordering::Relaxed);
    }

    /// Within what time a probe has to end.
    fn deadline(&self) -> Duration {
        Duration::from_nanos(self.deadline.load(Ordering::Relaxed))
    }

    pub(crate) fn reconfigure(&self, deadline: Duration) {
        self.deadline.store(nanos(deadline), Ordering::Relaxed);
    }

    /// Whether a task is there to probe.
    fn is_running(&self) -> bool {
        self.running.load(Ordering::Acquire)
    }

    /// The state has become `state`. Under no lock.
    #[cold]
    pub(crate) fn changed(&self, state: State) {
        self.changes.send_replace(());
        if is_down(state)
            && let Some(running) = Running::start(&self.running)
        {
            let task = Task {
                of: self.of.clone(),
                changes: self.changes.subscribe(),
                running,
            };
            // Refused, it drops the task: user calls will probe.
            let _ = self.spawn.spawn(task.run());
        }
    }
}

const fn is_down(state: State) -> bool {
    matches!(state, State::Open | State::HalfOpen)
}

/// One task at most is this, until it drops it.
struct Running(Arc<AtomicBool>);

impl Running {
    fn start(flag: &Arc<AtomicBool>) -> Option<Self> {
        (!flag.swap(true, Ordering::AcqRel)).then(|| Self(Arc::clone(flag)))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

struct Task {
    of: Weak<Shared>,
    changes: watch::Receiver<()>,
    running: Running,
}

/// What is to be done next.
enum Step {
    /// So long, if the generation stays what it is.
    Wait(Duration, u64),
    Probe(Lease),
}

impl Task {
    async fn run(mut self) {
        loop {
            while let Some(step) = self.next() {
                match step {
                    Step::Wait(time, generation) => self.wait(time, generation).await,
                    Step::Probe(lease) => self.probe(lease).await,
                }
            }
            let flag = Arc::clone(&self.running.0);
            drop(self.running);
            // What opened between the last look and now found this task running, and no other began.
            let still = (self.of.upgrade()).is_some_and(|shared| is_down(shared.state()));
            match Running::start(&flag) {
                Some(running) if still => self.running = running,
                _ => return,
            }
        }
    }

    fn next(&self) -> Option<Step> {
        let shared = self.of.upgrade()?;
        let now = shared.clock().now();
        let (admission, generation) = shared.with_at(now, |machine| {
            let open = machine.open_until().and_then(|end| remaining(end, now));
            let admission = match (machine.circuit.state(), open) {
                (State::Open, Some(left)) => Some(Admission::Rejected(left)),
                (state, _) if is_down(state) => Some(machine.admit(now, shared.rng())),
                _ => None,
            };
            if let Some(prober) = shared.prober() {
                // A probe may take its deadline, and that is what the task may be late by.
                let wait = match &admission {
                    Some(Admission::Rejected(wait)) => *wait,
                    _ => Duration::ZERO,
                };
                prober.seen(now.saturating_add(wait));
            }
            (admission, machine.circuit.generation())
        });
        Some(match admission? {
            Admission::Admitted(ticket) => Step::Probe(Lease {
                of: self.of.clone(),
                generation: ticket.generation(),
                ticket: Some(ticket),
                started: now,
            }),
            // Nobody else should have a lease; one that does gives it back or runs out.
            Admission::Rejected(wait) => Step::Wait(wait.max(SHORTEST), generation),
        })
    }

    /// Until the time is over, the generation another or the breaker gone.
    async fn wait(&mut self, time: Duration, generation: u64) {
        if let Some(clock) = self.of.upgrade().map(|shared| shared.clock().clone()) {
            let sleep = clock.sleep(time);
            self.while_in(generation, pin!(sleep)).await;
        }
    }

    /// Runs the function once, and waits before the next time.
    async fn probe(&mut self, mut lease: Lease) {
        let Some((clock, probe, deadline, slow_at)) = self.of.upgrade().and_then(|shared| {
            let prober = shared.prober()?;
            Some((
                shared.clock().clone(),
                prober.probe.clone(),
                prober.deadline(),
                shared.hot.slow_after().map(first_beyond),
            ))
        }) else {
            return;
        };
        let generation = lease.generation;
        // Its failure has to come before the lease runs out, or nobody would believe it.
        let mut late = pin!(clock.sleep(deadline.saturating_sub(deadline / 16)));
        let mut slow = pin!(clock.sleep(slow_at.unwrap_or(deadline).min(deadline)));
        let (mut caught, mut looked) = (Caught::new(&probe), false);
        let of = &self.of.clone();
        let probing = pin!(poll_fn(|cx| match Pin::new(&mut caught).poll(cx) {
            Poll::Pending => {
                if !looked && slow.as_mut().poll(cx).is_ready() {
                    looked = true;
                    // A look counts it as slow, which may end this.
                    let _ = of.upgrade().map(|shared| Breaker::from(shared).state());
                }
                let late = late.as_mut().poll(cx);
                late.map(|()| Outcome::Failure(FailureKind::Deadline))
            }
            ended @ Poll::Ready(_) => ended,
        }));
        if let Some(outcome) = self.while_in(generation, probing).await {
            lease.settle(outcome);
            if let Some(shared) = self.of.upgrade()
                && let Some(prober) = shared.prober()
                && shared.generation() == generation
            {
                prober.seen(clock.now().saturating_add(probe.every));
            }
            self.wait(probe.every, generation).await;
        }
    }

    /// What `future` comes to; `None` if the generation is another before, or the breaker gone.
    async fn while_in<F: Future>(
        &mut self,
        generation: u64,
        mut future: Pin<&mut F>,
    ) -> Option<F::Output> {
        loop {
            let mut changed = pin!(self.changes.changed());
            let ended = poll_fn(|cx| match future.as_mut().poll(cx) {
                Poll::Ready(output) => Poll::Ready(Some(output)),
                Poll::Pending => changed.as_mut().poll(cx).map(|_| None),
            })
            .await;
            let now = self.of.upgrade().map(|shared| shared.generation());
            if ended.is_some() || now != Some(generation) {
                return ended;
            }
        }
    }
}

/// Between two looks at a circuit whose place is taken, and between two probes.
const SHORTEST: Duration = Duration::from_millis(1);
/// The longest pause: what nobody sees out is no pause.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// The first moment beyond `threshold`.
const fn first_beyond(threshold: Duration) -> Duration {
    threshold.saturating_add(Duration::from_nanos(1))
}

/// The function's future, or its panic.
struct Caught(Option<Probing>);

impl Caught {
    fn new(probe: &ProbeFn) -> Self {
        Self(catch_unwind(AssertUnwindSafe(|| (probe.run)())).ok())
    }
}

impl Future for Caught {
    type Output = Outcome;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Outcome> {
        let Some(future) = &mut self.0 else {
            return Poll::Ready(Outcome::Failure(FailureKind::Panic));
        };
        catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx)))
            .unwrap_or(Poll::Ready(Outcome::Failure(FailureKind::Panic)))
    }
}

/// A probe's place, which does not keep the breaker alive. Dropped it is given back.
struct Lease {
    of: Weak<Shared>,
    generation: u64,
    ticket: Option<Ticket>,
    started: Instant,
}

impl Lease {
    fn settle(&mut self, outcome: Outcome) {
        if let (Some(ticket), Some(shared)) = (self.ticket.take(), self.of.upgrade()) {
            Breaker::from(shared)
                .probed(ticket, self.started)
                .record(outcome);
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.settle(Outcome::Abandoned);
    }
}

impl fmt::Debug for ProbeFn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProbeFn")
            .field("every", &self.every)
            .finish_non_exhaustive()
    }
}
