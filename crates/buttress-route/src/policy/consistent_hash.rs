//! The endpoint that a key belongs to: weighted rendezvous hashing with bounded loads.
//!
//! Key and endpoint draw a number together, which has the distribution of the first event of a process as fast as
//! the endpoint's weight. The first of all events decides: each endpoint wins its share of keys, and what one endpoint
//! draws does not depend on who else is there.

use crate::affinity::{mix, unit};
use crate::view::{Candidate, View};

/// `alike`: no weight is other than the rest. Of those that may be picked: without whom the key belonged to it belongs
/// to the next.
pub(super) fn pick(
    view: &View<'_>,
    bound: f64,
    alike: bool,
    may_be: impl Fn(&Candidate<'_>) -> bool + Copy,
) -> Option<usize> {
    let key = mix(view.key()?);
    let room = Room::of(view, bound);
    let open = || view.open().filter(move |(_, candidate)| may_be(candidate));
    let with_room = open().filter(|(_, candidate)| room.has(candidate));
    // Where what is in flight changed meanwhile there may be no room for a moment.
    first(with_room, key, alike).or_else(|| first(open(), key, alike))
}

fn first<'a>(
    candidates: impl Iterator<Item = (usize, Candidate<'a>)>,
    key: u64,
    alike: bool,
) -> Option<usize> {
    let at = |(index, candidate): (usize, Candidate<'_>)| (at(key, &candidate, alike), index);
    let earliest = candidates
        .map(at)
        .min_by(|one, other| one.0.total_cmp(&other.0));
    earliest.map(|it| it.1)
}

/// When the endpoint's event is. With like weights the order is that of the numbers themselves.
fn at(key: u64, candidate: &Candidate<'_>, alike: bool) -> f64 {
    let unit = unit(mix(key ^ candidate.hash()));
    if alike {
        1.0 - unit
    } else {
        -unit.ln() / f64::from(candidate.weight())
    }
}

/// How much each may have in flight.
struct Room {
    /// For each part of weight.
    share: f64,
}

impl Room {
    fn of(view: &View<'_>, bound: f64) -> Self {
        let (mut in_flight, mut weight) = (1.0, 0.0);
        for (_, candidate) in view.open() {
            in_flight += f64::from(candidate.in_flight());
            weight += f64::from(candidate.weight());
        }
        Self {
            share: bound * in_flight / weight,
        }
    }

    /// Whether there is room for one more.
    fn has(&self, candidate: &Candidate<'_>) -> bool {
        let most = (self.share * f64::from(candidate.weight())).ceil();
        f64::from(candidate.in_flight()) + 1.0 <= most
    }
}
