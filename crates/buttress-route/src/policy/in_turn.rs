//! Each in its turn and by its weight, whatever it costs, also whoever a rule has thrown out: for the share of the requests that
//! all take where those who are well are overrun. See [`Overrun`](crate::peers).

use super::turn;
use crate::alias::AliasTable;
use crate::bids::SCAN;
use crate::view::View;

/// How often one is drawn of a large pool, before the policy has its way.
const DRAWS: usize = 4;

/// Nobody where the request is none of that share.
#[cold]
pub(super) fn pick(view: &View<'_>, draws: Option<&AliasTable>) -> Option<usize> {
    if view.rng.unit() >= view.in_turn {
        return None;
    }
    if view.len() > SCAN {
        let mut drawn = [(); DRAWS].into_iter().map(|()| turn(view, draws));
        return drawn.find(|&index| view.may_have_its_turn(index));
    }
    let weight = |index| {
        let told = view.told.get(index);
        let told = told.filter(|_| view.may_have_its_turn(index));
        told.map_or(0.0, |told| f64::from(told.weight))
    };
    let total: f64 = (0..view.len()).map(weight).sum();
    let mut left = view.rng.turn_unit(view.turns) * total;
    (0..view.len()).find(|&index| {
        left -= weight(index);
        left < 0.0
    })
}
