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
    Seeded(Arc<AtomicU64>),
}

const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

thread_local! {
    static THREAD: Cell<u64> = Cell::new(RandomState::new().build_hasher().finish());
}

impl Rng {
    /// Draws from the calling thread's own generator.
    pub const fn from_entropy() -> Self {
        Self(Source::Thread)
    }

    /// The sequence that `seed` names, shared by all clones.
    pub fn seeded(seed: u64) -> Self {
        Self(Source::Seeded(Arc::new(AtomicU64::new(seed))))
    }

    /// The next 64 bits.
    #[inline]
    pub fn next_u64(&self) -> u64 {
        let state = match &self.0 {
            Source::Thread => THREAD.with(|state| {
                let next = state.get().wrapping_add(STEP);
                state.set(next);
                next
            }),
            Source::Seeded(state) => state.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP),
        };
        mix(state)
    }

    /// A number below `bound`, each as likely to within 2⁻³² of its share; 0 if `bound` is 0.
    #[inline]
    pub fn below(&self, bound: usize) -> usize {
        let wide = u128::from(self.next_u64()) * (bound as u128);
        usize::try_from(wide >> 64).unwrap_or(0)
    }

    /// A number in `0.0..1.0`.
    #[inline]
    pub fn unit(&self) -> f64 {
        (self.next_u64() >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
    }
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
