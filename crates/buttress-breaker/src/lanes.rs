//! Where healthy calls are counted: one word for each of a few threads.
//!
//! A word counts the successes that the machine has not been told of yet, and the calls that have begun in this
//! turn and have not ended. Calls change an open word by a compare-and-swap of the whole of it. A
//! shut one belongs to whoever holds the machine's lock, who shuts all of them before anything else: so the
//! machine sees each success once, before whatever is done next.
//!
//! A turn is a span of time in which nothing changes by itself, a generation, and a set of slow thresholds.
//! What is read between a look at an open word and a swap of it is true of the word's turn: whoever
//! changes it shuts all words before and opens them afterwards, in another turn.
//!
//! There is one word until two threads get in each other's way. From then on there are more, on lines of
//! memory of their own; one is opened when its first thread has held the lock.

use std::sync::OnceLock;
use std::sync::atomic::Ordering;

use crate::hot::Kept;
use crate::sync::AtomicU64;
use crate::thread;

/// From the lowest bit: successes (16), calls begun in this turn (14), whether any thread uses the word,
/// whether it is open, the turn (32).
const PENDING: u64 = 0xffff;
const BEGUN: u64 = 0x3fff << 16;
const ONE_BEGUN: u64 = 1 << 16;
const USED: u64 = 1 << 30;
const OPEN: u64 = 1 << 31;
const TURN_SHIFT: u32 = 32;

/// The words of one breaker.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Lanes {
    first: AtomicU64,
    more: OnceLock<Box<[Lane]>>,
    kept: Kept,
    /// Whether responses say what was done with their requests: of the whole breaker, and here because a byte is to
    /// spare, where one more word would be beyond what a breaker may take.
    explained: bool,
}

/// Far enough from the next one for processors that fetch lines in pairs.
#[derive(Debug)]
#[repr(align(128))]
struct Lane {
    word: AtomicU64,
    /// Refusals, which wait for nobody.
    refused: AtomicU64,
}

/// What a word says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Word(u64);

/// What became of a call that is to be taken out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Left {
    /// It was counted here.
    Here,
    /// It began in an earlier turn, and is counted elsewhere.
    Before,
    /// Whoever holds the machine's lock can say.
    Unknown,
}

impl Word {
    /// Which turn it counts in.
    #[inline]
    pub(crate) const fn turn(self) -> u32 {
        (self.0 >> TURN_SHIFT) as u32
    }

    #[inline]
    const fn is_open(self) -> bool {
        self.0 & OPEN != 0
    }

    /// Whether it counts a call that began in `turn`.
    #[inline]
    const fn holds(self, turn: u32) -> bool {
        self.turn() == turn && self.0 & BEGUN != 0
    }

    /// With one success more, if it is open and has room.
    #[inline]
    pub(crate) fn succeeding(self) -> Option<Self> {
        let free = self.is_open() && self.0 & PENDING != PENDING;
        free.then(|| Self(self.0 + 1))
    }

    /// With one call more, if it is open and has room.
    #[inline]
    pub(crate) fn beginning(self) -> Option<Self> {
        let free = self.is_open() && self.0 & BEGUN != BEGUN;
        free.then(|| Self(self.0 + ONE_BEGUN))
    }

    /// With one call less of those that began in `turn`, if it is open and there is one.
    #[inline]
    pub(crate) fn ending(self, turn: u32) -> Option<Self> {
        let there = self.is_open() && self.holds(turn);
        there.then(|| Self(self.0 - ONE_BEGUN))
    }
}

impl Lane {
    fn new() -> Self {
        Self {
            word: AtomicU64::new(0),
            refused: AtomicU64::new(0),
        }
    }
}

impl Lanes {
    /// One word, shut. There will be more only of what is [`Kept::AtHand`].
    pub(crate) fn new(kept: Kept) -> Self {
        Self {
            first: AtomicU64::new(USED),
            more: OnceLock::new(),
            kept,
            explained: false,
        }
    }

    #[must_use]
    pub(crate) fn explained(self, explained: bool) -> Self {
        Self { explained, ..self }
    }

