//! The pool, for whoever operates or reads it.

use std::sync::Arc;
use std::time::Duration;

use buttress_core::clock::Instant;
use buttress_core::config::ConfigError;
use buttress_core::events::Subscription;
use buttress_core::verdict::By;

use crate::config::Config;
use crate::endpoint::Endpoint;
use crate::levels::Level;
use crate::pool::Pool;
use crate::seat::{Seat, Told};
use crate::shunned::Limit;
use crate::slot::Slot;
use crate::snapshot::{
    EndpointSnapshot, EndpointState, Event, LevelSnapshot, PoolSnapshot, ReportedLoad,
};
use crate::state::{Decision, State};

/// A pool's handle: what it is doing, and a hand on it. Cheap to clone.
#[derive(Debug)]
pub struct RouterHandle<S> {
    pool: Arc<Pool<S>>,
    by: Option<Arc<By>>,
}

impl<S> Clone for RouterHandle<S> {
    fn clone(&self) -> Self {
        Self {
            pool: Arc::clone(&self.pool),
            by: self.by.clone(),
        }
    }
}

impl<S> RouterHandle<S> {
    pub(crate) const fn new(pool: Arc<Pool<S>>) -> Self {
        Self { pool, by: None }
    }

    /// A handle whose verdicts say of every endpoint that it takes in hand that `by` did so, and why.
    #[must_use]
    pub fn on_behalf_of(&self, by: By) -> Self {
        Self {
            pool: Arc::clone(&self.pool),
            by: Some(Arc::new(by)),
        }
    }

    pub(crate) const fn pool(&self) -> &Arc<Pool<S>> {
        &self.pool
    }

    /// Replaces the endpoints. One whose identity stays keeps its statistics, its state and what is
    /// in flight there, and gets the new service, weight and signals; so does one that comes back
    /// within [`Config::remember`]. Picks never wait for this. Two of one identity are refused, and change nothing.
    pub fn update(
        &self,
        endpoints: impl IntoIterator<Item = Endpoint<S>>,
    ) -> Result<(), ConfigError> {
        self.pool.update(endpoints.into_iter().collect())
    }

    /// Replaces the configuration, without losing any state. The pool's name, its clock and its
    /// generator stay as they were. One that makes no sense is refused, and changes nothing.
    pub fn reconfigure(&self, config: Config) -> Result<(), ConfigError> {
        self.pool.reconfigure(config)
    }

    /// The configuration in force.
    pub fn config(&self) -> Config {
        Config::clone(&self.pool.members().config)
    }

    /// Throws the endpoint out until [`RouterHandle::restore`], whatever the budget; the last resort
    /// still reaches it. `false` if the pool has no such endpoint.
    pub fn eject(&self, id: &str) -> bool {
        self.change(id, State::force_out)
    }

    /// Takes the endpoint out for good: what is in flight ends, nothing new is sent, not even as the
    /// last resort. `false` if the pool has no such endpoint.
    pub fn drain(&self, id: &str) -> bool {
        self.change(id, |state, _| state.drain())
    }

    /// Lets the endpoint back, whatever keeps it out. `false` if the pool has no such endpoint.
    pub fn restore(&self, id: &str) -> bool {
        self.change(id, State::restore)
    }

    /// What is decided about endpoints, from now on.
    pub fn subscribe(&self) -> Subscription<Event> {
        self.pool.shared.events.subscribe()
    }

    /// The pool at this moment. Each endpoint is consistent in itself; none is stopped for it.
    pub fn snapshot(&self) -> PoolSnapshot {
        let shared = &self.pool.shared;
        let (members, now) = (self.pool.members(), shared.clock.now());
        let recent: f64 = members.slots().map(|slot| slot.recent_picks(now)).sum();
        let (load, limits) = (shared.peers.load(), members.limits(now, shared));
        let limit = |seat: &Seat| {
            let own = limits.iter().find(|(rank, _)| *rank == seat.slot.rank());
            own.map_or(Limit::NONE, |(_, limit)| *limit)
        };
        let endpoint = |(seat, told)| endpoint(seat, told, limit(seat), (recent, load), now);
        PoolSnapshot {
            pool: Arc::clone(&shared.pool),
            at: now,
            endpoints: members.as_given().into_iter().map(endpoint).collect(),
            levels: members.levels.list.iter().map(level).collect(),
            max_ejected: shared.ledger.allowed(),
            policy: members.config.policy.as_str(),
            median_latency: duration(shared.peers.latency()),
            slowdown: shared.peers.slowdown(),
            in_turn: shared.peers.in_turn_at(now),
        }
    }

    /// The state of one endpoint at this moment; `None` if the pool has no such endpoint. For who asks about one
    /// alone: it costs no look at the others.
    pub fn state(&self, id: &str) -> Option<EndpointState> {
        let members = self.pool.members();
        let (seat, _) = members.named(id)?;
        Some(seat.slot.with_state(|state| state.endpoint_state()))
    }

    fn change(&self, id: &str, change: impl Fn(&mut State, Instant) -> Option<Decision>) -> bool {
        let members = self.pool.members();
        let Some((seat, _)) = members.named(id) else {
            return false;
        };
        let now = self.pool.shared.clock.now();
        seat.slot.change(now, |state| {
            let Decision(verdict) = change(state, now)?;
            Some(Decision(verdict.by(self.by.clone())))
        });
        true
    }
}

fn endpoint(
    seat: &Seat,
    told: &Told,
    limit: Limit,
    (recent, load): (f64, f64),
    now: Instant,
) -> EndpointSnapshot {
    let slot: &Arc<Slot> = &seat.slot;
    let own = slot.recent_picks(now);
    let cost = seat.cost(now, load) / 1e9;
    slot.with_state(|state| {
        let (in_flight, check) = (slot.in_flight(), state.check_snapshot());
        EndpointSnapshot {
            id: Arc::clone(slot.id()),
            state: state.endpoint_state(),
            since: state.since,
            suspect: state.is_suspect(),
            doubted: state.is_in_doubt(slot.peers(), now),
            shunned: state.shunned(&slot.look(limit, now)),
            given: state.given(),
            reported: slot
                .reported(state, now)
                .map(|(utilization, age)| ReportedLoad { utilization, age }),
            reports_ignored: slot.reports_ignored(),
            retry_after: state.retry_after(now),
            weight: told.weight,
            metadata: told.about.metadata.clone(),
            priority: told.about.priority,
            locality: told.about.locality.clone(),
            in_flight,
            picks: state.picks(in_flight),
            share: if recent > 0.0 { own / recent } else { 0.0 },
            outcomes: state.tally.outcomes,
            success_ratio: state.evidence.success_ratio(now),
            latency: state.evidence.mean().map(duration),
            cost,
            ejections: state.tally.ejections(),
            suppressed: state.tally.suppressions(),
            shunnings: state.shunnings(),
            probes: state.tally.probes(),
            checks: check
                .as_ref()
                .map_or_else(Vec::new, |_| state.tally.checks()),
            check,
            last_verdict: state.verdicts.last().cloned(),
            verdicts: state.verdicts.to_vec(),
        }
    })
}

fn level(level: &Level) -> LevelSnapshot {
    LevelSnapshot {
        priority: level.rank.priority,
        distance: level.rank.distance,
        endpoints: level.range.len(),
        share: level.share(),
    }
}

fn duration(nanos: f64) -> Duration {
    Duration::try_from_secs_f64(nanos / 1e9).unwrap_or(Duration::MAX)
}
