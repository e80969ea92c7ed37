//! The face of the machine that a healthy call sees: one atomic word, and until when it holds.
//!
//! The machine behind it is under a lock. Whoever takes the lock first [`Gate::shut`]s the gate and
//! before leaving [`Gate::publish`]es what the machine now is. While the gate is shut, or whenever a
//! success would matter at once, [`Gate::succeed`] refuses and the caller takes the lock.
//!
//! Why that is right: a success is counted by a compare-and-swap of the whole word, so it takes
//! effect in exactly the generation that it belongs to, or not at all. Shutting takes the counted
//! successes out in the same atomic step that stops further ones, so the machine sees each of them
//! once, before whatever its next lock holder does. That nothing depends on their order among
//! themselves is what `Rules::is_indifferent` says.
//!
//! Windows of time change by themselves where one of their buckets ends, and a call in flight becomes
//! slow. The first such moment is [`Gate::settled_until`]: before it every counted success belongs to
//! the buckets in which the gate was published, and the machine takes it into those. Whoever comes at or
//! after that moment takes the lock, which rolls the windows and publishes the next one. A success whose
//! clock was read before that moment and whose swap comes after it is counted in the next bucket, as if it
//! had ended those nanoseconds later: the swap is when it takes effect.

use std::sync::atomic::Ordering;
use std::time::Duration;

use buttress_core::circuit::State;
use buttress_core::clock::Instant;

use crate::sync::AtomicU64;

/// State and generation as one word, and the end of the open time.
///
/// ```text
/// 63            20  19     16..19   0..16
/// generation (44)  quiet  state(3)  successes not yet in the machine (16)
/// ```
///
/// Forty-four bits of generation outlast a transition every microsecond for half a year.
///
/// What a healthy call reads stands together, in the order of use: behind the counts of the `Arc` that
/// holds it, so that two threads on one breaker contend for one line of memory.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Gate {
    word: AtomicU64,
    /// Before this, in nanoseconds, no window changes and no call becomes slow.
    settled_until: AtomicU64,
    /// A call that takes longer than this is slow to somebody.
    brisk: AtomicU64,
    /// While open: until when, in nanoseconds. Written before the word, so that whoever reads an
    /// open word reads its time or a later one.
    until: AtomicU64,
}

/// What the machine shows the gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Face {
    pub(crate) state: State,
    pub(crate) generation: u64,
    /// Successes may be counted in the gate.
    pub(crate) quiet: bool,
    pub(crate) until: Instant,
    pub(crate) settled_until: Instant,
    /// `Duration::MAX` if nobody asks how long calls take.
    pub(crate) brisk: Duration,
}

const PENDING: u64 = 0xffff;
const STATE_SHIFT: u32 = 16;
const STATE: u64 = 0b111 << STATE_SHIFT;
const QUIET: u64 = 1 << 19;
const GENERATION_SHIFT: u32 = 20;

/// Set in the code of every state in which not all traffic flows.
const BLOCKED: u64 = 0b100 << STATE_SHIFT;
const OPEN: u64 = code(State::Open);

/// What stands for a state in the word, where it stands. Whether all traffic flows is one bit of it.
const fn code(state: State) -> u64 {
    let code: u64 = match state {
        State::ForcedClosed => 0b001,
        State::Observing => 0b010,
        State::Open => 0b100,
        State::HalfOpen => 0b101,
        State::Ramping => 0b110,
        State::ForcedOpen => 0b111,
        _ => 0b000,
    };
    code << STATE_SHIFT
}

impl Gate {
    pub(crate) fn new(face: Face) -> Self {
        Self {
            word: AtomicU64::new(face.word()),
            settled_until: AtomicU64::new(face.settled_until.as_nanos()),
            brisk: AtomicU64::new(nanos(face.brisk)),
            until: AtomicU64::new(face.until.as_nanos()),
        }
    }

    /// Whether ordinary traffic flows.
    #[inline]
    pub(crate) fn is_closed(&self) -> bool {
        self.word.load(Ordering::Relaxed) & BLOCKED == 0
    }

    /// The generation in which an ordinary call passes, if it does.
    #[inline]
    pub(crate) fn pass(&self) -> Option<u64> {
        let word = self.word.load(Ordering::Acquire);
        (word & BLOCKED == 0).then_some(word >> GENERATION_SHIFT)
    }

    /// Until when nothing passes, of an open circuit.
    #[inline]
    pub(crate) fn open_until(&self) -> Option<Instant> {
        let is_open = self.word.load(Ordering::Acquire) & STATE == OPEN;
        is_open.then(|| Instant::from_nanos(self.until.load(Ordering::Relaxed)))
    }

    /// Before this no window changes and no call in flight becomes slow.
    #[inline]
    pub(crate) fn settled_until(&self) -> Instant {
        Instant::from_nanos(self.settled_until.load(Ordering::Relaxed))
    }

    /// Whether anybody asks how long calls take.
    #[inline]
    pub(crate) fn is_timed(&self) -> bool {
        self.brisk.load(Ordering::Relaxed) != u64::MAX
    }

    /// Whether a call that takes `age` nanoseconds is slow to nobody.
    #[inline]
    pub(crate) fn is_brisk(&self, age: u64) -> bool {
        age <= self.brisk.load(Ordering::Relaxed)
    }

