//! What all clones of a breaker share: the machine under its lock, and who is told of its changes.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, TryLockError};

use buttress_core::circuit::State;
use buttress_core::clock::{Clock, Instant};
use buttress_core::events::Events;
use buttress_core::health::{HealthSignal, HealthStatus};
use buttress_core::rng::Rng;

use crate::config::Config;
use crate::gate::Gate;
use crate::handle::Event;
use crate::hot::Hot;
use crate::inflight::InFlight;
use crate::machine::Machine;
use crate::prober::Prober;
use crate::rules::Asking;
use crate::sync::{Mutex, MutexGuard};
use crate::waiters::Waiters;

pub(crate) struct Shared {
    /// What calls hold.
    pub(crate) hot: Arc<Hot>,
    pub(crate) rng: Rng,
    pub(crate) name: Arc<str>,
    pub(crate) machine: Mutex<Machine>,
    /// Whoever holds this tells what has changed; nobody waits for it.
    pub(crate) telling: Mutex<()>,
    pub(crate) events: Events<Event>,
    /// Those of all breakers of a registry or a keyed layer.
    pub(crate) common: Option<Arc<Events<Event>>>,
    /// It is no longer one of them.
    pub(crate) has_left: AtomicBool,
    pub(crate) health: HealthSignal,
    pub(crate) waiters: Waiters,
    /// Probes in the place of user calls, where it was asked for.
    pub(crate) prober: Option<Box<Prober>>,
}

impl Shared {
    #[inline]
    pub(crate) fn gate(&self) -> &Gate {
        self.hot.gate()
    }

    #[inline]
    pub(crate) fn clock(&self) -> &Clock {
        self.hot.clock()
    }

    #[inline]
    pub(crate) fn in_flight(&self) -> &InFlight {
        self.hot.in_flight()
    }

    pub(crate) fn rng(&self) -> &Rng {
        &self.rng
    }

    pub(crate) fn events(&self) -> &Events<Event> {
        &self.events
    }

    pub(crate) fn health(&self) -> &HealthSignal {
        &self.health
    }

    pub(crate) fn waiters(&self) -> &Waiters {
        &self.waiters
    }

    pub(crate) fn prober(&self) -> Option<&Prober> {
        self.prober.as_deref()
    }

    pub(crate) fn state(&self) -> State {
        self.peek(|machine| machine.circuit.state())
    }

    pub(crate) fn generation(&self) -> u64 {
        self.peek(|machine| machine.circuit.generation())
    }

    pub(crate) fn rejected(&self) -> u64 {
        self.hot.rejected()
    }

    /// Replaces what is replaceable of the configuration, which has been validated.
    pub(crate) fn reconfigure(&self, config: Config) {
        let now = self.clock().now();
        let slow_after = config.slow_threshold();
        let replaced = self.with_at(now, |machine| {
            // Here, so that of two that cross one holds in all of it.
            if let Some(prober) = self.prober() {
                prober.reconfigure(config.circuit.probe_deadline);
            }
            self.hot.end_turn();
            self.hot.set(slow_after, config.ready_deadline);
            machine.reconfigure(
                config.circuit,
                config.rules,
                slow_after,
                now,
                self.in_flight(),
                &self.rng,
            )
        });
        // The user's own rules go under no lock.
        drop(replaced);
    }

    /// Lets `f` at the machine, keeps the gate in step with it, and tells what has changed when the
    /// lock is free again. `f` is code of this crate alone.
    pub(crate) fn with<T>(&self, f: impl FnOnce(&mut Machine) -> T) -> T {
        let mut machine = self.lock();
        machine.absorb(self.gate().shut());
        let result = f(&mut machine);
        machine.rewatch(self.in_flight());
        let asking = machine.take_questions();
        self.gate().publish(machine.face(), self.clock());
        let (news, state) = (machine.has_untold(), machine.circuit.state());
        if news {
            self.say_health(state, machine.open_until());
        }
        drop(machine);
        if news {
            if !self.gate().is_closed() {
                self.waiters.wake_all();
            }
            self.wake_prober(state);
            self.tell();
        }
        if let Some(asking) = asking {
            self.ask_user(&asking);
        }
        result
    }

    /// Says what a circuit in `state` knows of the health of what it guards. An open one is due for a
    /// probe when its time is over, which takes a call: `open_until` is the end of the bad word.
    pub(crate) fn say_health(&self, state: State, open_until: Option<Instant>) {
        match open_until {
            Some(end) => self.health.publish_unhealthy_until(end),
            None => self.health.publish(health_of(state)),
        }
    }

    pub(crate) fn wake_prober(&self, state: State) {
        if let Some(prober) = &self.prober {
            prober.changed(state);
        }
    }

    /// Asks the user's own rules, under no lock. They may take their time: a circuit that they open does so when they
    /// have answered, and stays open from then on.
    #[cold]
    fn ask_user(&self, asking: &Asking) {
        let answers = asking.answers();
        let now = self.clock().now().max(asking.at);
        self.with(|machine| machine.answer(asking, &answers, now, &self.rng));
    }

    /// [`Shared::with`] for what happens at `now`: what time has brought since comes first.
    pub(crate) fn with_at<T>(&self, now: Instant, f: impl FnOnce(&mut Machine) -> T) -> T {
        self.with(|machine| {
            if now >= self.clock().instant(self.gate().settled_until()) {
                self.hot.end_turn();
            }
            machine.look(now, self.in_flight(), &self.rng);
            f(machine)
        })
    }

    /// Lets `f` see the machine, and tells nothing: for whoever holds a lock of their own.
    pub(crate) fn peek<T>(&self, f: impl FnOnce(&Machine) -> T) -> T {
        let mut machine = self.lock();
        machine.absorb(self.gate().shut());
        let result = f(&machine);
        self.gate().publish(machine.face(), self.clock());
        result
    }

    /// Publishes what has changed, in order and under no lock that anyone waits for.
    ///
    /// If somebody else is at it, they publish ours as well: they look again after they are done.
    #[cold]
    fn tell(&self) {
        loop {
            let turn = match self.telling.try_lock() {
                Ok(turn) => turn,
                Err(TryLockError::Poisoned(turn)) => turn.into_inner(),
                Err(TryLockError::WouldBlock) => return,
            };
            while let Some(change) = self.next_untold() {
                let has_left = self.has_left.load(Ordering::Relaxed);
                if let Some(common) = self.common.as_ref().filter(|_| !has_left) {
                    common.publish(|| Event::new(&self.name, change.clone()));
                }
                self.events.publish(|| Event::new(&self.name, change));
            }
            drop(turn);
            if !self.lock().has_untold() {
                return;
            }
        }
    }

    fn next_untold(&self) -> Option<crate::machine::Change> {
        self.lock().next_untold()
    }

    /// A panic under the lock would have to be ours; what it left is still a machine.
    fn lock(&self) -> MutexGuard<'_, Machine> {
        self.machine.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a breaker's state says of the health of what it guards.
const fn health_of(state: State) -> HealthStatus {
    match state {
        State::Closed | State::ForcedClosed | State::Observing => HealthStatus::Healthy,
        State::HalfOpen | State::Ramping => HealthStatus::Degraded,
        _ => HealthStatus::Unhealthy,
    }
}
