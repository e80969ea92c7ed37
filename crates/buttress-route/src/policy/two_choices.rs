//! The better of two.

use super::random::{DRAWS, by_weight, drawn};
use crate::alias::AliasTable;
use crate::view::{Candidate, View};

pub(super) fn least_request(view: &View<'_>, draws: Option<&AliasTable>) -> Option<usize> {
    better_of_two(view, draws, |one, other| busy(other) < busy(one))
}

pub(super) fn peak_ewma(view: &View<'_>, draws: Option<&AliasTable>) -> Option<usize> {
    let band = 1.0 + view.noise_band;
    better_of_two(view, draws, |one, other| {
        let (latency, of_other) = (one.latency(), other.latency());
        // Peaks fade, so that of two that answer alike the one which was asked less of late has the lower: that would
        // make up for its weight.
        if latency <= of_other * band && of_other <= latency * band {
            return busy(other) < busy(one);
        }
        of_other * busy(other) < latency * busy(one)
    })
}

fn busy(candidate: &Candidate<'_>) -> f64 {
    1.0 + candidate.load()
}

/// The first is as good as the second where neither is better: both are drawn alike.
fn better_of_two(
    view: &View<'_>,
    draws: Option<&AliasTable>,
    is_worse_than: impl Fn(&Candidate<'_>, &Candidate<'_>) -> bool,
) -> Option<usize> {
    let one = by_weight(view, draws)?;
    // Where one outweighs all others it is likely to be drawn again, and is then alone.
    let other = (0..DRAWS).find_map(|_| drawn(view, draws).filter(|&other| other != one));
    let Some(other) = other else {
        return Some(one);
    };
    let (first, second) = (view.get(one)?, view.get(other));
    let is_better = second.is_some_and(|second| is_worse_than(&first, &second));
    Some(if is_better { other } else { one })
}
