//! Randomness, passed in.

use std::cell::Cell;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A source of randomness for picks and jitter: not for secrets.
///
/// The default draws from a generator of the calling thread and is seeded from the system's entropy.
/// [`Rng::seeded`] gives the same sequence each run; its clones share that sequence. The generator
/// is SplitMix64 (Steele, Lea, Flood 2014).
///
/// # Cost
///
/// A few nanoseconds; the thread's generator shares nothing, a seeded one shares one atomic.
#[derive(Clone, Debug, Default)]
pub struct Rng(Source);

#[derive(Clone, Debug, Default)]
enum Source {
    #[default]
    Thread,
    Seeded(Arc<Seeded>),
}

/// 64 bits from an [`Rng`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bits(u64);

impl Bits {
    /// The number below `bound` that they fall on; 0 if `bound` is 0.
    #[inline]
    pub fn below(self, bound: usize) -> usize {
        self.within(bound).0
    }

    /// The same, and where in it they fall, in `0.0..1.0`: as even as they are, where `bound` is far below 2⁶⁴.
    #[inline]
    pub fn within(self, bound: usize) -> (usize, f64) {
        let wide = u128::from(self.0) * (bound as u128);
        #[expect(clippy::cast_possible_truncation, reason = "its lower half")]
        let rest = wide as u64;
        (usize::try_from(wide >> 64).unwrap_or(0), unit(rest))
    }
}

#[derive(Debug)]
struct Seeded {
    state: AtomicU64,
    turns: AtomicU64,
}

/// 2⁶⁴ over the golden ratio.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
/// So many sequences of turns a thread keeps apart.
const TURNS: usize = 64;

thread_local! {
    static THREAD: Cell<u64> = Cell::new(entropy());
    static THREADS_TURNS: [Cell<u64>; TURNS] = std::array::from_fn(|_| Cell::new(entropy()));
}

fn entropy() -> u64 {
    RandomState::new().build_hasher().finish()
}

impl Rng {
    /// Draws from the calling thread's own generator.
    pub const fn from_entropy() -> Self {
        Self(Source::Thread)
    }

    /// The sequence that `seed` names, shared by all clones.
    pub fn seeded(seed: u64) -> Self {
        Self(Source::Seeded(Arc::new(Seeded {
            state: AtomicU64::new(seed),
            turns: AtomicU64::new(mix(seed)),
        })))
    }

    /// The next 64 bits.
    #[inline]
    pub fn next_u64(&self) -> u64 {
        mix(self.advance(1).wrapping_add(STEP))
    }

    /// Goes on by so many, and returns where it was.
    #[inline]
    fn advance(&self, count: u64) -> u64 {
        let steps = STEP.wrapping_mul(count);
        match &self.0 {
            Source::Thread => THREAD.with(|state| {
                let before = state.get();
                state.set(before.wrapping_add(steps));
                before
            }),
            Source::Seeded(seeded) => seeded.state.fetch_add(steps, Ordering::Relaxed),
        }
    }

    /// The next 64 bits, for a place below whatever bound.
    #[inline]
    pub fn bits(&self) -> Bits {
        Bits(self.next_u64())
    }

    /// A number below `bound`, each as likely to within 2⁻³² of its share; 0 if `bound` is 0.
    #[inline]
    pub fn below(&self, bound: usize) -> usize {
        self.bits().below(bound)
    }

    /// A number below `bound`, each in its turn, or nearly so: of a stretch of any length each has its share to
    /// within two or three, where chance would be off by the root of it. 0 if `bound` is 0.
    ///
    /// Turns are the multiples of the golden ratio, which fall into each part of the unit interval as evenly as can be
    /// (Sós 1958; Knuth, The Art of Computer Programming 3, §6.4), and in which nothing that comes at regular intervals
    /// meets the same number each time. Whoever takes turns names its sequence by `of`, of which the last six bits
    /// count, so that others of the same thread take none of them; a seeded source has one sequence for all.
    #[inline]
    pub fn turn(&self, of: usize, bound: usize) -> usize {
        self.turn_bits(of).below(bound)
    }

    /// The turn itself.
    #[inline]
    pub fn turn_bits(&self, of: usize) -> Bits {
        Bits(self.next_turn(of))
    }

    /// A turn, and after it some that are chance, all of the same sequence.
    #[inline]
    pub fn turn_and_chance<const N: usize>(&self, of: usize) -> [Bits; N] {
        with_chance(self.next_turn(of))
    }

    /// What [`Rng::turn_and_chance`] gives next, unless somebody else takes a turn in between: to fetch what it leads to.
    #[inline]
    pub fn upcoming_turn_and_chance<const N: usize>(&self, of: usize) -> [Bits; N] {
        with_chance(self.upcoming_turn(of))
    }

    /// A turn as a number in `0.0..1.0`.
    #[inline]
    pub fn turn_unit(&self, of: usize) -> f64 {
        unit(self.next_turn(of))
    }

    #[inline]
    fn next_turn(&self, of: usize) -> u64 {
        match &self.0 {
            Source::Thread => in_thread(of, |turns| {
                let next = turns.get().wrapping_add(STEP);
                turns.set(next);
                next
            }),
            Source::Seeded(seeded) => seeded.turns.fetch_add(STEP, Ordering::Relaxed),
        }
    }

    #[inline]
    fn upcoming_turn(&self, of: usize) -> u64 {
        match &self.0 {
            Source::Thread => in_thread(of, |turns| turns.get().wrapping_add(STEP)),
            Source::Seeded(seeded) => seeded.turns.load(Ordering::Relaxed),
        }
    }

