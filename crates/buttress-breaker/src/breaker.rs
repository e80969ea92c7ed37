//! The breaker: admits calls, hears how they ended, and is told what to do.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use buttress_core::circuit::{Admission, Circuit, State, Ticket};
use buttress_core::clock::Instant;
use buttress_core::config::ConfigError;
use buttress_core::events::Events;
use buttress_core::health::HealthSignal;
use buttress_core::protocol::Plain;
use buttress_core::reject::Rejected;

use crate::config::Config;
use crate::gate::Way;
use crate::handle::{BreakerHandle, Event};
use crate::hot::{Begun, Hot, Kept};
use crate::inflight::{Entered, InFlight};
use crate::layer::BreakerLayer;
use crate::machine::Machine;
use crate::permit::{Permit, Time};
use crate::prober::Prober;
use crate::refusal::{Reason, Refusal};
use crate::rules::thresholds;
use crate::shared::Shared;
use crate::sync::Mutex;
use crate::waiters::Waiters;

/// A circuit breaker. Cheap to clone; all clones are the same breaker.
///
/// It guards whatever can be asked before and told after: a Tower service through
/// [`Breaker::layer`], an async function through [`Breaker::call`], anything else through
/// [`Breaker::try_acquire`].
///
/// ```
/// use buttress_breaker::{Breaker, Config};
/// use buttress_core::outcome::{FailureKind, Outcome};
///
/// # fn query() -> Result<u32, std::io::Error> { Ok(7) }
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let breaker = Breaker::new("database", Config::default())?;
/// let permit = breaker.try_acquire()?;
/// let answer = query();
/// permit.record(match &answer {
///     Ok(_) => Outcome::Success,
///     Err(_) => Outcome::Failure(FailureKind::Transport),
/// });
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Breaker(Arc<Shared>);

impl Breaker {
    /// A breaker, closed unless [`Config::start`] says otherwise. `name` is what metrics, events and log lines call it.
    pub fn new(name: impl Into<Arc<str>>, config: Config) -> Result<Self, ConfigError> {
        Self::among(name.into(), config, None)
    }

    /// A closed breaker whose events are told to the listeners of `common` too.
    pub(crate) fn among(
        name: Arc<str>,
        config: Config,
        common: Option<Arc<Events<Event>>>,
    ) -> Result<Self, ConfigError> {
        Self::kept(name, config, common, Kept::AtHand)
    }

    /// [`Breaker::among`], with a choice of what threads do with it when they do not use it.
    pub(crate) fn kept(
        name: Arc<str>,
        config: Config,
        common: Option<Arc<Events<Event>>>,
        kept: Kept,
    ) -> Result<Self, ConfigError> {
        if name.is_empty() {
            let problem =
                "a breaker without a name cannot be told from others; name what it guards";
            return Err(ConfigError::new("name", problem));
        }
        config.validate()?;
        let slow_after = config.slow_threshold();
        let in_flight = InFlight::new(&thresholds(&config.rules));
        let now = config.clock.now();
        let deadline = config.circuit.probe_deadline;
        let circuit = Circuit::starting(config.start, config.circuit, now, &config.rng);
        let machine = Machine::new(circuit, config.rules, slow_after, now);
        let open_until = machine.open_until();
        let health = HealthSignal::with_clock(config.clock.clone());
        let shared = Arc::new_cyclic(|me| Shared {
            hot: Arc::new(Hot::new(
                machine.face(),
                kept,
                config.clock,
                in_flight,
                config.explained,
                Weak::clone(me),
            )),
            rng: config.rng,
            name,
            machine: Mutex::new(machine),
            telling: Mutex::new(()),
            events: Events::new(),
            common,
            has_left: AtomicBool::new(false),
            health,
            waiters: Waiters::default(),
            prober: (config.probe)
                .map(|probe| Box::new(Prober::new(probe, deadline, Weak::clone(me)))),
        });
        shared.hot.set(slow_after, config.ready_deadline);
        shared.say_health(config.start, open_until);
        shared.wake_prober(config.start);
        Ok(Self(shared))
    }

    /// What metrics, events and log lines call it.
    pub fn name(&self) -> &Arc<str> {
        &self.0.name
    }

    /// The present state: a call that hangs may have opened the circuit by now. Takes the lock.
    pub fn state(&self) -> State {
        let now = self.0.clock().now();
        self.0.with_at(now, |machine| machine.circuit.state())
    }

    /// Asks to make a call. The outcome is told to the [`Permit`].
    ///
    /// # Cost
    ///
    /// Closed: no lock, and no clock unless a slow threshold is set. Open: no lock, one clock read.
    pub fn try_acquire(&self) -> Result<Permit, Rejected> {
        self.admit().map_err(Rejected::from)
    }

    /// [`Breaker::try_acquire`] for whoever tells of a refusal later.
    #[inline]
    pub(crate) fn admit(&self) -> Result<Permit, Refusal> {
        let passed = match self.way() {
            Way::Free(generation) => Some(self.pass(generation)),
            Way::Timed => self.pass_timed(),
            Way::Blocked => None,
        };
        if let Some(permit) = passed {
            return Ok(permit);
        }
        let now = self.now();
        self.refuse_at(now).map_or_else(|| self.ask(now), Err)
    }

