//! What is asked, and from records to nodes. Without I/O.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::discover::node::Node;
use crate::discover::source::SourceError;

/// What is asked.
#[derive(Clone, Debug)]
pub(super) enum Question {
    /// Who is at the addresses of a host.
    Addresses { host: String, port: u16 },
    /// Who gives a service, at the addresses of its targets.
    Services { name: String },
    /// The same, at its targets.
    Targets { name: String },
}

impl fmt::Display for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Addresses { host, .. } => f.write_str(host),
            Self::Services { name } | Self::Targets { name } => f.write_str(name),
        }
    }
}

/// Who is there.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) nodes: Vec<Node>,
    /// For how long that holds; `None` if for ever.
    pub(super) ttl: Option<Duration>,
    /// What failed of it, if anything did.
    pub(super) problem: Option<SourceError>,
}

impl Answer {
    pub(super) const fn of(nodes: Vec<Node>, ttl: Option<Duration>) -> Self {
        let problem = None;
        Self {
            nodes,
            ttl,
            problem,
        }
    }
}

/// A record of a service (RFC 2782).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Target {
    pub(super) priority: u16,
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) weight: u16,
}

/// Those of `addresses` at which somebody can be, on `port`.
pub(super) fn at(addresses: &BTreeSet<IpAddr>, port: u16) -> impl Iterator<Item = Node> {
    let reachable = addresses
        .iter()
        .filter(move |ip| port != 0 && can_be_reached(**ip));
    reachable.map(move |ip| Node::new(SocketAddr::new(*ip, port).to_string()))
}

fn can_be_reached(ip: IpAddr) -> bool {
    let is_broadcast = matches!(ip, IpAddr::V4(ip) if ip.is_broadcast());
    !(ip.is_unspecified() || ip.is_multicast() || is_broadcast)
}

/// The nodes of `targets`, each at what `places` makes of it.
///
/// Priorities are those of the records, numbered from 0 on in their order. A weight of 0 means next to nothing beside
/// others, and is 1 here, for at 0 a node is drained.
pub(super) fn nodes<I>(targets: &BTreeSet<Target>, places: impl Fn(&Target) -> I) -> Vec<Node>
where
    I: Iterator<Item = Node>,
{
    let priorities: BTreeSet<u16> = targets.iter().map(|it| it.priority).collect();
    let numbered: BTreeMap<u16, u8> = priorities
        .into_iter()
        .zip((0..=u8::MAX).chain(std::iter::repeat(u8::MAX)))
        .collect();
    let described = |target: &Target| {
        let priority = numbered.get(&target.priority).copied().unwrap_or(u8::MAX);
        let weight = u32::from(target.weight).max(1);
        let described = move |node: Node| node.weight(weight).priority(priority);
        places(target).map(described)
    };
    targets.iter().flat_map(described).collect()
}

/// The target itself, by its name.
pub(super) fn by_name(target: &Target) -> impl Iterator<Item = Node> + use<> {
    let id = format!("{}:{}", target.host.trim_end_matches('.'), target.port);
    (target.port != 0).then(|| Node::new(id)).into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(priority: u16, weight: u16, host: &str, port: u16) -> Target {
        let host = host.to_owned();
        Target {
            priority,
            host,
            port,
            weight,
        }
    }

    #[test]
    fn priorities_are_numbered_in_their_order_and_a_weight_of_0_drains_nobody() {
        let targets = [
            target(20, 0, "c.", 80),
            target(10, 60, "a.", 80),
            target(10, 40, "b.", 81),
            target(700, 1, "d.", 80),
            target(700, 1, "nowhere.", 0),
        ];
        let nodes = nodes(&BTreeSet::from(targets), by_name);
        let told: Vec<_> = nodes
            .iter()
            .map(|it| (&**it.id(), it.said_priority(), it.said_weight()))
            .collect();
        let expected = [
            ("a:80", Some(0), Some(60)),
            ("b:81", Some(0), Some(40)),
            ("c:80", Some(1), Some(1)),
            ("d:80", Some(2), Some(1)),
        ];
        assert_eq!(told, expected);
    }

    #[test]
    fn more_priorities_than_a_pool_has_end_in_its_last() {
        let targets: BTreeSet<_> = (0..1_000)
            .map(|n| target(n * 60, 1, &n.to_string(), 1))
            .collect();
        let nodes = nodes(&targets, by_name);
        let priorities: Vec<_> = nodes.iter().filter_map(Node::said_priority).collect();
        assert_eq!(
            (priorities[255], priorities[256], priorities[999]),
            (255, 255, 255)
        );
        assert!(priorities[..256].is_sorted_by(|one, other| one < other));
    }

    #[test]
    fn where_nobody_can_be_nobody_is() {
        let all = [
            "0.0.0.0",
            "255.255.255.255",
            "224.0.0.1",
            "::",
            "ff02::1",
            "::1",
            "127.0.0.1",
        ];
        let all = all.map(|it| it.parse().unwrap()).into();
        let ids = |port| -> Vec<String> { at(&all, port).map(|it| it.id().to_string()).collect() };
        assert_eq!(ids(80), ["127.0.0.1:80", "[::1]:80"]);
        assert!(ids(0).is_empty());
    }
}