    /// Counts a success of `generation`; `false` if the machine has to be told instead.
    #[inline]
    pub(crate) fn succeed(&self, generation: u64) -> bool {
        let mut word = self.word.load(Ordering::Relaxed);
        while word & QUIET != 0
            && word >> GENERATION_SHIFT == generation
            && word & PENDING != PENDING
        {
            match self.word.compare_exchange_weak(
                word,
                word + 1,
                Ordering::AcqRel,
                Ordering::Relaxed,
            ) {
                Ok(_) => return true,
                Err(newer) => word = newer,
            }
        }
        false
    }

    /// Stops successes from being counted here and hands over those that were. Only for whoever
    /// holds the machine's lock.
    #[inline]
    pub(crate) fn shut(&self) -> u64 {
        if !self.is_quiet() {
            return 0;
        }
        // Nobody else clears QUIET, so it is still set, and the count is still growing.
        self.word.fetch_and(!(QUIET | PENDING), Ordering::AcqRel) & PENDING
    }

    /// Whether successes are counted here.
    #[inline]
    fn is_quiet(&self) -> bool {
        self.word.load(Ordering::Relaxed) & QUIET != 0
    }

    /// Shows what the machine now is. Only for whoever holds the machine's lock, after
    /// [`Gate::shut`].
    #[inline]
    pub(crate) fn publish(&self, face: Face) {
        self.until.store(face.until.as_nanos(), Ordering::Relaxed);
        self.settled_until
            .store(face.settled_until.as_nanos(), Ordering::Relaxed);
        self.brisk.store(nanos(face.brisk), Ordering::Relaxed);
        self.word.store(face.word(), Ordering::Release);
    }
}

/// The whole nanoseconds of `duration`, as far as a word holds them.
pub(crate) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

impl Face {
    #[inline]
    const fn word(self) -> u64 {
        let quiet = if self.quiet { QUIET } else { 0 };
        self.generation << GENERATION_SHIFT | quiet | code(self.state)
    }
}

/// The time from `now` to `until`, if there is any.
pub(crate) fn remaining(until: Instant, now: Instant) -> Option<Duration> {
    Some(until.saturating_since(now)).filter(|left| !left.is_zero())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn face(state: State, generation: u64, quiet: bool) -> Face {
        Face {
            state,
            generation,
            quiet,
            until: Instant::from_nanos(7),
            settled_until: Instant::NEVER,
            brisk: Duration::MAX,
        }
    }

    #[test]
    fn a_gate_shows_each_state_as_what_a_call_has_to_do() {
        let gate = Gate::new(face(State::Closed, 3, true));
        assert_eq!((gate.pass(), gate.open_until()), (Some(3), None));
        gate.publish(face(State::Open, 4, false));
        assert_eq!(gate.pass(), None);
        assert_eq!(gate.open_until(), Some(Instant::from_nanos(7)));
        assert!(!gate.is_closed());
        for state in [State::HalfOpen, State::Ramping, State::ForcedOpen] {
            gate.publish(face(state, 5, false));
            assert_eq!((gate.pass(), gate.open_until()), (None, None));
            assert!(!gate.is_closed());
        }
        for state in [State::ForcedClosed, State::Observing] {
            gate.publish(face(state, 6, true));
            assert_eq!(gate.pass(), Some(6));
            assert!(gate.is_closed());
        }
    }

    #[test]
    fn a_gate_says_what_is_slow_to_somebody_and_until_when_what_it_shows_holds() {
        let gate = Gate::new(face(State::Closed, 3, true));
        assert!(!gate.is_timed() && gate.is_brisk(u64::MAX), "nobody asks");
        assert_eq!(gate.settled_until(), Instant::NEVER);
        gate.publish(Face {
            settled_until: Instant::from_nanos(9),
            brisk: Duration::from_nanos(5),
            ..face(State::Closed, 3, true)
        });
        assert!(gate.is_timed() && gate.is_brisk(5) && !gate.is_brisk(6));
        assert_eq!(gate.settled_until(), Instant::from_nanos(9));
    }

    #[test]
    fn a_success_of_another_generation_or_at_a_shut_gate_is_refused() {
        let gate = Gate::new(face(State::Closed, 3, true));
        assert!(!gate.succeed(2));
        assert!(gate.succeed(3));
        assert_eq!(gate.shut(), 1);
        assert!(!gate.succeed(3));
        assert_eq!(gate.shut(), 0);
        assert_eq!(gate.pass(), Some(3));
    }

    #[test]
    fn a_full_count_spills_into_the_machine_and_never_into_the_state() {
        let gate = Gate::new(face(State::Closed, 3, true));
        assert!((0..PENDING).all(|_| gate.succeed(3)));
        assert!(!gate.succeed(3));
        assert_eq!(gate.pass(), Some(3));
        assert_eq!(gate.shut(), PENDING);
    }

    #[test]
    fn racing_successes_are_each_counted_once_across_any_number_of_shuttings() {
        let gate = Gate::new(face(State::Closed, 3, true));
        let (mut taken, mut counted) = (0, 0);
        std::thread::scope(|scope| {
            let racer = || (0..50_000).filter(|_| gate.succeed(3)).count() as u64;
            let racers = [scope.spawn(racer), scope.spawn(racer)];
            while !racers
                .iter()
                .all(std::thread::ScopedJoinHandle::is_finished)
            {
                taken += gate.shut();
                gate.publish(face(State::Closed, 3, true));
            }
            counted = racers.into_iter().map(|racer| racer.join().unwrap()).sum();
        });
        assert_eq!(taken + gate.shut(), counted);
    }
}
