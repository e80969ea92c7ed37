//! The least expected cost, and each in its turn of all within the noise band of it.
//!
//! Of those that are drawn only the one that is chosen is brought up to date: in a large pool hardly any has been
//! looked at of late, and each would have to be fetched from memory. The others are by and by, when the pool is looked
//! at as a whole.

use super::turn;
use crate::alias::AliasTable;
use crate::bids::{Bids, SCAN};
use crate::seat::Told;
use crate::view::View;

/// Of pools that are not looked at whole this many are drawn. With a tenth of the pool bad, all five drawn are bad once in
/// 100,000 times; with two it would be once in a hundred.
const DRAWN: usize = 5;
/// How often endpoints are drawn anew because all that were drawn are out, before all are looked at.
const DRAWS: usize = 4;
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

fn drawn(view: &View<'_>, draws: Option<&AliasTable>) -> Option<usize> {
    let draw_once = || {
        let mut others: [usize; DRAWN - 1] = view.rng.below_each(view.len());
        if let Some(draws) = draws {
            others = others.map(|index| draws.draw_at(index, view.rng));
        }
        let [second, third, fourth, fifth] = others;
        best(view, [turn(view, draws), second, third, fourth, fifth])
    };
    (0..DRAWS)
        .find_map(|_| draw_once())
        .or_else(|| first_open(view))
        .or_else(|| view.any_by_weight())
}

/// The draw has gone by weight already, and who was drawn first has its turn.
#[inline]
fn best(view: &View<'_>, drawn: [usize; DRAWN]) -> Option<usize> {
    let mut costs = Bids::<DRAWN>::NONE;
    let mut bids = Bids::new(&mut costs, DRAWN);
    for (place, index) in drawn.into_iter().enumerate() {
        if let Some(cost) = view.last_bid(index) {
            bids.set(place, cost);
        }
    }
    let chosen = bids.first_tied(view.band())?;
    let chosen = drawn.get(chosen).copied();
    chosen.filter(|&index| view.is_open(index))
}

/// Looks at all, from a random one on, for the first few that are open.
#[cold]
fn first_open(view: &View<'_>) -> Option<usize> {
    let start = view.rng.below(view.len());
    let order = (start..view.len()).chain(0..start);
    let mut open = order.filter(|&index| view.is_open(index));
    best(view, [(); DRAWN].map(|()| open.next().unwrap_or(NOBODY)))
}
