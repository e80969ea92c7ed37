//! Where on a ring each endpoint is, and who is nearest to a key.
//!
//! Multi-probe consistent hashing (Appleton, O'Reilly 2015): a key has several places on the ring, and belongs to the
//! endpoint that is nearest after one of them. What an endpoint's distance is does not depend on who else is there, so
//! that a key moves with its endpoint alone; beside the usual ring a tenth of the places does for shares that are as even.
//! Distances are beside the endpoint's weight, as the times of weighted rendezvous are (Schindelhauer, Schomaker 2005).

use crate::affinity::mix;
use crate::seat::Told;

/// Places of an endpoint on the ring, and of a key. The share of an endpoint is off its due by some 4 %.
const POINTS: u32 = 32;
const PROBES: u64 = 8;
/// After each of a key's places no more are looked at: all of a pool of 32. Who is beyond is not found, however heavy.
const LOOKED_AT: usize = 32 * POINTS as usize;
/// What the hashes of an endpoint's and a key's places differ by.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

#[derive(Debug)]
pub(super) struct Ring {
    /// In their order on the ring.
    points: Box<[Point]>,
    /// The first point of each part of the ring, of which there are about as many as points.
    parts: Box<[u32]>,
    /// By how much a place is shifted for its part.
    shift: u32,
    /// By index.
    weights: Box<[f32]>,
    heaviest: f64,
}

/// Half a cache line holds four: of many endpoints most of a look-up is waiting for these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Point {
    at: u32,
    index: u32,
}

impl Ring {
    /// The ring of `endpoints`. Who has no weight is not on it.
    pub(super) fn new(endpoints: &[Told]) -> Self {
        let bearing = (0..).zip(endpoints).filter(|(_, told)| told.weight > 0);
        let mut points: Box<[Point]> = bearing
            .flat_map(|(index, told)| points(index, told))
            .collect();
        points.sort_unstable();
        let parts = points.len().next_power_of_two().max(2);
        let shift = u32::BITS.saturating_sub(parts.trailing_zeros());
        let weights: Box<[f32]> = endpoints.iter().map(|told| told.weight as f32).collect();
        let heaviest = weights.iter().copied().fold(1.0, f32::max);
        Self {
            parts: first_of_each(&points, parts, shift),
            points,
            shift,
            weights,
            heaviest: heaviest.into(),
        }
    }

    /// Of those near to `key` that `may_be`, the nearest.
    #[inline]
    pub(super) fn nearest(&self, key: u64, may_be: impl Fn(usize) -> bool) -> Option<usize> {
        let (mut best, mut nearest) = (f64::INFINITY, None);
        for place in places(key) {
            for point in self.after(place) {
                let distance = f64::from(point.at.wrapping_sub(place));
                // Nobody further on is nearer, whatever their weight.
                if distance >= best * self.heaviest {
                    break;
                }
                let index = point.index as usize;
                let distance = distance / self.weight(index);
                if distance < best && may_be(index) {
                    (best, nearest) = (distance, Some(index));
                }
            }
        }
        nearest
    }

    fn weight(&self, index: usize) -> f64 {
        self.weights.get(index).copied().unwrap_or(1.0).into()
    }

    /// The points from `place` on, round the ring, as many as are looked at.
    fn after(&self, place: u32) -> impl Iterator<Item = &Point> {
        let from = self.parts.get((place >> self.shift) as usize);
        let from = from.map_or(0, |first| *first as usize);
        let (before, after) = self.points.split_at_checked(from).unwrap_or_default();
        let round = after.iter().skip_while(move |point| point.at < place);
        round.chain(before).take(LOOKED_AT)
    }
}

/// Those of a key.
fn places(key: u64) -> impl Iterator<Item = u32> {
    (0..PROBES).map(move |nth| (mix(key.wrapping_add(nth.wrapping_mul(STEP))) >> 32) as u32)
}

