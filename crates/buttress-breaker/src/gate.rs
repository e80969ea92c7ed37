//! The face of the machine that a healthy call sees: what it is, until when that holds, and where a
//! success is counted.
//!
//! The machine behind it is under a lock. Whoever takes the lock first [`Gate::shut`]s the gate and
//! before leaving [`Gate::publish`]es what the machine now is. While the gate is shut, or whenever a
//! success would matter at once, [`Gate::succeed`] refuses and the caller takes the lock.
//!
//! Why that is right: a success is counted by a compare-and-swap of a whole word of [`Lanes`], so it takes
//! effect in exactly the generation that it belongs to, or not at all. Shutting takes the counted
//! successes out in the same atomic step that stops further ones, so the machine sees each of them
//! once, before whatever its next lock holder does. That nothing depends on their order among
//! themselves is what `Rules::is_indifferent` says.
//!
//! Windows of time change by themselves where one of their buckets ends, and a call in flight becomes
//! slow. The first such moment is [`Gate::settled_until`]: before it every counted success belongs to
//! the buckets in which the gate was published, and the machine takes it into those. Whoever comes at or
//! after that moment takes the lock, which rolls the windows and publishes the next one.
//!
//! The clock is read last, between the look at a word and its swap, and is compared as it counts: a swap waits
//! for all that stands before it, and what has been looked up before the clock is read has not to be waited for.

use std::sync::atomic::Ordering;
use std::time::Duration;

use buttress_core::circuit::State;
use buttress_core::clock::{Clock, Instant, Ticks};

use crate::hot::Kept;
use crate::lanes::{Lanes, Word};
use crate::sync::AtomicU64;

/// State and generation as one word, the end of the open time, and the counts.
///
/// Sixty bits of generation outlast a transition every nanosecond for a lifetime.
///
/// What a healthy call reads stands together, in the order of use, and is written only where it changes: threads on
/// one breaker read it in their own caches.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Gate {
    /// State (3), whether anybody asks how long calls take (1), and generation (60), from the lowest bit.
    word: AtomicU64,
    /// Before this, in ticks, no window changes and no call becomes slow.
    settled_until: AtomicU64,
    /// A call that takes no more ticks than this is slow to nobody.
    brisk: AtomicU64,
    lanes: Lanes,
    /// From this on, in ticks, calls in flight may be counted here.
    settled_from: AtomicU64,
    /// While open: until when, in nanoseconds; else 0.
    until: AtomicU64,
}

/// What an ordinary call has to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// It passes, in this generation, and nobody asks how long it takes.
    Free(u64),
    /// It passes if it is counted as in flight.
    Timed,
    /// Not all traffic flows.
    Blocked,
}

/// What the machine shows the gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Face {
    pub(crate) state: State,
    pub(crate) generation: u64,
    /// Successes may be counted in the gate.
    pub(crate) quiet: bool,
    pub(crate) until: Instant,
    /// Which turn this is: not the last one once a generation, a bucket or a set of thresholds has ended.
    pub(crate) turn: u32,
    pub(crate) settled_from: Instant,
    pub(crate) settled_until: Instant,
    /// `Duration::MAX` if nobody asks how long calls take.
    pub(crate) brisk: Duration,
}

const TIMED: u64 = 0b1000;
const GENERATION_SHIFT: u32 = 4;

/// Set in the code of every state in which not all traffic flows.
const BLOCKED: u64 = 0b100;

/// What stands for a state in the word, where it stands: one for all in which traffic flows, which nobody has
/// to tell apart there. Whether it flows is one bit of it.
const fn code(state: State) -> u64 {
    match state {
        State::Open => 0b100,
        State::HalfOpen => 0b101,
        State::Ramping => 0b110,
        State::ForcedOpen => 0b111,
        _ => 0b000,
    }
}

impl Gate {
    pub(crate) fn new(face: Face, kept: Kept, clock: &Clock) -> Self {
        let gate = Self {
            word: AtomicU64::new(0),
            settled_until: AtomicU64::new(0),
            brisk: AtomicU64::new(0),
            lanes: Lanes::new(kept),
            settled_from: AtomicU64::new(0),
            until: AtomicU64::new(0),
        };
        gate.publish(face, clock);
        gate
    }

