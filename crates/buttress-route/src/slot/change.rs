//! How an endpoint's state is changed: under its lock, and told to picks, to the ledger and, once the lock is
//! released, to the world.

use std::sync::atomic::Ordering;
use std::sync::{Arc, TryLockError};

use buttress_core::clock::Instant;
use buttress_core::verdict::{Action, Verdict};

use super::{Inner, Slot};
use crate::config::Config;
use crate::shunned::Limit;
use crate::snapshot::{Change, EndpointState, Event};
use crate::state::{Decision, Look, State};
use crate::sync::MutexGuard;

impl Slot {
    /// Brings up to date what a pick reads, unless somebody else is at it.
    #[cold]
    pub(super) fn refresh(self: &Arc<Self>, now: Instant) {
        if self.is_blank() && self.show_blank(now) {
            return;
        }
        let mut inner = match self.life().inner.try_lock() {
            Ok(inner) => inner,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return,
        };
        inner.count_picks(self.in_flight(), now);
        self.give_up_listening(&mut inner.state, now);
        let before = inner.state.endpoint_state();
        let decision = inner.state.heed_signals(self, now);
        let event = self.conclude(&mut inner, before, decision, now);
        let look = (inner.state).second_look_due(now, self.silence(now), self.peers());
        if let Some(due) = look {
            self.shared.second_looks.ask(self, due);
        }
        drop(inner);
        self.publish(event);
        self.let_back_for_this(now);
    }

    /// A silence counts for as long as a probe's lease and no longer, or a request that never ends
    /// would keep the endpoint from traffic for ever.
    fn give_up_listening(&self, state: &mut State, now: Instant) {
        let silence = self.silent_for(now);
        if silence > state.config.circuit.probe_deadline {
            state.evidence.waited(silence, now, self.peers().latency());
            self.heard(now);
        }
    }

    /// Looks whether it is shunned under this limit, and tells that once it has lasted. What is shown stays as old as it is: who is
    /// due a second look is found when it is brought up to date.
    #[cold]
    pub(crate) fn follow(self: &Arc<Self>, limit: Limit, now: Instant) {
        let mut inner = self.lock();
        let before = inner.state.endpoint_state();
        let decision = inner.state.heed_shunning(&self.look(limit, now));
        self.followed
            .store(inner.state.is_followed(), Ordering::Relaxed);
        if decision.is_some() {
            let event = self.conclude(&mut inner, before, decision, now);
            drop(inner);
            self.publish(event);
        }
    }

    /// A look at it among its peers.
    pub(crate) fn look(&self, limit: Limit, now: Instant) -> Look<'_> {
        Look {
            limit,
            silence: self.silence(now),
            in_flight: self.in_flight(),
            peers: self.peers(),
            now,
        }
    }

    /// Changes the state, tells picks and the ledger, and then the world.
    pub(crate) fn change(
        self: &Arc<Self>,
        now: Instant,
        change: impl FnOnce(&mut State) -> Option<Decision>,
    ) {
        self.change_locked(self.lock(), now, change);
    }

    pub(super) fn change_locked(
        self: &Arc<Self>,
        mut inner: MutexGuard<'_, Inner>,
        now: Instant,
        change: impl FnOnce(&mut State) -> Option<Decision>,
    ) {
        let before = inner.state.endpoint_state();
        let decision = change(&mut inner.state);
        let event = self.conclude(&mut inner, before, decision, now);
        drop(inner);
        self.publish(event);
        self.let_back_for_this(now);
    }

    /// Whoever has yielded its place to a worse one comes back. Of two locks of endpoints one is held at a time.
    fn let_back_for_this(&self, now: Instant) {
        if self.ledger().has_yielding()
            && let Some((better, worse)) = self.ledger().take_yielding()
        {
            better.change(now, |state| state.yield_to_worse(worse, now));
        }
    }

    fn conclude(
        self: &Arc<Self>,
        inner: &mut Inner,
        before: EndpointState,
        decision: Option<Decision>,
        now: Instant,
    ) -> Option<Event> {
        self.show(inner, now);
        let state = &mut inner.state;
        let after = state.endpoint_state();
        let changed = before != after;
        if changed || after != EndpointState::Active {
            self.enter(state, after, now);
        }
        if changed {
            state.entered(now);
        }
        let Decision(verdict) = decision?;
        let change = match &verdict.action {
            _ if changed => Change::Transition {
                from: before,
                to: after,
            },
            Action::Suppressed(_) => Change::Suppressed,
            Action::Shunned => Change::Shunned,
            Action::Resumed => Change::Resumed,
            // What is behind a state that outranks it, such as draining, is no news.
            _ => return None,
        };
        let times = state.verdicts.push(now, change, verdict.clone());
        // What is held back with each failure is told the first, the second, the fourth time, or it would fill every log.
        let is_news = change != Change::Suppressed || times.is_power_of_two();
        is_news.then(|| self.event(change, verdict, now))
    }

    fn event(&self, change: Change, verdict: Verdict, now: Instant) -> Event {
        Event {
            pool: Arc::clone(&self.shared.pool),
            endpoint: Arc::clone(self.id()),
            at: now,
            change,
            verdict,
        }
    }

    fn publish(&self, event: Option<Event>) {
        if let Some(event) = event {
            self.shared.events.publish(|| event);
        }
    }

    fn enter(self: &Arc<Self>, state: &State, endpoint: EndpointState, now: Instant) {
        self.show_gate(state);
        let by_hand = matches!(endpoint, EndpointState::ForcedOut | EndpointState::Draining);
        match state.due(now) {
            Some(due) => (self.shared.ledger).set(self, due, by_hand, state.out_for()),
            None => self.shared.ledger.remove(self),
        }
    }

    /// The pool has let go of the endpoint; calls in flight still settle here.
    pub(crate) fn leave(self: &Arc<Self>) {
        self.member.store(false, Ordering::Release);
        self.shared.ledger.remove(self);
    }

    /// The pool has the endpoint again, and goes on from what it knew of it.
    pub(crate) fn rejoin(self: &Arc<Self>, config: &Arc<Config>, now: Instant) {
        self.member.store(true, Ordering::Release);
        self.change(now, |state| {
            state.reconfigure(config);
            state.rise(now);
            None
        });
    }
}
