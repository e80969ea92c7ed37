//! Each in its turn, and as often as its weight says.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::atomic::{AtomicUsize, Ordering};

use buttress_core::rng::Rng;

use crate::view::View;

/// Turns for each endpoint, in the mean, by which weights are told apart.
const TURNS: u64 = 16;

/// The order of turns, and whose it is.
#[derive(Debug)]
pub(super) struct RoundRobin {
    order: Box<[u32]>,
    next: AtomicUsize,
}

impl RoundRobin {
    pub(super) fn new(weights: &[u32], rng: &Rng) -> Self {
        let weights: Vec<u64> = weights.iter().copied().map(u64::from).collect();
        let order = order(&turns(&weights));
        let next = AtomicUsize::new(rng.below(order.len()));
        Self { order, next }
    }

    /// Whoever's turn it is. The turn of one that is out passes to the one after; as a turn is taken, and not the
    /// place of another, the rest stays even.
    pub(super) fn pick(&self, view: &View<'_>) -> Option<usize> {
        let turn = |_| {
            let turn = self.next.fetch_add(1, Ordering::Relaxed) % self.order.len();
            self.order.get(turn).map(|index| *index as usize)
        };
        let mut turns = self.order.iter().filter_map(turn);
        turns
            .find(|&index| view.get(index).is_some())
            .or_else(|| view.any_by_weight())
    }
}

/// How many turns each of `weights` has: the weights themselves in lowest terms, where these are few enough.
fn turns(weights: &[u64]) -> Vec<u64> {
    let divisor = weights.iter().copied().fold(0, common_divisor).max(1);
    let most = TURNS * weights.len() as u64;
    let total: u64 = weights.iter().map(|weight| weight / divisor).sum();
    let scaled = |weight: &u64| match weight / divisor {
        0 => 0,
        weight if total <= most => weight,
        weight => {
            let scaled = u128::from(weight) * u128::from(most) / u128::from(total);
            u64::try_from(scaled).unwrap_or(most).max(1)
        }
    };
    weights.iter().map(scaled).collect()
}

fn common_divisor(one: u64, other: u64) -> u64 {
    if other == 0 {
        one
    } else {
        common_divisor(other, one % other)
    }
}

/// The turns of all, spread evenly: the n-th of an endpoint with w turns is due at (n − ½) / w, and the earliest is
/// next.
fn order(turns: &[u64]) -> Box<[u32]> {
    let due = |nth: u64, of: u64| Reverse(Due(((2 * nth + 1) << 32) / (2 * of)));
    let mut queue: BinaryHeap<_> = (0_u32..)
        .zip(turns)
        .filter(|(_, of)| **of > 0)
        .map(|(index, &of)| (due(0, of), Reverse(index), 0, of))
        .collect();
    let mut order = Vec::with_capacity(queue.len());
    while let Some((_, index, nth, of)) = queue.pop() {
        order.push(index.0);
        if nth + 1 < of {
            queue.push((due(nth + 1, of), index, nth + 1, of));
        }
    }
    order.into()
}

/// When a turn is due, in parts of 2³² of a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Due(u64);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn turns_are_spread_and_not_bunched() {
        assert_eq!(*order(&[5, 1, 1]), [0, 0, 0, 1, 2, 0, 0]);
        assert_eq!(*order(&[3, 2]), [0, 1, 0, 1, 0]);
        assert_eq!(*order(&[1, 1, 1]), [0, 1, 2]);
        assert!(order(&[]).is_empty() && order(&[0, 0]).is_empty());
    }

    #[test]
    fn weights_are_in_lowest_terms_and_large_ones_scaled_down() {
        assert_eq!(turns(&[200, 100, 0]), [2, 1, 0]);
        assert_eq!(turns(&[u64::from(u32::MAX), 1]), [31, 1]);
        assert!(turns(&[]).is_empty());
    }

    proptest! {
        /// At any moment of a round nobody is more than two turns ahead of its share, or behind it.
        #[test]
        fn nobody_is_two_turns_from_its_share(weights in proptest::collection::vec(0..40_u64, 1..12)) {
            let turns = turns(&weights);
            let order = order(&turns);
            let total: u64 = turns.iter().sum();
            prop_assert_eq!(order.len() as u64, total);
            let mut taken = vec![0_u64; turns.len()];
            for (passed, &index) in order.iter().enumerate() {
                taken[index as usize] += 1;
                for (taken, turns) in taken.iter().zip(&turns) {
                    let due = (passed + 1) as f64 * *turns as f64 / total as f64;
                    prop_assert!((*taken as f64 - due).abs() < 2.0, "{taken} for {due}");
                }
            }
            prop_assert_eq!(taken, turns);
        }
    }
}
