//! The task that asks a source and tells a pool.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Weak};
use std::time::Duration;

use buttress_core::clock::Clock;
use buttress_core::spawn::{Refused, Spawn};

use super::discovery::{Discovery, Record};
use super::node::{MakeEndpoint, Node};
use super::roster::{Learned, Roster};
use super::source::{Source, SourceError};
use crate::background::{Term, caught};
use crate::handle::RouterHandle;
use crate::pool::Pool;

/// A source is asked again after this much at the soonest, whatever it does.
const SOONEST: Duration = Duration::from_secs(1);

impl<S: Clone + Send + Sync + 'static> RouterHandle<S> {
    /// Takes the pool's endpoints from `source` from now on, each made by `make`, in a task on `spawn`.
    /// Another source that was at work for the pool ends.
    ///
    /// An endpoint that the pool has before is kept and not made ([`MakeEndpoint::adopt`]), if the source says that it is
    /// there. The task ends with the last router, handle and request of the pool. What is given by
    /// [`RouterHandle::update`] stays until the source says something new. Refused if `spawn` runs no
    /// more tasks.
    pub fn discover(
        &self,
        source: impl Source,
        make: impl MakeEndpoint<S>,
        spawn: &Spawn,
    ) -> Result<Discovery, Refused> {
        let (pool, clock) = (self.pool(), self.pool().shared.clock.clone());
        let name = Arc::clone(&pool.shared.pool);
        let discovery = Discovery::new(name, source.name(), clock.clone(), &pool.discovered);
        let driver = Driver {
            pool: Arc::downgrade(pool),
            record: Arc::clone(&discovery.0),
            roster: None,
            make,
        };
        let term = pool.discovered.begin();
        spawn.spawn(drive(source, driver, term, clock))?;
        Ok(discovery)
    }
}

struct Driver<S, M> {
    pool: Weak<Pool<S>>,
    record: Arc<Record>,
    /// `None` until something that was said is believed.
    roster: Option<Roster<S>>,
    make: M,
}

async fn drive<S, M>(
    mut source: impl Source,
    mut driver: Driver<S, M>,
    mut term: Term,
    clock: Clock,
) where
    S: Clone + Send + Sync + 'static,
    M: MakeEndpoint<S>,
{
    loop {
        let asked_at = clock.now();
        let Some(answer) = term.during(caught(source.next(&clock))).await else {
            return;
        };
        let answer = answer.unwrap_or_else(|_| Err(SourceError::new("the source panicked")));
        let problem = catch_unwind(AssertUnwindSafe(|| source.problem()));
        driver.take(answer, problem.ok().flatten());
        let early = SOONEST.saturating_sub(clock.now().saturating_since(asked_at));
        if !early.is_zero() && term.during(clock.sleep(early)).await.is_none() {
            return;
        }
    }
}

impl<S: Clone, M: MakeEndpoint<S>> Driver<S, M> {
    /// `problem`: what is wrong with an answer that is believed.
    fn take(&mut self, answer: Result<Vec<Node>, SourceError>, problem: Option<SourceError>) {
        let Some(pool) = self.pool.upgrade() else {
            return;
        };
        let learned = match answer.and_then(|nodes| self.learn(&pool, &nodes)) {
            Ok(learned) => learned,
            Err(problem) => return self.record.refused(problem),
        };
        let (change, count) = (
            learned.is_news().then_some((learned.joined, learned.left)),
            learned.endpoints.len(),
        );
        if change.is_some()
            && let Err(error) = pool.update(learned.endpoints)
        {
            return self.record.refused(SourceError::new(error.to_string()));
        }
        let unmade = learned.unmade.map(|id| {
            SourceError::new(format!(
                "making the endpoint `{id}` panicked; it is left out"
            ))
        });
        self.record.learned(change, count, unmade.or(problem));
    }

    /// What the answer comes to, beside what was said before or, if nothing was, beside the endpoints of the pool.
    fn learn(&mut self, pool: &Pool<S>, nodes: &[Node]) -> Result<Learned<S>, SourceError> {
        let known = self.roster.take();
        let is_first = known.is_none();
        let mut roster =
            known.unwrap_or_else(|| Roster::of(pool.members().endpoints(), &self.make));
        let learned = roster.learn(nodes, &self.make);
        self.roster = (!is_first || learned.is_ok()).then_some(roster);
        learned
    }
}
