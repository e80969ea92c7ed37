//! The least expected cost, and chance among all within the noise band of it.

use super::draw;
use crate::alias::AliasTable;
use crate::bids::{Bid, Bids, SCAN};
use crate::view::View;

/// Of pools that are not looked at whole this many are drawn. With a tenth of the pool bad, all five drawn are bad once in
/// 100,000 times; with two it would be once in a hundred.
const DRAWN: usize = 5;
/// How often endpoints are drawn anew because all that were drawn are out, before all are looked at.
const DRAWS: usize = 4;

#[inline]
pub(super) fn pick(view: &View<'_>, draws: Option<&AliasTable>) -> Option<usize> {
    if view.len() > SCAN {
        return drawn(view, draws);
    }
    if view.len() == 1 {
        return view.get(0).map(|_| 0);
    }
    let mut bids = Bids::new();
    for (index, candidate) in view.open() {
        bids.push(Bid {
            index,
            cost: candidate.cost(),
            weight: f64::from(candidate.weight()),
        });
    }
    bids.choose(view.noise_band, view.rng)
}

fn drawn(view: &View<'_>, draws: Option<&AliasTable>) -> Option<usize> {
    let draw_once = || best(view, (0..DRAWN).map(|_| draw(view, draws)));
    (0..DRAWS)
        .find_map(|_| draw_once())
        .or_else(|| first_open(view))
}

/// The draw has gone by weight already.
#[inline]
fn best(view: &View<'_>, drawn: impl Iterator<Item = usize>) -> Option<usize> {
    let mut bids = Bids::new();
    for index in drawn {
        if let Some(candidate) = view.get(index) {
            let cost = candidate.cost();
            bids.push(Bid {
                index,
                cost,
                weight: 1.0,
            });
        }
    }
    bids.choose(view.noise_band, view.rng)
}

/// Looks at all, from a random one on, for the first few that are open.
#[cold]
fn first_open(view: &View<'_>) -> Option<usize> {
    let start = view.rng.below(view.len());
    let order = (start..view.len()).chain(0..start);
    let open = order.filter(|&index| view.get(index).is_some());
    best(view, open.take(DRAWN))
}