    /// Whether responses say what was done with their requests.
    #[must_use]
    pub(crate) fn explained(mut self, explained: bool) -> Self {
        self.lanes = self.lanes.explained(explained);
        self
    }

    #[inline]
    pub(crate) const fn lanes(&self) -> &Lanes {
        &self.lanes
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

    /// Until when an open circuit lets nothing pass; [`Instant::ORIGIN`] of one that is not open.
    #[inline]
    pub(crate) fn open_until(&self) -> Instant {
        Instant::from_nanos(self.until.load(Ordering::Acquire))
    }

    /// What an ordinary call has to do to pass, by one look.
    #[inline]
    pub(crate) fn way(&self) -> Way {
        let word = self.word.load(Ordering::Acquire);
        if word & (BLOCKED | TIMED) == 0 {
            Way::Free(word >> GENERATION_SHIFT)
        } else if word & BLOCKED == 0 {
            Way::Timed
        } else {
            Way::Blocked
        }
    }

    /// Before this no window changes and no call in flight becomes slow.
    #[inline]
    pub(crate) fn settled_until(&self) -> Ticks {
        Ticks::from_count(self.settled_until.load(Ordering::Acquire))
    }

    /// Whether anybody asks how long calls take.
    #[inline]
    pub(crate) fn is_timed(&self) -> bool {
        self.word.load(Ordering::Relaxed) & TIMED != 0
    }

    /// Whether a call of this age, in nanoseconds, is surely slow to nobody.
    #[inline]
    pub(crate) fn is_brisk(&self, clock: &Clock, age: u64) -> bool {
        // As many ticks are within more than one number of nanoseconds where these are finer.
        clock.ticks_within(age) < self.brisk.load(Ordering::Acquire)
    }

    /// Counts a success of `generation`; `false` if the machine has to be told instead.
    #[inline]
    pub(crate) fn succeed(&self, generation: u64) -> bool {
        let counted = self.lanes.change(|word| {
            word.succeeding()
                .filter(|_| self.generation() == generation)
        });
        counted.is_some()
    }

    /// Counts a success of `generation` that ends while nothing changes by itself; `false` if the machine has to
    /// be told instead.
    #[inline]
    pub(crate) fn succeed_by(&self, clock: &Clock, generation: u64) -> bool {
        let counted = self.lanes.change(|word| {
            let counted = word.succeeding()?;
            let until = self.settled_until();
            (self.generation() == generation && clock.ticks() < until).then_some(counted)
        });
        counted.is_some()
    }

    /// Counts a call that begins now, and says of which generation it is and when it began, if it passes while
    /// nothing changes by itself. `note` is told the turn, and what it reads is of that turn.
    #[inline]
    pub(crate) fn begin(&self, clock: &Clock, mut note: impl FnMut(u32)) -> Option<(u64, Ticks)> {
        let mut passed = None;
        self.lanes.change(|word| {
            let begun = word.beginning()?;
            let generation = self.pass()?;
            note(word.turn());
            let settled = self.settled_from()..self.settled_until();
            let now = clock.ticks();
            passed = Some((generation, now));
            settled.contains(&now).then_some(begun)
        })?;
        passed
    }

    /// Counts a success of a call that began at `since`, in `turn`, which goes on, if it is slow to nobody; the
    /// call is in flight no more. `false` if nothing of that has been done.
    #[inline]
    pub(crate) fn succeed_in(&self, clock: &Clock, turn: u32, since: Ticks) -> bool {
        let counted = self.lanes.change(|word| {
            let counted = word.ending(turn).and_then(Word::succeeding)?;
            let until = self.settled_until();
            let brisk = self.brisk.load(Ordering::Acquire);
            let now = clock.ticks();
            (now < until && now.since(since) <= brisk).then_some(counted)
        });
        counted.is_some()
    }

    /// Stops calls from being counted here and hands over the successes that were. Only for whoever
    /// holds the machine's lock.
    #[inline]
    pub(crate) fn shut(&self) -> u64 {
        self.lanes.shut()
    }

    /// Shows what the machine now is. Only for whoever holds the machine's lock, after
    /// [`Gate::shut`].
    #[inline]
    pub(crate) fn publish(&self, face: Face, clock: &Clock) {
        let is_open = face.state == State::Open;
        set(&self.until, u64::from(is_open) * face.until.as_nanos());
        set_at(&self.settled_from, face.settled_from, clock);
        set_at(&self.settled_until, face.settled_until, clock);
        set(&self.brisk, clock.ticks_within(nanos(face.brisk)));
        set(&self.word, face.word());
        self.lanes.open(face.turn, face.quiet);
    }

    #[inline]
    pub(crate) fn generation(&self) -> u64 {
        self.word.load(Ordering::Acquire) >> GENERATION_SHIFT
    }

    /// From when on calls in flight may be counted here.
    #[inline]
    pub(crate) fn settled_from(&self) -> Ticks {
        Ticks::from_count(self.settled_from.load(Ordering::Acquire))
    }
}

/// [`set`] to the first ticks at `instant`. Where those stand already they are not divided for again.
#[inline]
fn set_at(word: &AtomicU64, instant: Instant, clock: &Clock) {
    let ticks = Ticks::from_count(word.load(Ordering::Relaxed));
    if clock.instant(ticks) != instant {
        set(word, clock.ticks_at(instant).count());
    }
}

/// Only for whoever holds the machine's lock: what stays as it is is not written.
#[inline]
fn set(word: &AtomicU64, value: u64) {
    if word.load(Ordering::Relaxed) != value {
        word.store(value, Ordering::Release);
    }
}

/// The whole nanoseconds of `duration`, as far as a word holds them.
pub(crate) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

impl Face {
    #[inline]
    fn word(self) -> u64 {
        let timed = if self.brisk == Duration::MAX {
            0
        } else {
            TIMED
        };
        self.generation << GENERATION_SHIFT | timed | code(self.state)
    }
}

/// The time from `now` to `until`, if there is any.
pub(crate) fn remaining(until: Instant, now: Instant) -> Option<Duration> {
    Some(until.saturating_since(now)).filter(|left| !left.is_zero())
}

#[cfg(test)]
mod tests {
    use super::*;
    use buttress_core::clock::ManualClock;

