//! Each in its turn and by its weight, whatever it costs, also whoever a rule has thrown out: for the share of the requests that
//! all take where those who are well are overrun. See [`Overrun`](crate::peers).

use super::turn;
use crate::alias::AliasTable;
use crate::bids::SCAN;
use crate::seat::Told;
use crate::view::View;

/// How often one is drawn of a large pool, before the policy has its way.
const DRAWS: usize = 4;

/// Nobody where the request is none of that share.
#[cold]
pub(super) fn pick(
    view: &View<'_>,
    draws: Option<&AliasTable>,
    weight: impl Fn(&Told) -> u32,
) -> Option<usize> {
    if view.rng.unit() >= view.in_turn {
        return None;
    }
    if view.len() > SCAN {
        let mut drawn = [(); DRAWS].into_iter().map(|()| turn(view, draws));
        return drawn.find(|&index| view.may_have_its_turn(index));
    }
    let mut weights = [0.0; SCAN];
    for (index, (place, told)) in weights.iter_mut().zip(view.told).enumerate() {
        if view.may_have_its_turn(index) {
            *place = f64::from(weight(told));
        }
    }
    let mut left = view.rng.turn_unit(view.turns) * weights.iter().sum::<f64>();
    weights.iter().position(|weight| {
        left -= weight;
        left < 0.0
    })
}
