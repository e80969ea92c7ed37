//! The task that asks the endpoints of a pool.

use std::collections::BTreeSet;
use std::fmt;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use buttress_core::circuit::Ticket;
use buttress_core::clock::{Clock, Instant};
use buttress_core::spawn::Spawn;

use super::config::Checks;
use super::kind::{Check, CheckError, CheckFailed};
use super::schedule::Schedule;
use crate::background::{Term, caught};
use crate::handle::RouterHandle;
use crate::members::Members;
use crate::pool::Pool;
use crate::slot::Slot;
use crate::state::{CheckEnded, Checker};

/// How often it is looked who has joined and left.
const LOOK: Duration = Duration::from_secs(1);

impl<S: Clone + Send + Sync + 'static> RouterHandle<S> {
    /// Asks every endpoint of the pool from now on, by `check`, in a task on `spawn`; checks that were
    /// at work for the pool end. See [`crate::check`] for what comes of it.
    ///
    /// The task ends with the last router, handle and request of the pool. Refuses a configuration that
    /// makes no sense, and if `spawn` runs no more tasks.
    pub fn check(
        &self,
        check: impl Check<S>,
        checks: Checks,
        spawn: &Spawn,
    ) -> Result<(), CheckError> {
        checks.validate()?;
        let pool = self.pool();
        let term = pool.checked.begin();
        let name = catch_unwind(AssertUnwindSafe(|| check.name()));
        let name = name.unwrap_or("check".into());
        let driver = Driver {
            pool: Arc::downgrade(pool),
            clock: pool.shared.clock.clone(),
            by: Checker::new(term.number(), name.as_ref().into(), &checks),
            check: Arc::new(check),
            timeout: checks.timeout,
            schedule: Schedule::new(checks),
            seen: None,
            running: Vec::new(),
        };
        spawn.spawn(driver.run(term))?;
        Ok(())
    }

    /// Ends the checks of the pool. What they said is forgotten.
    pub fn stop_checks(&self) {
        self.pool().checked.end();
    }
}

struct Driver<S, C> {
    pool: Weak<Pool<S>>,
    clock: Clock,
    by: Checker,
    check: Arc<C>,
    timeout: Duration,
    schedule: Schedule,
    /// The list that the schedule is of. Weak, so that what left is not kept.
    seen: Option<Weak<Members<S>>>,
    running: Vec<Running>,
}

/// A check that is under way.
struct Running {
    slot: Arc<Slot>,
    probe: Option<Ticket>,
    work: Pin<Box<dyn Future<Output = Answer> + Send>>,
}

/// What came of a check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Passed,
    Failed(CheckFailed),
    TimedOut,
}

impl<S, C> Driver<S, C>
where
    S: Clone + Send + Sync + 'static,
    C: Check<S>,
{
    async fn run(mut self, mut term: Term) {
        while let Some(pool) = self.pool.upgrade() {
            let now = self.clock.now();
            self.look(&pool, now);
            self.begin(&pool, now);
            drop(pool);
            let wait = self.schedule.idle(now).unwrap_or(LOOK).min(LOOK);
            let first = first(&mut self.running, self.clock.sleep(wait));
            match term.during(first).await {
                None => return,
                Some(None) => {}
                Some(Some((ended, answer))) => self.end(ended, answer),
            }
        }
    }

    /// Looks who is in the pool.
    fn look(&mut self, pool: &Pool<S>, now: Instant) {
        let members = pool.members();
        let list = Arc::downgrade(&members);
        if self.seen.as_ref().is_some_and(|seen| seen.ptr_eq(&list)) {
            return;
        }
        let ids: BTreeSet<_> = members.slots().map(|slot| Arc::clone(slot.id())).collect();
        self.schedule.set(&ids, now, &pool.shared.rng);
        self.seen = Some(list);
    }

    fn begin(&mut self, pool: &Pool<S>, now: Instant) {
        while let Some(id) = self.schedule.begin(now) {
            let members = pool.members();
            let Some((seat, service)) = members.named(&id) else {
                // Gone since the last look.
                self.schedule.ended(&id, true, false, now, &pool.shared.rng);
                continue;
            };
            let slot = Arc::clone(&seat.slot);
            // Somebody else's code, before anything is leased.
            let service = catch_unwind(AssertUnwindSafe(|| service.clone())).ok();
            let probe = slot.check_begins(&self.by, now);
            let work = Box::pin(self.work(id, service));
            self.running.push(Running { slot, probe, work });
        }
    }

    fn work(
        &self,
        id: Arc<str>,
        service: Option<S>,
    ) -> impl Future<Output = Answer> + Send + use<S, C> {
        let (check, clock, timeout) = (Arc::clone(&self.check), self.clock.clone(), self.timeout);
        async move {
            let Some(service) = service else {
                return Answer::Failed(CheckFailed::new("its service panicked in clone"));
            };
            let asked = caught(async { check.check(&id, service).await });
            match within(asked, clock.sleep(timeout)).await {
                None => Answer::TimedOut,
                Some(Ok(Ok(()))) => Answer::Passed,
                Some(Ok(Err(failed))) => Answer::Failed(failed),
                Some(Err(_)) => Answer::Failed(CheckFailed::new("the check panicked")),
            }
        }
    }

    fn end(&mut self, ended: Running, answer: Answer) {
        let Some(pool) = self.pool.upgrade() else {
            return;
        };
        let Running { slot, probe, .. } = ended;
        let (rng, now) = (&pool.shared.rng, self.clock.now());
        let (passed, doubted) = (answer == Answer::Passed, slot.is_doubted());
        let turn = self.schedule.ended(slot.id(), passed, doubted, now, rng);
        let ended = CheckEnded {
            answer,
            turn,
            probe,
        };
        slot.check_ended(&self.by, &ended, now);
    }
}

impl<S, C> Drop for Driver<S, C> {
    /// Nobody is there any more to take back what was said.
    fn drop(&mut self) {
        let Some(pool) = self.pool.upgrade() else {
            return;
        };
        let now = self.clock.now();
        for slot in pool.members().slots() {
            slot.checks_over(&self.by, now);
        }
    }
}

/// The first of `running` that ends, taken out; `None` if `sleep` ends before.
async fn first(
    running: &mut Vec<Running>,
    sleep: impl Future<Output = ()>,
) -> Option<(Running, Answer)> {
    let mut sleep = pin!(sleep);
    poll_fn(|cx| {
        if let Some((index, answer)) = poll_any(running, cx) {
            return Poll::Ready(Some((running.swap_remove(index), answer)));
        }
        sleep.as_mut().poll(cx).map(|()| None)
    })
    .await
}

fn poll_any(running: &mut [Running], cx: &mut Context<'_>) -> Option<(usize, Answer)> {
    let mut all = running.iter_mut().enumerate();
    all.find_map(|(index, check)| match check.work.as_mut().poll(cx) {
        Poll::Ready(answer) => Some((index, answer)),
        Poll::Pending => None,
    })
}

/// What comes of `work`, unless `sleep` ends before.
async fn within<F: Future>(work: F, sleep: impl Future<Output = ()>) -> Option<F::Output> {
    let (mut work, mut sleep) = (pin!(work), pin!(sleep));
    poll_fn(|cx| match work.as_mut().poll(cx) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => sleep.as_mut().poll(cx).map(|()| None),
    })
    .await
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Running")
            .field("id", self.slot.id())
            .field("probe", &self.probe)
            .finish_non_exhaustive()
    }
}
