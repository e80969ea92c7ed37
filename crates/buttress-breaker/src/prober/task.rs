//! What probes while a circuit is open or half-open.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::task::Poll;
use std::time::Duration;

use buttress_core::circuit::{Admission, State};
use buttress_core::outcome::{FailureKind, Outcome};
use tokio::sync::watch;

use super::function::{Caught, SHORTEST};
use super::is_down;
use super::lease::Lease;
use crate::breaker::Breaker;
use crate::gate::remaining;
use crate::shared::Shared;

pub(super) struct Task {
    pub(super) of: Weak<Shared>,
    pub(super) changes: watch::Receiver<()>,
    pub(super) running: Running,
}

/// What is to be done next.
enum Step {
    /// So long, if the generation stays what it is.
    Wait(Duration, u64),
    Probe(Lease),
}

impl Task {
    pub(super) async fn run(mut self) {
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

/// One task at most is this, until it drops it.
pub(super) struct Running(Arc<AtomicBool>);

impl Running {
    pub(super) fn start(flag: &Arc<AtomicBool>) -> Option<Self> {
        (!flag.swap(true, Ordering::AcqRel)).then(|| Self(Arc::clone(flag)))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

/// The first moment beyond `threshold`.
const fn first_beyond(threshold: Duration) -> Duration {
    threshold.saturating_add(Duration::from_nanos(1))
}