/// Those of an endpoint.
fn points(index: u32, told: &Told) -> impl Iterator<Item = Point> + use<> {
    let hash = told.hash;
    let at = move |nth: u64| (mix(hash ^ mix(nth.wrapping_mul(STEP))) >> 32) as u32;
    (1..=POINTS.into()).map(move |nth| Point { at: at(nth), index })
}

fn first_of_each(points: &[Point], parts: usize, shift: u32) -> Box<[u32]> {
    let (mut firsts, mut next) = (Vec::with_capacity(parts), 0_u32);
    let mut left = points.iter().peekable();
    for part in 0..parts {
        while left
            .next_if(|point| ((point.at >> shift) as usize) < part)
            .is_some()
        {
            next += 1;
        }
        firsts.push(next);
    }
    firsts.into()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::endpoint::About;

    fn told(weights: &[u32]) -> Vec<Told> {
        let told = |(index, weight): (u64, &u32)| Told {
            weight: *weight,
            place: 0,
            hash: mix(index),
            about: About::default(),
        };
        (0..).zip(weights).map(told).collect()
    }

    /// The share of the keys that each has, beside its due.
    fn parts_of_their_due(weights: &[u32], keys: u64) -> Vec<f64> {
        let ring = Ring::new(&told(weights));
        let mut counts = vec![0.0; weights.len()];
        for key in 0..keys {
            counts[ring.nearest(mix(key), |_| true).unwrap()] += 1.0;
        }
        let total: u32 = weights.iter().sum();
        let due = |weight: &u32| keys as f64 * f64::from(*weight) / f64::from(total);
        counts
            .iter()
            .zip(weights)
            .map(|(count, weight)| count / due(weight))
            .collect()
    }

    #[test]
    fn each_has_its_share_of_keys() {
        for weights in [
            &[1; 3][..],
            &[1; 10],
            &[1; 100],
            &[1, 2, 3, 4, 10],
            &[1, 100],
        ] {
            let parts = parts_of_their_due(weights, 100_000);
            assert!(
                parts.iter().all(|part| (0.75..1.25).contains(part)),
                "{parts:?}"
            );
        }
    }

    #[test]
    fn nobody_is_nearest_on_an_empty_ring_and_whoever_is_alone_always_is() {
        assert_eq!(Ring::new(&[]).nearest(7, |_| true), None);
        assert_eq!(Ring::new(&told(&[0, 0])).nearest(7, |_| true), None);
        let ring = Ring::new(&told(&[0, 5]));
        assert!((0..1_000).all(|key| ring.nearest(mix(key), |_| true) == Some(1)));
    }

    /// By the distance of each point from each place, one by one.
    fn by_hand(all: &[Told], key: u64, may_be: impl Fn(usize) -> bool) -> Option<usize> {
        let distance = |(point, told): &(Point, &Told)| {
            let from = |place| f64::from(point.at.wrapping_sub(place)) / f64::from(told.weight);
            places(key).map(from).fold(f64::INFINITY, f64::min)
        };
        let bearing = (0..)
            .zip(all)
            .filter(|it| it.1.weight > 0 && may_be(it.0 as usize));
        let points =
            bearing.flat_map(|(index, told)| points(index, told).map(move |it| (it, told)));
        let nearest = points.min_by(|one, other| distance(one).total_cmp(&distance(other)));
        nearest.map(|(point, _)| point.index as usize)
    }

    proptest! {
        #[test]
        fn the_nearest_is_found(
            weights in proptest::collection::vec(0..9_u32, 0..33),
            key: u64,
            barred in proptest::collection::vec(any::<bool>(), 33),
        ) {
            let all = told(&weights);
            let ring = Ring::new(&all);
            let may_be = |index: usize| !barred[index];
            prop_assert_eq!(ring.nearest(key, may_be), by_hand(&all, key, may_be));
            prop_assert_eq!(ring.nearest(key, |_| true), by_hand(&all, key, |_| true));
        }
    }
}
