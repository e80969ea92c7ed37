//! From what a source says to the endpoints of a pool: who is new is made, who stays is kept.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::node::{MakeEndpoint, Node};
use super::source::SourceError;
use crate::endpoint::Endpoint;

/// A set of more nodes is a mistake, and is refused.
const MOST: usize = 1_000_000;

/// The endpoints that there are, by identity.
#[derive(Debug)]
pub(super) struct Roster<S>(BTreeMap<Arc<str>, Known<S>>);

#[derive(Debug)]
struct Known<S> {
    /// As it was made, before anything was said of it: what is said no longer counts no longer.
    made: Endpoint<S>,
    /// The weight and the priority that the pool was told.
    told: (u32, u8),
}

/// What an answer comes to.
#[derive(Debug)]
pub(super) struct Learned<S> {
    /// The endpoints from now on, in the order in which they were said.
    pub(super) endpoints: Vec<Endpoint<S>>,
    pub(super) joined: usize,
    pub(super) left: usize,
    /// Somebody stays and has another weight or priority.
    pub(super) altered: bool,
    /// The first of those whose endpoint could not be made.
    pub(super) unmade: Option<Arc<str>>,
}

impl<S> Learned<S> {
    /// Whether the pool has to be told.
    pub(super) const fn is_news(&self) -> bool {
        self.joined > 0 || self.left > 0 || self.altered
    }
}

impl<S: Clone> Roster<S> {
    /// The roster of a pool that has these, before its source has said anything. One whose adoption panics is made when
    /// it is said to be there.
    pub(super) fn of(endpoints: Vec<Endpoint<S>>, make: &impl MakeEndpoint<S>) -> Self {
        let adopted = endpoints.into_iter().filter_map(|endpoint| {
            let id = Arc::clone(endpoint.id());
            let told = (endpoint.weight, endpoint.about.priority);
            // Somebody else's code.
            let made = catch_unwind(AssertUnwindSafe(|| make.adopt(endpoint))).ok()?;
            Some((id, Known { made, told }))
        });
        Self(adopted.collect())
    }

    /// Takes `nodes` for all there are. An answer that would leave nobody is refused, and nothing
    /// changes.
    pub(super) fn learn(
        &mut self,
        nodes: &[Node],
        make: &impl MakeEndpoint<S>,
    ) -> Result<Learned<S>, SourceError> {
        if nodes.is_empty() {
            return Err(SourceError::new(
                "nobody is there; the last endpoints stay until somebody is",
            ));
        }
        if nodes.len() > MOST {
            let problem = format!("{} endpoints are too many; at most {MOST}", nodes.len());
            return Err(SourceError::new(problem));
        }
        let mut next = BTreeMap::new();
        let mut learned = Learned {
            endpoints: Vec::with_capacity(nodes.len()),
            joined: 0,
            left: 0,
            altered: false,
            unmade: None,
        };
        for node in nodes {
            if next.contains_key(node.id()) {
                continue;
            }
            let Some(known) = self.know(node, make, &mut learned) else {
                learned.unmade.get_or_insert_with(|| Arc::clone(node.id()));
                continue;
            };
            next.insert(Arc::clone(node.id()), known);
        }
        if next.is_empty() {
            return Err(SourceError::new(
                "making the endpoints panicked for each of them",
            ));
        }
        let stayed = next.len() - learned.joined;
        learned.left = self.0.len() - stayed;
        self.0 = next;
        Ok(learned)
    }

    fn know(
        &self,
        node: &Node,
        make: &impl MakeEndpoint<S>,
        learned: &mut Learned<S>,
    ) -> Option<Known<S>> {
        let before = self.0.get(node.id());
        let made = if let Some(known) = before {
            known.made.clone()
        } else {
            let bare = Node::new(Arc::clone(node.id()));
            // Somebody else's code.
            let made = catch_unwind(AssertUnwindSafe(|| make.make(&bare))).ok()?;
            learned.joined += 1;
            made
        };
        let endpoint = node.describe(made.clone());
        let told = (endpoint.weight, endpoint.about.priority);
        learned.altered |= before.is_some_and(|known| known.told != told);
        learned.endpoints.push(endpoint);
        Some(Known { made, told })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::{Mutex, PoisonError};

    use proptest::prelude::*;

    use super::*;

    fn nodes(ids: &[u8]) -> Vec<Node> {
        ids.iter().map(|id| Node::new(id.to_string())).collect()
    }

    proptest! {
        #[test]
        fn what_is_made_and_told_is_the_difference_of_the_sets(
            answers in proptest::collection::vec(proptest::collection::vec(0..12_u8, 0..8), 1..12),
        ) {
            let made = Arc::new(Mutex::new(Vec::new()));
            let into = Arc::clone(&made);
            let make = move |node: &Node| {
                into.lock().unwrap().push(node.id().to_string());
                node.endpoint(())
            };
            let mut roster = Roster(BTreeMap::new());
            let mut model = BTreeSet::new();
            for answer in answers {
                made.lock().unwrap().clear();
                let next: BTreeSet<_> = answer.iter().map(ToString::to_string).collect();
                let learned = roster.learn(&nodes(&answer), &make);
                if answer.is_empty() {
                    prop_assert!(learned.is_err());
                    continue;
                }
                let learned = learned.unwrap();
                let ids: Vec<_> = learned.endpoints.iter().map(|it| it.id().to_string()).collect();
                prop_assert_eq!(ids.len(), next.len());
                prop_assert_eq!(&ids.into_iter().collect::<BTreeSet<_>>(), &next);
                let news: BTreeSet<_> = made.lock().unwrap().iter().cloned().collect();
                prop_assert_eq!(&news, &next.difference(&model).cloned().collect());
                prop_assert_eq!(learned.joined, news.len());
                prop_assert_eq!(learned.left, model.difference(&next).count());
                prop_assert_eq!(learned.is_news(), next != model);
                model = next;
            }
        }
    }

    #[test]
    fn a_weight_that_changes_is_news_and_makes_nothing_anew() {
        let make = |node: &Node| {
            assert_eq!(node.said_weight(), None, "it was made before");
            node.endpoint(())
        };
        let mut roster = Roster(BTreeMap::new());
        roster.learn(&[Node::new("a")], &make).unwrap();
        let learned = roster.learn(&[Node::new("a").weight(2)], &make).unwrap();
        assert!(learned.is_news() && learned.joined == 0);
        assert_eq!(learned.endpoints[0].weight, 2);
    }

    #[test]
    fn who_cannot_be_made_is_left_out_and_made_the_next_time() {
        let broken = Arc::new(Mutex::new(true));
        let seen = Arc::clone(&broken);
        let make = move |node: &Node| {
            let broken = *seen.lock().unwrap_or_else(PoisonError::into_inner);
            assert!(!(broken && &**node.id() == "b"));
            node.endpoint(())
        };
        let mut roster = Roster(BTreeMap::new());
        assert!(roster.learn(&[Node::new("b")], &make).is_err());
        let both = [Node::new("a"), Node::new("b")];
        let learned = roster.learn(&both, &make).unwrap();
        assert_eq!(
            (learned.endpoints.len(), learned.unmade.as_deref()),
            (1, Some("b"))
        );
        *broken.lock().unwrap_or_else(PoisonError::into_inner) = false;
        let learned = roster.learn(&both, &make).unwrap();
        assert_eq!((learned.joined, learned.unmade), (1, None));
    }
}