    #[cfg(feature = "http")]
    #[inline]
    pub(crate) const fn is_explained(&self) -> bool {
        self.explained
    }

    #[inline]
    pub(crate) const fn kept(&self) -> Kept {
        self.kept
    }

    /// Changes this thread's word as `to` says, and returns what it was; `None` if `to` says nothing.
    #[inline]
    pub(crate) fn change(&self, mut to: impl FnMut(Word) -> Option<Word>) -> Option<Word> {
        let word = self.mine();
        let mut seen = Word(word.load(Ordering::Acquire));
        loop {
            let next = to(seen)?;
            match word.compare_exchange(seen.0, next.0, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return Some(seen),
                Err(newer) => seen = Word(newer),
            }
            self.crowded();
        }
    }

    /// Takes out a call that began in `turn`, in whichever word.
    pub(crate) fn leave(&self, turn: u32) -> Left {
        if self.change(|word| word.ending(turn)).is_some() {
            return Left::Here;
        }
        let mine = Word(self.mine().load(Ordering::Acquire));
        // All that are open are in one turn.
        if mine.is_open() && mine.turn() != turn {
            return Left::Before;
        }
        let ending = |word| Word(word).ending(turn).map(|word| word.0);
        let left = self.all().any(|word| {
            word.fetch_update(Ordering::AcqRel, Ordering::Acquire, ending)
                .is_ok()
        });
        if left { Left::Here } else { Left::Unknown }
    }

    /// Stops calls from being counted here and hands over the successes. This and what follows is for
    /// whoever holds the machine's lock.
    #[inline]
    pub(crate) fn shut(&self) -> u64 {
        let successes = self.all().map(|word| {
            if !Word(word.load(Ordering::Relaxed)).is_open() {
                return 0;
            }
            // Nobody else shuts it, so it is still open, and the count is still growing.
            word.fetch_and(!(OPEN | PENDING), Ordering::AcqRel) & PENDING
        });
        successes.sum()
    }

    /// Lets calls be counted here, in `turn`, if it is `quiet`; all words are shut. Calls that began in another
    /// turn have been [taken](Lanes::take_begun), or are of no interest any more.
    #[inline]
    pub(crate) fn open(&self, turn: u32, quiet: bool) {
        self.use_mine();
        for word in self.all() {
            let seen = Word(word.load(Ordering::Relaxed));
            let begun = if seen.turn() == turn {
                seen.0 & BEGUN
            } else {
                0
            };
            let used = seen.0 & USED;
            let open = if quiet && used != 0 { OPEN } else { 0 };
            let next = u64::from(turn) << TURN_SHIFT | open | used | begun;
            if next != seen.0 {
                word.store(next, Ordering::Release);
            }
        }
    }

    /// Takes out all calls that began in this turn; all words are shut.
    pub(crate) fn take_begun(&self) -> u64 {
        let taken = (self.all()).map(|word| word.fetch_and(!BEGUN, Ordering::Relaxed) & BEGUN);
        taken.map(|begun| begun / ONE_BEGUN).sum()
    }

    /// Takes out a call that began in `turn`, if there is one in any word; all are shut.
    pub(crate) fn leave_shut(&self, turn: u32) -> bool {
        let there = |word: &&AtomicU64| Word(word.load(Ordering::Relaxed)).holds(turn);
        let holding = self.all().find(there);
        holding
            .map(|word| word.fetch_sub(ONE_BEGUN, Ordering::Relaxed))
            .is_some()
    }

    /// From now on every thread counts in a word that it shares with few others.
    pub(crate) fn spread(&self) {
        thread::number();
        self.more
            .get_or_init(|| (0..lanes()).map(|_| Lane::new()).collect());
    }

    /// Where this thread counts what is refused, if there may be room for that.
    pub(crate) fn refused_by_mine(&self) -> Option<&AtomicU64> {
        if self.more.get().is_none() {
            self.crowded();
        }
        thread::number();
        let mine = self.more.get().and_then(|lanes| of_this_thread(lanes))?;
        Some(&mine.refused)
    }

