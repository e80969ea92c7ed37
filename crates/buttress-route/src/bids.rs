//! Which of some bids is taken.
//!
//! The cheapest, and among all that are as cheap to within the noise band each in its turn. Without the
//! band every client of a healthy pool would run after the same endpoint for a difference that is none; with it a healthy
//! pool is balanced as by least requests. However much is in flight, one request more or less is no noise: the band is never
//! wider than what it makes of a single request. Turns, and not chance: what one router of many has in flight shows it little
//! of how busy an endpoint is, and chance would now and then send one more than the others.
//!
//! The cost of a bid is the time to a good answer times its load, where the load is
//! `1 + in flight × mean weight / weight`: the weights shape how much each bears, and by the
//! turns by weight also where nothing is in flight.

use buttress_core::rng::Rng;

/// Pools up to this size are looked at whole.
pub(crate) const SCAN: usize = 16;

/// What is held for no difference.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Band {
    /// Of the cheapest, this share.
    pub(crate) share: f64,
    /// At most that of what a request costs at a usual endpoint that has nothing else to do.
    pub(crate) one: f64,
}

/// What a request would cost at each of a few endpoints, by their place among these. Without an allocation, and
/// without a branch for who is cheaper than whom, which nobody could foretell.
#[derive(Debug)]
pub(crate) struct Bids<'a, const N: usize = SCAN> {
    /// Elsewhere, so that the rest is kept in registers.
    costs: &'a mut [f64; N],
    /// How many of these are anybody's.
    places: usize,
    cheapest: f64,
}

impl<'a, const N: usize> Bids<'a, N> {
    /// Room for the bids of `N` endpoints; infinite of one that does not bid.
    pub(crate) const NONE: [f64; N] = [f64::INFINITY; N];

    /// No bids yet, and room for those of so many endpoints, up to `N`.
    #[inline]
    pub(crate) const fn new(costs: &'a mut [f64; N], places: usize) -> Self {
        Self {
            costs,
            places,
            cheapest: f64::INFINITY,
        }
    }

    /// The bid of the endpoint at `place`, once of each.
    #[inline]
    pub(crate) fn set(&mut self, place: usize, cost: f64) {
        if let Some(bid) = self.costs.get_mut(place) {
            *bid = cost;
        }
        self.cheapest = smaller(self.cheapest, cost);
    }

    /// What the cheapest bids; infinite where nobody does.
    #[inline]
    pub(crate) const fn cheapest(&self) -> f64 {
        self.cheapest
    }

    /// The place whose bid is taken, if there is any: that of `first` if it is tied, or else any that is, each as
    /// likely.
    ///
    /// Mostly all are tied. Where those that are drawn first are spread evenly, so are then all.
    #[inline]
    pub(crate) fn choose(&self, first: usize, band: Band, rng: &Rng) -> Option<usize> {
        let limit = self.limit(band);
        let is_tied = |place: usize| self.costs.get(place).is_some_and(|cost| *cost <= limit);
        if is_tied(first) {
            return Some(first);
        }
        // As likely as any that is tied, whatever was drawn before.
        let second = rng.below(self.places);
        if is_tied(second) {
            return Some(second);
        }
        self.choose_of_all(limit, rng)
    }

    /// The first place of those whose bids are tied, if there is any: what was drawn by chance needs no more of it.
    #[inline]
    pub(crate) fn first_tied(&self, band: Band) -> Option<usize> {
        let limit = self.limit(band);
        // Mostly, and foretold then.
        if self.costs.first().is_some_and(|cost| *cost <= limit) {
            return Some(0);
        }
        let bits = self.costs.iter().rev();
        let tied = bits.fold(0_u32, |tied, cost| tied << 1 | u32::from(*cost <= limit));
        (tied != 0).then_some(tied.trailing_zeros() as usize)
    }

    #[inline(never)]
    fn choose_of_all(&self, limit: f64, rng: &Rng) -> Option<usize> {
        let tied = self.costs.iter().map(|cost| usize::from(*cost <= limit));
        let mut left = rng.below(tied.clone().sum()).cast_signed();
        let mut places = tied.map(|tied| {
            left -= tied.cast_signed();
            left
        });
        places.position(|left| left < 0)
    }

    /// The same, where the weights of those that are tied are laid one after the other, and `at` is where in all of
    /// them, 0 to 1.
    #[inline]
    pub(crate) fn choose_by(
        &self,
        weight: impl Fn(usize) -> f64,
        band: Band,
        at: f64,
    ) -> Option<usize> {
        let limit = self.limit(band);
        let bids = || self.costs.iter().enumerate();
        let tied = || bids().filter_map(|(place, cost)| (*cost <= limit).then_some(place));
        let mut left = at * tied().map(&weight).sum::<f64>();
        let mut chosen = None;
        for place in tied() {
            chosen = Some(place);
            left -= weight(place);
            if left < 0.0 {
                break;
            }
        }
        chosen
    }

    /// What is as cheap as the cheapest to within the band costs no more. Nobody bids infinitely much.
    #[inline]
    fn limit(&self, band: Band) -> f64 {
        smaller(band.above(self.cheapest), f64::MAX)
    }
}

impl Band {
    /// Up to where what costs more than `cost` costs no more.
    #[inline]
    pub(crate) fn above(self, cost: f64) -> f64 {
        cost + smaller(cost, self.one) * self.share
    }
}

/// Of two numbers, of which `f64::min` would ask whether they are any.
#[inline]
fn smaller(one: f64, other: f64) -> f64 {
    if other < one { other } else { one }
}