    /// What an ordinary call has to do.
    #[inline]
    pub(crate) fn way(&self) -> Way {
        self.0.gate().way()
    }

    /// The permit of an ordinary call of `generation` of which nobody asks how long it takes.
    ///
    /// Apart from all else it is small enough to be inlined where the permit is to lie: one that is
    /// written in one function and moved in another is waited for, until all its words are in memory.
    #[inline]
    pub(crate) fn pass(&self, generation: u64) -> Permit {
        let ticket = Ticket::ordinary(generation);
        Permit::new(Hot::hold(&self.0.hot), ticket, Time::Unasked)
    }

    /// The time on the breaker's clock.
    #[inline]
    pub(crate) fn now(&self) -> Instant {
        self.0.clock().now()
    }

    /// The permit of an ordinary call that begins now, while nothing changes by itself.
    #[inline]
    pub(crate) fn pass_timed(&self) -> Option<Permit> {
        let Begun {
            generation,
            since,
            entered,
        } = self.0.hot.begin()?;
        Some(Permit::new(
            Hot::hold(&self.0.hot),
            Ticket::ordinary(generation),
            Time::Running { since, entered },
        ))
    }

    /// What refuses a call at `now` without asking the machine: an open circuit whose time is not over.
    #[inline]
    pub(crate) fn refuse_at(&self, now: Instant) -> Option<Refusal> {
        let until = self.0.gate().open_until();
        if now >= until {
            return None;
        }
        let wait = until.as_nanos() - now.as_nanos();
        Some(self.0.hot.refuse(Refusal::open_for(wait)))
    }

    /// What reads this breaker and takes it in hand.
    pub fn handle(&self) -> BreakerHandle {
        BreakerHandle::new(self.clone())
    }

    /// A layer that guards HTTP services with this breaker.
    #[cfg(feature = "http")]
    pub fn layer(&self) -> BreakerLayer<buttress_core::protocol::Http> {
        BreakerLayer::new(self.clone())
    }

    /// A layer that guards services of any kind with this breaker.
    pub fn plain_layer(&self) -> BreakerLayer<Plain> {
        BreakerLayer::plain(self.clone())
    }

    /// Whether ordinary traffic flows.
    #[inline]
    pub(crate) fn is_closed(&self) -> bool {
        self.0.gate().is_closed()
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.0
    }

    /// The permit of a probe that began at `started`.
    pub(crate) fn probed(&self, ticket: Ticket, started: Instant) -> Permit {
        let time = if self.0.gate().is_timed() {
            Time::Running {
                since: self.0.clock().ticks_at(started),
                entered: Entered::default(),
            }
        } else {
            Time::Unasked
        };
        Permit::new(Hot::hold(&self.0.hot), ticket, time)
    }

    /// Where it lies, as long as there is a clone of it: no other lies there.
    pub(crate) fn place(&self) -> *const () {
        Arc::as_ptr(&self.0).cast()
    }

    /// From now on its events are told to its own listeners alone.
    pub(crate) fn leave_common(&self) {
        self.0.has_left.store(true, Ordering::Relaxed);
    }

    /// Whether this is the only clone: no permit, handle, layer or service holds another.
    pub(crate) fn is_unshared(&self) -> bool {
        Arc::strong_count(&self.0) == 1 && Arc::strong_count(&self.0.hot) == 1
    }

    /// Asks the machine, which alone knows of probes, the ramp and what time has brought.
    #[cold]
    pub(crate) fn ask(&self, now: Instant) -> Result<Permit, Refusal> {
        let (admission, state) = self.0.with_at(now, |machine| {
            let probed = matches!(machine.circuit.state(), State::Open | State::HalfOpen);
            let prober = self.0.prober().filter(|_| probed);
            let left = prober.and_then(|prober| prober.leaves(machine.open_until(), now));
            left.map_or_else(
                || {
                    let admission = machine.admit(now, &self.0.rng);
                    (admission, Some(machine.circuit.state()))
                },
                |left| (Admission::Rejected(left), None),
            )
        });
        match admission {
            Admission::Admitted(ticket) if self.0.gate().is_timed() => Ok(self.permit(ticket, now)),
            Admission::Admitted(ticket) => {
                Ok(Permit::new(Hot::hold(&self.0.hot), ticket, Time::Unasked))
            }
            Admission::Rejected(wait) => {
                let reason = state.map_or(Reason::PROBING, Reason::of);
                Err(self.0.hot.refuse(Refusal::new(reason, Some(wait))))
            }
        }
    }

    /// A permit for a call whose time is taken from `now` on.
    #[inline]
    fn permit(&self, ticket: Ticket, now: Instant) -> Permit {
        let entered = if ticket.is_probe() {
            Entered::default()
        } else {
            self.0.in_flight().enter(now, ticket.generation())
        };
        let time = Time::Running {
            since: self.0.clock().ticks_at(now),
            entered,
        };
        Permit::new(Hot::hold(&self.0.hot), ticket, time)
    }
}

impl From<Arc<Shared>> for Breaker {
    fn from(shared: Arc<Shared>) -> Self {
        Self(shared)
    }
}

impl fmt::Debug for Breaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Breaker")
            .field("name", &self.0.name)
            .field("closed", &self.is_closed())
            .finish_non_exhaustive()
    }
}