    /// Where threads have counted what was refused.
    pub(crate) fn refused(&self) -> impl Iterator<Item = &AtomicU64> {
        self.more().map(|lane| &lane.refused)
    }

    /// Somebody else is in the way of this thread.
    #[cold]
    #[inline(never)]
    fn crowded(&self) {
        if SPREADS && self.kept == Kept::AtHand {
            self.spread();
        }
    }

    #[inline]
    fn mine(&self) -> &AtomicU64 {
        match self.more.get() {
            Some(lanes) => of_this_thread(lanes).map_or(&self.first, |lane| &lane.word),
            None => &self.first,
        }
    }

    /// The word of this thread is opened together with those of others that have come before.
    #[inline]
    fn use_mine(&self) {
        let Some(lanes) = self.more.get() else { return };
        thread::number();
        if let Some(Lane { word: mine, .. }) = of_this_thread(lanes) {
            if mine.load(Ordering::Relaxed) & USED == 0 {
                mine.fetch_or(USED, Ordering::Relaxed);
            }
            if self.first.load(Ordering::Relaxed) & USED != 0 {
                self.first.fetch_and(!USED, Ordering::Relaxed);
            }
        }
    }

    #[inline]
    fn all(&self) -> impl Iterator<Item = &AtomicU64> {
        std::iter::once(&self.first).chain(self.more().map(|lane| &lane.word))
    }

    #[inline]
    fn more(&self) -> impl Iterator<Item = &Lane> {
        self.more.get().into_iter().flat_map(|lanes| lanes.iter())
    }
}

/// Under loom a model says when: it does not see a `OnceLock`.
const SPREADS: bool = cfg!(not(all(loom, test)));

#[inline]
fn of_this_thread(lanes: &[Lane]) -> Option<&Lane> {
    // There is a power of two of them.
    let at = thread::place() & lanes.len().wrapping_sub(1);
    lanes.get(at)
}