#[cfg(test)]
mod tests {
    use super::*;
    use buttress_core::rng::Rng;
    use proptest::prelude::*;

    fn bids<'a>(room: &'a mut [f64; SCAN], costs: &[f64]) -> Bids<'a> {
        let mut bids = Bids::new(room, costs.len());
        for (place, &cost) in costs.iter().enumerate() {
            bids.set(place, cost);
        }
        bids
    }

    const BAND: Band = Band {
        share: 0.25,
        one: f64::INFINITY,
    };

    fn shares(picks: u32, choose: impl Fn(&Rng) -> Option<usize>) -> [f64; SCAN] {
        let rng = Rng::seeded(7);
        let mut counts = [0_u32; SCAN];
        for _ in 0..picks {
            counts[choose(&rng).unwrap()] += 1;
        }
        counts.map(|count| f64::from(count) / f64::from(picks))
    }

    #[test]
    fn chance_decides_among_the_equally_good_and_starves_none() {
        let room = &mut { Bids::<SCAN>::NONE };
        let bids = bids(room, &[1.0, f64::INFINITY, 1.2, 1.1]);
        let shares = shares(30_000, |rng| bids.choose(rng.below(SCAN), BAND, rng));
        for place in [0, 2, 3] {
            assert!((shares[place] - 1.0 / 3.0).abs() < 0.02, "{shares:?}");
        }
    }

    #[test]
    fn who_has_its_turn_has_it_if_it_is_tied() {
        let room = &mut { Bids::NONE };
        let (bids, rng) = (bids(room, &[1.0, 2.0, 1.1]), Rng::seeded(1));
        for _ in 0..100 {
            assert_eq!(bids.choose(2, BAND, &rng), Some(2));
            assert_ne!(bids.choose(1, BAND, &rng), Some(1));
        }
    }

    #[test]
    fn a_tie_is_drawn_by_weight() {
        let weights = [3.0, 100.0, 0.0, 1.0];
        let room = &mut { Bids::<SCAN>::NONE };
        let bids = bids(room, &[1.0, 1.3, 1.1, 1.0]);
        let choose = |rng: &Rng| bids.choose_by(|place| weights[place], BAND, rng.unit());
        let shares = shares(30_000, choose);
        assert!((shares[0] - 0.75).abs() < 0.02, "{shares:?}");
        assert!((shares[3] - 0.25).abs() < 0.02, "{shares:?}");
    }

    #[test]
    fn of_those_that_were_drawn_the_first_that_is_tied_is_taken() {
        let room = &mut { Bids::<SCAN>::NONE };
        assert_eq!(bids(room, &[1.1, 1.0, 2.0]).first_tied(BAND), Some(0));
        let room = &mut { Bids::<SCAN>::NONE };
        let dear = [2.0, f64::INFINITY, 1.3, 1.1, 1.0];
        assert_eq!(bids(room, &dear).first_tied(BAND), Some(3));
        let room = &mut { Bids::<SCAN>::NONE };
        assert_eq!(bids(room, &[f64::INFINITY, 1.0]).first_tied(BAND), Some(1));
    }

    #[test]
    fn one_that_is_dearer_than_the_band_is_never_taken() {
        let room = &mut { Bids::<SCAN>::NONE };
        let bids = bids(room, &[1.3, 1.0]);
        assert!(shares(10_000, |rng| bids.choose(rng.below(SCAN), BAND, rng))[0] == 0.0);
    }

    #[test]
    fn a_request_more_in_flight_is_no_noise_however_many_there_are() {
        let room = &mut { Bids::<SCAN>::NONE };
        let band = Band { one: 1.0, ..BAND };
        // So many and the one that is asked for, at endpoints that are alike.
        let bids = bids(room, &[21.0, 20.0, 22.0, 20.2]);
        let shares = shares(10_000, |rng| bids.choose(rng.below(SCAN), band, rng));
        assert!(shares[0] + shares[2] == 0.0, "{shares:?}");
        assert!((shares[3] - 0.5).abs() < 0.03, "{shares:?}");
    }

    #[test]
    fn nobody_is_chosen_from_nobody_nor_for_what_is_no_number() {
        for nobody in [&[][..], &[f64::INFINITY; 2], &[f64::NAN]] {
            let room = &mut { Bids::<SCAN>::NONE };
            let (bids, rng) = (bids(room, nobody), Rng::seeded(1));
            assert_eq!(bids.choose(0, BAND, &rng), None);
            assert_eq!(bids.first_tied(BAND), None);
            assert_eq!(bids.choose_by(|_| 1.0, BAND, 0.5), None);
        }
    }

    proptest! {
        #[test]
        fn whoever_is_chosen_is_within_the_band_of_the_cheapest(
            costs in proptest::collection::vec((1e-3..1e9_f64, 1.0..100.0_f64), 1..=SCAN),
            share in 0.0..2.0_f64,
            one in 1e-3..1e9_f64,
            seed: u64,
        ) {
            let (costs, weights): (Vec<_>, Vec<_>) = costs.into_iter().unzip();
            let room = &mut { Bids::<SCAN>::NONE };
            let (bids, rng) = (bids(room, &costs), Rng::seeded(seed));
            let cheapest = costs.iter().copied().fold(f64::INFINITY, f64::min);
            let most = cheapest + share * cheapest.min(one);
            let band = Band { share, one };
            for chosen in [
                bids.choose(rng.below(costs.len()), band, &rng),
                bids.choose_by(|place| weights[place], band, rng.unit()),
                bids.first_tied(band),
            ] {
                prop_assert!(costs[chosen.unwrap()] <= most);
            }
        }
    }
}
