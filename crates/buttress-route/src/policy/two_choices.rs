//! The better of two.

use super::random::{DRAWS, by_weight, drawn};
use crate::alias::AliasTable;
use crate::view::{Candidate, View};

pub(super) fn least_request(view: &View<'_>, draws: Option<&AliasTable>) -> Option<usize> {
    better_of_two(view, draws, |it| 1.0 + it.load())
}

pub(super) fn peak_ewma(view: &View<'_>, draws: Option<&AliasTable>) -> Option<usize> {
    better_of_two(view, draws, |it| it.latency() * (1.0 + it.load()))
}

/// The first is as good as the second where they cost the same: both are drawn alike.
fn better_of_two(
    view: &View<'_>,
    draws: Option<&AliasTable>,
    cost: impl Fn(&Candidate<'_>) -> f64,
) -> Option<usize> {
    let one = by_weight(view, draws)?;
    // Where one outweighs all others it is likely to be drawn again, and is then alone.
    let other = (0..DRAWS).find_map(|_| drawn(view, draws).filter(|&other| other != one));
    let Some(other) = other else {
        return Some(one);
    };
    let (first, second) = (view.get(one)?, view.get(other));
    let is_better = second.is_some_and(|second| cost(&second) < cost(&first));
    Some(if is_better { other } else { one })
}