/// Twice as many as there are cores, so that threads that come and go seldom meet in one.
fn lanes() -> usize {
    static LANES: OnceLock<usize> = OnceLock::new();
    if !SPREADS {
        return 2;
    }
    let cores = || std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
    *LANES.get_or_init(|| (2 * cores()).next_power_of_two().min(32))
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use super::*;

    const TURN: u32 = 7;

    fn lanes() -> Lanes {
        let lanes = Lanes::new(Kept::AtHand);
        lanes.open(TURN, true);
        lanes
    }

    fn spread_lanes() -> Lanes {
        let lanes = lanes();
        lanes.spread();
        lanes.shut();
        lanes.open(TURN, true);
        lanes
    }

    fn begin(lanes: &Lanes) -> bool {
        lanes.change(Word::beginning).is_some()
    }

    fn succeed(lanes: &Lanes) -> bool {
        lanes.change(Word::succeeding).is_some()
    }

    fn on_another_thread<T: Send>(f: impl FnOnce() -> T + Send) -> T {
        std::thread::scope(|scope| scope.spawn(f).join().unwrap())
    }

    #[test]
    fn a_shut_word_counts_nothing_and_keeps_the_calls_of_its_turn() {
        for lanes in [lanes(), spread_lanes()] {
            assert!(begin(&lanes) && succeed(&lanes) && begin(&lanes));
            assert_eq!(lanes.shut(), 1);
            assert!(!begin(&lanes) && !succeed(&lanes));
            assert_eq!((lanes.shut(), lanes.leave(TURN)), (0, Left::Unknown));
            assert!(lanes.leave_shut(TURN) && !lanes.leave_shut(TURN - 1));
            lanes.open(TURN, true);
            assert_eq!(lanes.leave(TURN), Left::Here);
            assert_eq!(lanes.leave(TURN), Left::Unknown, "there is no other");
            assert_eq!(lanes.shut(), 0);
        }
    }

    #[test]
    fn a_turn_takes_over_no_call_of_the_last_one() {
        let lanes = lanes();
        assert!(begin(&lanes) && begin(&lanes) && succeed(&lanes));
        assert_eq!((lanes.shut(), lanes.take_begun()), (1, 2));
        lanes.open(TURN + 1, true);
        assert_eq!(lanes.leave(TURN), Left::Before);
        assert!(begin(&lanes));
        lanes.shut();
        lanes.open(TURN + 2, true);
        lanes.shut();
        assert_eq!(lanes.take_begun(), 0, "forgotten with its turn");
    }

    #[test]
    fn what_is_not_quiet_stays_shut() {
        let lanes = Lanes::new(Kept::AtHand);
        assert!(!succeed(&lanes));
        lanes.open(TURN, false);
        assert!(!succeed(&lanes) && !begin(&lanes));
        lanes.open(TURN, true);
        assert!(succeed(&lanes) && begin(&lanes));
    }

    #[test]
    fn a_full_count_says_so_and_flows_into_no_other() {
        let lanes = lanes();
        let most_begun = BEGUN / ONE_BEGUN;
        assert_eq!(
            (0..=most_begun).filter(|_| begin(&lanes)).count() as u64,
            most_begun
        );
        assert_eq!(
            (0..=PENDING).filter(|_| succeed(&lanes)).count() as u64,
            PENDING
        );
        assert_eq!((lanes.shut(), lanes.take_begun()), (PENDING, most_begun));
    }

    #[test]
    fn a_thread_has_a_word_once_it_has_held_the_lock_and_shares_it_with_no_neighbour() {
        let lanes = spread_lanes();
        assert!(begin(&lanes) && succeed(&lanes));
        on_another_thread(|| {
            thread::number();
            assert!(!succeed(&lanes), "it is not open yet");
            assert_eq!(lanes.shut(), 1);
            lanes.open(TURN, true);
            assert!(succeed(&lanes));
            assert_eq!(lanes.leave(TURN), Left::Here, "in whichever word it is");
        });
        assert!(succeed(&lanes));
        let counted = (lanes.all())
            .filter(|word| word.load(Ordering::Relaxed) & PENDING == 1)
            .count();
        assert_eq!(counted, 2);
    }

    #[test]
    fn a_call_that_began_before_there_were_more_words_is_still_there() {
        let lanes = lanes();
        assert!(begin(&lanes));
        lanes.spread();
        lanes.shut();
        lanes.open(TURN, true);
        lanes.shut();
        assert!(lanes.leave_shut(TURN) && !lanes.leave_shut(TURN));
    }

    #[test]
    fn words_are_added_when_threads_meet_and_not_to_what_there_are_many_of() {
        for (kept, spreads) in [(Kept::AtHand, true), (Kept::WhileInUse, false)] {
            let lanes = Lanes::new(kept);
            lanes.open(TURN, true);
            let mut met = false;
            let counted = lanes.change(|word| {
                if !std::mem::replace(&mut met, true) {
                    // Somebody comes in between.
                    assert!(on_another_thread(|| succeed(&lanes)));
                }
                word.succeeding()
            });
            assert!(counted.is_some());
            assert_eq!(lanes.more.get().is_some(), spreads);
            assert_eq!(lanes.shut(), 2);
        }
    }

    #[test]
    fn racing_threads_are_each_counted_once_across_any_number_of_turns() {
        const EACH: u64 = 20_000;
        let lanes = lanes();
        let (mut counted, mut begun) = (0, 0);
        let count = || {
            let mut refused = 0;
            for _ in 0..EACH {
                refused += u64::from(!succeed(&lanes));
                refused += u64::from(!begin(&lanes)) << 32;
            }
            refused
        };
        let mut turn = TURN;
        let refused: u64 = std::thread::scope(|scope| {
            let racers = [scope.spawn(count), scope.spawn(count), scope.spawn(count)];
            while !racers
                .iter()
                .all(std::thread::ScopedJoinHandle::is_finished)
            {
                counted += lanes.shut();
                begun += lanes.take_begun();
                turn += 1;
                lanes.open(turn, true);
            }
            racers.into_iter().map(|racer| racer.join().unwrap()).sum()
        });
        counted += lanes.shut();
        begun += lanes.take_begun();
        assert_eq!(counted + (refused & u64::from(u32::MAX)), 3 * EACH);
        assert_eq!(begun + (refused >> 32), 3 * EACH);
    }
}