    fn clock() -> Clock {
        ManualClock::new().clock()
    }

    fn face(state: State, generation: u64, quiet: bool) -> Face {
        Face {
            state,
            generation,
            quiet,
            until: Instant::from_nanos(7),
            turn: 1,
            settled_from: Instant::from_nanos(4),
            settled_until: Instant::NEVER,
            brisk: Duration::MAX,
        }
    }

    const NOT_OPEN: Instant = Instant::ORIGIN;

    #[test]
    fn a_gate_shows_each_state_as_what_a_call_has_to_do() {
        let gate = Gate::new(face(State::Closed, 3, true), Kept::AtHand, &clock());
        assert_eq!((gate.way(), gate.open_until()), (Way::Free(3), NOT_OPEN));
        gate.publish(face(State::Open, 4, false), &clock());
        assert_eq!(gate.pass(), None);
        assert_eq!(gate.open_until(), Instant::from_nanos(7));
        assert_eq!(gate.way(), Way::Blocked);
        assert!(!gate.is_closed());
        for state in [State::HalfOpen, State::Ramping, State::ForcedOpen] {
            gate.publish(face(state, 5, false), &clock());
            assert_eq!((gate.way(), gate.open_until()), (Way::Blocked, NOT_OPEN));
            assert_eq!(gate.pass(), None);
            assert!(!gate.is_closed());
        }
        for state in [State::ForcedClosed, State::Observing] {
            gate.publish(face(state, 6, true), &clock());
            assert_eq!(gate.pass(), Some(6));
            assert!(gate.is_closed());
        }
    }

    #[test]
    fn a_gate_says_what_is_slow_to_somebody_and_until_when_what_it_shows_holds() {
        let clock = clock();
        let gate = Gate::new(face(State::Closed, 3, true), Kept::AtHand, &clock);
        assert!(!gate.is_timed() && gate.is_brisk(&clock, u64::MAX - 1));
        assert_eq!(gate.way(), Way::Free(3), "nobody asks");
        assert_eq!(gate.settled_until(), Ticks::NEVER);
        let timed = Face {
            settled_until: Instant::from_nanos(9),
            brisk: Duration::from_nanos(5),
            ..face(State::Closed, 3, true)
        };
        gate.publish(timed, &clock);
        assert!(gate.is_timed() && gate.is_brisk(&clock, 4) && !gate.is_brisk(&clock, 5));
        assert_eq!((gate.pass(), gate.way()), (Some(3), Way::Timed));
        assert_eq!(gate.settled_until(), Ticks::from_count(9));
    }

