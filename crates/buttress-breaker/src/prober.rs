//! Probes by a function of the user's, in the place of user traffic.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use buttress_core::circuit::State;
use buttress_core::clock::Instant;
use buttress_core::spawn::Spawn;
use tokio::sync::watch;

use self::task::{Running, Task};
use crate::gate::{nanos, remaining};
use crate::shared::Shared;

mod function;
mod lease;
mod task;

pub use self::function::ProbeFn;

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
