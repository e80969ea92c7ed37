//! Which of some bids is taken.
//!
//! The cheapest, and chance among all that are as cheap to within the noise band. Without the band
//! every client of a healthy pool would run after the same endpoint for a difference that is none;
//! with it a healthy pool is balanced as by least requests.
//!
//! The cost of a bid is the time to a good answer times its load, where the load is
//! `1 + in flight × mean weight / weight`: the weights shape how much each bears, and by the
//! weighted draw also where nothing is in flight.

use buttress_core::rng::Rng;

/// Pools up to this size are looked at whole.
pub(crate) const SCAN: usize = 16;

/// What a request would cost at an endpoint, and that endpoint's weight where others bid as much.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Bid {
    pub(crate) index: usize,
    pub(crate) cost: f64,
    pub(crate) weight: f64,
}

/// Bids, without an allocation.
#[derive(Debug)]
pub(crate) struct Bids {
    list: [Bid; SCAN],
    len: usize,
    cheapest: f64,
}

impl Bids {
    pub(crate) fn new() -> Self {
        Self {
            list: [Bid::default(); SCAN],
            len: 0,
            cheapest: f64::INFINITY,
        }
    }

    /// Adds one; there is room for [`SCAN`].
    #[inline]
    pub(crate) fn push(&mut self, bid: Bid) {
        if let Some(place) = self.list.get_mut(self.len) {
            *place = bid;
            self.len += 1;
            self.cheapest = self.cheapest.min(bid.cost);
        }
    }

    /// The index of the endpoint whose bid is taken, if there is any.
    #[inline]
    pub(crate) fn choose(&self, noise_band: f64, rng: &Rng) -> Option<usize> {
        let limit = self.cheapest * (1.0 + noise_band);
        let tied = || {
            self.list
                .iter()
                .take(self.len)
                .filter(|it| it.cost <= limit)
        };
        let total: f64 = tied().map(|it| it.weight).sum();
        let mut left = rng.unit() * total;
        let mut chosen = None;
        for bid in tied() {
            chosen = Some(bid.index);
            left -= bid.weight;
            if left < 0.0 {
                break;
            }
        }
        chosen
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use buttress_core::rng::Rng;
    use proptest::prelude::*;

    fn bids(costs_and_weights: &[(f64, f64)]) -> Bids {
        let mut bids = Bids::new();
        for (index, &(cost, weight)) in costs_and_weights.iter().enumerate() {
            bids.push(Bid {
                index,
                cost,
                weight,
            });
        }
        bids
    }

    fn shares(bids: &Bids, picks: u32) -> [f64; SCAN] {
        let rng = Rng::seeded(7);
        let mut counts = [0_u32; SCAN];
        for _ in 0..picks {
            counts[bids.choose(0.25, &rng).unwrap()] += 1;
        }
        counts.map(|count| f64::from(count) / f64::from(picks))
    }

    #[test]
    fn chance_decides_among_the_equally_good_and_starves_none() {
        let shares = shares(&bids(&[(1.0, 1.0), (1.2, 1.0), (1.1, 1.0)]), 30_000);
        assert!(
            shares
                .iter()
                .take(3)
                .all(|share| (0.31..0.36).contains(share)),
            "{shares:?}"
        );
    }

    #[test]
    fn a_tie_is_drawn_by_weight() {
        let shares = shares(&bids(&[(1.0, 3.0), (1.0, 1.0)]), 30_000);
        assert!((shares[0] - 0.75).abs() < 0.02, "{shares:?}");
    }

    #[test]
    fn one_that_is_dearer_than_the_band_is_never_taken() {
        let shares = shares(&bids(&[(1.3, 100.0), (1.0, 1.0)]), 10_000);
        assert!(shares[0] == 0.0);
    }

    #[test]
    fn nobody_is_chosen_from_nobody() {
        assert_eq!(bids(&[]).choose(0.25, &Rng::seeded(1)), None);
    }

    proptest! {
        #[test]
        fn the_chosen_is_within_the_band_of_the_cheapest(
            costs in proptest::collection::vec((0.001..1e12_f64, 1.0..1000.0_f64), 1..=SCAN),
            band in 0.0..2.0_f64,
            seed: u64,
        ) {
            let chosen = bids(&costs).choose(band, &Rng::seeded(seed));
            let cheapest = costs.iter().map(|it| it.0).fold(f64::INFINITY, f64::min);
            prop_assert!(costs[chosen.unwrap()].0 <= cheapest * (1.0 + band));
        }
    }
}