    #[test]
    fn a_success_of_another_generation_or_at_a_shut_gate_is_refused() {
        let gate = Gate::new(face(State::Closed, 3, true), Kept::AtHand, &clock());
        assert!(!gate.succeed(2));
        assert!(gate.succeed(3));
        assert_eq!(gate.shut(), 1);
        assert!(!gate.succeed(3));
        assert_eq!(gate.shut(), 0);
        assert_eq!(gate.pass(), Some(3));
    }

    #[test]
    fn a_success_nobody_times_is_counted_while_what_the_gate_shows_holds_and_in_its_generation() {
        let time = ManualClock::new();
        let (clock, start) = (time.clock(), time.now());
        let until = Face {
            settled_until: start.saturating_add(Duration::from_nanos(9)),
            ..face(State::Closed, 3, true)
        };
        let gate = Gate::new(until, Kept::AtHand, &clock);
        time.advance(Duration::from_nanos(8));
        assert!(gate.succeed_by(&clock, 3) && !gate.succeed_by(&clock, 2));
        time.advance(Duration::from_nanos(1));
        assert!(!gate.succeed_by(&clock, 3), "it held until now");
        time.advance(Duration::from_nanos(1));
        assert!(!gate.succeed_by(&clock, 3));
        assert_eq!(gate.shut(), 1);
    }

    #[test]
    fn a_success_ends_in_the_turn_in_which_it_began_unless_it_is_slow_or_the_turn_is_over() {
        let time = ManualClock::new();
        let (clock, start) = (time.clock(), time.now());
        let watching = Face {
            settled_until: start.saturating_add(Duration::from_nanos(20)),
            brisk: Duration::from_nanos(5),
            ..face(State::Closed, 3, true)
        };
        let gate = Gate::new(watching, Kept::AtHand, &clock);
        let begin = || {
            let mut turn = 0;
            let begun = gate.begin(&clock, |told| turn = told);
            begun.map(|(_, since)| (turn, since)).unwrap()
        };
        time.advance(Duration::from_nanos(6));
        let (turn, since) = begin();
        time.advance(Duration::from_nanos(5));
        assert!(!gate.succeed_in(&clock, turn + 1, since), "of another turn");
        assert!(gate.succeed_in(&clock, turn, since), "of just that age");
        assert!(!gate.succeed_in(&clock, turn, since), "it has ended");

        let (turn, since) = begin();
        time.advance(Duration::from_nanos(6));
        assert!(!gate.succeed_in(&clock, turn, since), "too old");
        time.advance(Duration::from_nanos(2));
        let (turn, since) = begin();
        for _ in 0..2 {
            time.advance(Duration::from_nanos(1));
            let over = !gate.succeed_in(&clock, turn, since);
            assert!(over, "what the gate shows held until now");
        }
        assert_eq!(gate.shut(), 1);
    }

    #[test]
    fn a_full_count_spills_into_the_machine_and_never_into_the_state() {
        const MOST: u64 = 0xffff;
        let gate = Gate::new(face(State::Closed, 3, true), Kept::AtHand, &clock());
        assert!((0..MOST).all(|_| gate.succeed(3)));
        assert!(!gate.succeed(3));
        assert_eq!(gate.pass(), Some(3));
        assert_eq!(gate.shut(), MOST);
    }

    #[test]
    fn racing_successes_are_each_counted_once_across_any_number_of_shuttings() {
        let gate = Gate::new(face(State::Closed, 3, true), Kept::AtHand, &clock());
        let (mut taken, mut counted) = (0, 0);
        std::thread::scope(|scope| {
            let racer = || (0..50_000).filter(|_| gate.succeed(3)).count() as u64;
            let racers = [scope.spawn(racer), scope.spawn(racer)];
            while !racers
                .iter()
                .all(std::thread::ScopedJoinHandle::is_finished)
            {
                taken += gate.shut();
                gate.publish(face(State::Closed, 3, true), &clock());
            }
            counted = racers.into_iter().map(|racer| racer.join().unwrap()).sum();
        });
        assert_eq!(taken + gate.shut(), counted);
    }
}
