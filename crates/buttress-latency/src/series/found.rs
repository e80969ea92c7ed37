//! Routes found by name without a lock, once they have been found in the registry.

use std::array;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, OnceLock};

use super::Route;

/// A power of two.
const PLACES: usize = 1024;
/// Places in which a name may be. One for which none of them is free is looked up in the registry.
const PROBES: usize = 8;

/// Only routes that the registry had room for come in, so that a client can fill nothing by inventing
/// names. They stay, as they do in the registry.
pub(super) struct Found {
    seed: u64,
    places: Box<[Place; PLACES]>,
}

/// The hash of a name and its route.
type Place = OnceLock<(u64, Arc<Route>)>;

impl Found {
    pub(super) fn new() -> Self {
        Self {
            seed: RandomState::new().hash_one(PLACES),
            places: Box::new(array::from_fn(|_| OnceLock::new())),
        }
    }

    /// The route called `name`, if it has been remembered.
    #[inline]
    pub(super) fn get(&self, name: &str) -> Option<&Arc<Route>> {
        let hash = self.hash(name);
        for place in self.probe(hash) {
            let (at, route) = place.get()?;
            if *at == hash && **route.name() == *name {
                return Some(route);
            }
        }
        None
    }

    /// Remembers `route` if there is room.
    pub(super) fn remember(&self, route: &Arc<Route>) {
        let hash = self.hash(route.name());
        for place in self.probe(hash) {
            let (_, here) = place.get_or_init(|| (hash, Arc::clone(route)));
            if Arc::ptr_eq(here, route) {
                return;
            }
        }
    }

    #[inline]
    fn probe(&self, hash: u64) -> impl Iterator<Item = &Place> {
        #[expect(clippy::cast_possible_truncation, reason = "masked below")]
        let first = hash as usize;
        (0..PROBES).filter_map(move |n| self.places.get(first.wrapping_add(n) & (PLACES - 1)))
    }

    /// Eight bytes at a time, folded by a multiplication of twice the width. It has to be quick and to
    /// spread; that nobody can aim at it is of no use, since at most eight places are looked at.
    #[inline]
    fn hash(&self, name: &str) -> u64 {
        let mut hash = self.seed ^ name.len() as u64;
        let (words, rest) = name.as_bytes().as_chunks::<8>();
        for word in words {
            hash = fold(hash ^ u64::from_le_bytes(*word));
        }
        let last = rest
            .iter()
            .fold(0, |last, byte| last << 8 | u64::from(*byte));
        fold(hash ^ last)
    }
}

#[inline]
const fn fold(hash: u64) -> u64 {
    // An odd number without pattern: the fraction of the golden ratio.
    let product = hash as u128 * 0x9E37_79B9_7F4A_7C15;
    #[expect(clippy::cast_possible_truncation, reason = "both halves are kept")]
    let folded = (product >> 64) as u64 ^ product as u64;
    folded
}

impl fmt::Debug for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Found").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::series::Registry;

    #[test]
    fn a_route_is_the_one_of_its_name_however_often_and_however_many_there_are() {
        let registry = Registry::new(Config::new().max_series(3_000));
        let name = |n: usize| format!("/route/{n}/{{id}}");
        let first: Vec<_> = (0..4_000).map(|n| registry.route(&name(n))).collect();
        let known = |n: &usize| registry.known(&name(*n)).is_some();
        assert!((0..3_000).filter(known).count() > PLACES / 2);
        assert_eq!((3_000..4_000).filter(known).count(), 0, "beyond the cap");
        for (n, route) in first.iter().enumerate() {
            assert!(Arc::ptr_eq(route, &registry.route(&name(n))), "{n}");
            assert_eq!(**route.name() == *name(n), n < 3_000);
        }
    }

    #[test]
    fn names_of_any_length_are_told_apart() {
        let registry = Registry::new(Config::new());
        let long = "x".repeat(40);
        let names: Vec<&str> = (1..=40).filter_map(|n| long.get(..n)).collect();
        let routes: Vec<_> = names.iter().map(|name| registry.route(name)).collect();
        for (name, route) in names.iter().zip(&routes) {
            assert_eq!(&**registry.known(name).unwrap_or(route).name(), *name);
        }
    }
}