    /// A number in `0.0..1.0`.
    #[inline]
    pub fn unit(&self) -> f64 {
        unit(self.next_u64())
    }
}

/// With the thread's sequence of this name.
#[inline]
fn in_thread(of: usize, with: impl FnOnce(&Cell<u64>) -> u64) -> u64 {
    #[expect(clippy::indexing_slicing, reason = "a remainder by their number")]
    THREADS_TURNS.with(|turns| with(&turns[of % TURNS]))
}

#[inline]
fn with_chance<const N: usize>(turn: u64) -> [Bits; N] {
    let mut chance = mix(turn);
    let mut bits = turn;
    std::array::from_fn(|_| {
        let drawn = Bits(bits);
        chance = chance.wrapping_add(STEP);
        bits = mix(chance);
        drawn
    })
}

#[inline]
fn unit(bits: u64) -> f64 {
    (bits >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
}

#[inline]
const fn mix(state: u64) -> u64 {
    let z = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_names_one_sequence_and_clones_share_it() {
        let (one, other) = (Rng::seeded(7), Rng::seeded(7));
        let clone = other.clone();
        assert_eq!(one.next_u64(), other.next_u64());
        assert_eq!(one.next_u64(), clone.next_u64());
        assert_eq!(one.next_u64(), other.next_u64());
    }

    #[test]
    fn a_bounded_draw_reaches_every_number_below_its_bound_and_none_above() {
        let rng = Rng::seeded(1);
        let mut seen = [0_u32; 7];
        for _ in 0..7_000 {
            seen[rng.below(7)] += 1;
        }
        assert!(seen.iter().all(|&n| (800..1_200).contains(&n)), "{seen:?}");
        assert_eq!(rng.below(0), 0);
    }

    #[test]
    fn what_is_drawn_next_is_known_before_it_is_drawn() {
        for rng in [Rng::seeded(3), Rng::from_entropy()] {
            for _ in 0..10 {
                let next: [Bits; 5] = rng.upcoming_turn_and_chance(1);
                assert_eq!(next, rng.turn_and_chance(1));
            }
        }
    }

    #[test]
    fn a_turn_is_the_same_whether_anything_is_drawn_with_it() {
        let (one, other) = (Rng::seeded(3), Rng::seeded(3));
        for _ in 0..10 {
            let [turn, ..]: [Bits; 5] = one.turn_and_chance(1);
            assert_eq!(turn.below(1_000), other.turn(1, 1_000));
        }
    }

    #[test]
    fn what_is_drawn_with_a_turn_is_chance_whatever_turn_it_is() {
        let rng = Rng::seeded(5);
        let mut seen = [[[0_u32; 5]; 5]; 5];
        for _ in 0..125_000 {
            let [turn, one, other] = rng.turn_and_chance(0).map(|bits: Bits| bits.below(5));
            seen[turn][one][other] += 1;
        }
        let counts = seen.as_flattened().as_flattened();
        assert!(counts.iter().all(|n| (850..1_150).contains(n)), "{seen:?}");
    }

    #[test]
    fn where_bits_fall_in_their_place_is_as_even_as_which_place_that_is() {
        let rng = Rng::seeded(6);
        let mut seen = [[0_u32; 4]; 3];
        for _ in 0..12_000 {
            let (place, at) = rng.bits().within(3);
            seen[place][Bits(unit_bits(at)).below(4)] += 1;
        }
        let even = seen.as_flattened().iter().all(|n| (850..1_150).contains(n));
        assert!(even, "{seen:?}");
        assert_eq!(Bits(u64::MAX).within(0).0, 0);
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "0 to 1"
    )]
    fn unit_bits(at: f64) -> u64 {
        ((at * (1_u64 << 32) as f64) as u64) << 32
    }

    #[test]
    fn of_any_stretch_of_turns_each_number_has_its_share() {
        for rng in [Rng::seeded(7), Rng::from_entropy()] {
            for bound in [1, 2, 3, 5, 10, 50] {
                let turns: Vec<usize> = (0..2_000).map(|_| rng.turn(1, bound)).collect();
                for length in [1, bound, 7 * bound, 500] {
                    for stretch in turns.windows(length) {
                        let share = length as f64 / bound as f64;
                        let count = stretch.iter().filter(|it| **it == bound / 2).count();
                        let off = (count as f64 - share).abs();
                        assert!(off < 3.0, "{count} of {length} below {bound}");
                    }
                }
            }
        }
        assert_eq!(Rng::seeded(1).turn(0, 0), 0);
    }

    #[test]
    fn sequences_of_turns_do_not_disturb_each_other() {
        let rng = Rng::from_entropy();
        let first = rng.turn_unit(1);
        for _ in 0..1_000 {
            let _ = rng.turn_unit(2);
        }
        let step = (rng.turn_unit(1) - first).rem_euclid(1.0);
        assert!((step - 0.618_034).abs() < 1e-6, "{step}");
    }

    #[test]
    fn a_unit_draw_stays_in_its_interval() {
        let rng = Rng::seeded(2);
        assert!(
            (0..10_000)
                .map(|_| rng.unit())
                .all(|x| (0.0..1.0).contains(&x))
        );
    }

    #[test]
    fn two_threads_draw_different_sequences() {
        let draw = || Rng::from_entropy().next_u64();
        let other = std::thread::spawn(draw).join().unwrap();
        assert_ne!(draw(), other);
    }
}
