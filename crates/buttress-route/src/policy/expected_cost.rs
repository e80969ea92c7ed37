//! The least expected cost, and each in its turn of all within the noise band of it.
//!
//! Of those that are drawn only the one that is chosen is brought up to date: in a large pool hardly any has been
//! looked at of late, and each would have to be fetched from memory. The others are by and by, when the pool is looked
//! at as a whole. Whoever the next pick draws is known as well, and a processor is asked to fetch them: they come while it
//! does something else.

use buttress_core::rng::Bits;

use super::drawn_by;
use crate::alias::AliasTable;
use crate::bids::{Bids, SCAN};
use crate::seat::Told;
use crate::view::View;

/// Of pools that are not looked at whole this many are drawn. With a tenth of the pool bad, all five drawn are bad once in
/// 100,000 times; with two it would be once in a hundred.
const DRAWN: usize = 5;
/// How often endpoints are drawn at most, where all that are drawn are out, before all are looked at; or where they are dear,
/// before the least dear is taken. With a third of the pool slow all five drawn are in one pick of 250.
const DRAWS: usize = 4;
/// Whoever costs so many times what a request to a usual endpoint does, as busy as they are in the mean, is dear.
const DEAR: f64 = 3.0;
/// Whoever is taken of those that were drawn, and what the cheapest of them costs: that one's own cost to within the band.
type Drawn = Option<(usize, f64)>;
/// The index of no endpoint.
const NOBODY: usize = usize::MAX;

/// `alike`: no weight is other than the rest.
#[inline]
pub(super) fn pick(view: &View<'_>, draws: Option<&AliasTable>, alike: bool) -> Option<usize> {
    if view.len() > SCAN {
        return drawn(view, draws);
    }
    if view.len() == 1 {
        return view.is_open(0).then_some(0);
    }
    cheapest(view, alike, |index| view.bid(index)).or_else(|| at_need(view, alike))
}

/// All that take traffic are on their way back, and none was given the request: somebody has to take it.
#[cold]
fn at_need(view: &View<'_>, alike: bool) -> Option<usize> {
    cheapest(view, alike, |index| view.bid_at_need(index))
}

/// By what is bid at each index.
#[inline]
fn cheapest(view: &View<'_>, alike: bool, bid: impl Fn(usize) -> Option<f64>) -> Option<usize> {
    let mut costs = Bids::<SCAN>::NONE;
    let mut bids = Bids::new(&mut costs, view.len());
    for index in 0..view.len() {
        if let Some(cost) = bid(index) {
            bids.set(index, cost);
        }
    }
    let weight = |index| {
        view.told
            .get(index)
            .map_or(0.0, |told: &Told| f64::from(told.weight))
    };
    if alike {
        let turn = view.rng.turn(view.turns, view.len());
        bids.choose(turn, view.band(), view.rng)
    } else {
        bids.choose_by(weight, view.band(), view.rng.turn_unit(view.turns))
    }
}

#[inline]
fn drawn(view: &View<'_>, draws: Option<&AliasTable>) -> Option<usize> {
    match best(view, draw(view, draws), View::last_bid) {
        Some((index, cost)) if cost <= dear(view) => Some(index),
        first => drawn_anew(view, draws, first),
    }
}

#[inline]
fn draw(view: &View<'_>, draws: Option<&AliasTable>) -> [usize; DRAWN] {
    let bits: [Bits; DRAWN] = view.rng.turn_and_chance(view.turns);
    fetch_next(view, draws);
    bits.map(|bits| drawn_by(bits, view, draws))
}

/// Whoever the next pick draws is fetched by then: nothing else of a pick in a large pool takes as long.
#[inline]
fn fetch_next(view: &View<'_>, draws: Option<&AliasTable>) {
    let [turn, chance @ ..]: [Bits; DRAWN] = view.rng.upcoming_turn_and_chance(view.turns);
    view.fetch_whole(drawn_by(turn, view, draws));
    for bits in chance {
        view.fetch(drawn_by(bits, view, draws));
    }
}

#[inline]
fn dear(view: &View<'_>) -> f64 {
    DEAR * view.usual * (1.0 + view.load)
}

/// All of the first draw are out, or dear. If none of the next ones takes the request either somebody has to who is on
/// its way back.
#[cold]
fn drawn_anew(view: &View<'_>, draws: Option<&AliasTable>, first: Drawn) -> Option<usize> {
    // Who is dear may have been drawn for its weight, and would be again; of the others a cost says what each bears.
    let again = if first.is_some() { None } else { draws };
    let mut least = first;
    for _ in 1..DRAWS {
        let drawn = best(view, draw(view, again), View::last_bid);
        least = cheaper(least, drawn);
        if drawn.is_some_and(|(_, cost)| cost <= dear(view)) {
            break;
        }
    }
    let drawn = least.or_else(|| best(view, draw(view, draws), View::bid_at_need));
    Some(drawn.or_else(|| first_open(view))?.0)
}

fn cheaper(one: Drawn, other: Drawn) -> Drawn {
    let drawn = [one, other].into_iter().flatten();
    drawn.min_by(|one, other| one.1.total_cmp(&other.1))
}

/// By what each bids. The draw has gone by weight already, and who was drawn first has its turn.
#[inline]
fn best<'a>(
    view: &View<'a>,
    drawn: [usize; DRAWN],
    bid: impl Fn(&View<'a>, usize) -> Option<f64>,
) -> Drawn {
    let mut costs = Bids::<DRAWN>::NONE;
    let mut bids = Bids::new(&mut costs, DRAWN);
    for (place, index) in drawn.into_iter().enumerate() {
        if let Some(cost) = bid(view, index) {
            bids.set(place, cost);
        }
    }
    let chosen = bids.first_tied(view.band())?;
    let chosen = drawn.get(chosen).copied();
    let open = chosen.filter(|&index| view.is_open(index));
    open.map(|index| (index, bids.cheapest()))
}

/// Looks at all, from a random one on, for the first few that are open.
#[cold]
fn first_open(view: &View<'_>) -> Drawn {
    let start = view.rng.below(view.len());
    let order = (start..view.len()).chain(0..start);
    let mut open = order.filter(|&index| view.is_open(index));
    let few = [(); DRAWN].map(|()| open.next().unwrap_or(NOBODY));
    best(view, few, View::bid_at_need)
}
