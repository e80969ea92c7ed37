//! Networks that callers come from.

use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::sync::Arc;

/// Some networks: those whose hosts are believed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Networks(Arc<[Network]>);

/// Addresses that begin alike, as `10.0.0.0/8`; a lone address is a network of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    bits: u128,
    mask: u128,
}

/// Stands in the extensions of requests whose peer is in one of the networks. No client can write
/// extensions.
#[derive(Clone, Copy, Debug)]
pub struct FromWithin;

impl FromIterator<Network> for Networks {
    fn from_iter<I: IntoIterator<Item = Network>>(networks: I) -> Self {
        Self(networks.into_iter().collect())
    }
}

impl Networks {
    /// Whether `peer` is in one of them.
    pub fn contain(&self, peer: SocketAddr) -> bool {
        let bits = bits(peer.ip());
        self.0
            .iter()
            .any(|network| bits & network.mask == network.bits)
    }
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "\"{text}\" is not a network; write one such as \"10.0.0.0/8\", \"fd00::/8\" or \"10.0.0.7\""
            )
        };
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let width = if address.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            Some(prefix) => prefix.parse().map_err(|_| wrong())?,
            None => width,
        };
        if prefix > width {
            return Err(wrong());
        }
        let mask = u128::MAX.checked_shl(width - prefix).unwrap_or(0);
        let bits = bits(address);
        if bits & !mask != 0 {
            return Err(format!(
                "\"{text}\" has bits beyond its /{prefix}; write the network's first address"
            ));
        }
        Ok(Self { bits, mask })
    }
}

/// An address of either family as one of IPv6: a listener of both sees callers of the other so.
fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().to_bits(),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contain(network: &str, peer: &str) -> bool {
        let networks: Networks = [network.parse().unwrap()].into_iter().collect();
        networks.contain((peer.parse::<IpAddr>().unwrap(), 1).into())
    }

    #[test]
    fn a_network_is_the_addresses_that_begin_as_it_does() {
        for (network, peer, within) in [
            ("10.0.0.0/8", "10.255.1.2", true),
            ("10.0.0.0/8", "11.0.0.1", false),
            ("10.0.0.0/8", "::ffff:10.1.2.3", true),
            ("10.0.0.7", "10.0.0.7", true),
            ("10.0.0.7", "10.0.0.8", false),
            ("192.0.2.128/25", "192.0.2.127", false),
            ("192.0.2.128/25", "192.0.2.128", true),
            ("0.0.0.0/0", "203.0.113.9", true),
            ("0.0.0.0/0", "2001:db8::1", false),
            ("fd00::/8", "fdff::1", true),
            ("fd00::/8", "fe80::1", false),
            ("::/0", "203.0.113.9", true),
            ("::1", "::1", true),
        ] {
            assert_eq!(contain(network, peer), within, "{peer} in {network}");
        }
        assert!(!Networks::default().contain(([127, 0, 0, 1], 1).into()));
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for text in [
            "",
            "10.0.0.0/33",
            "::/129",
            "10.0.0/8",
            "10.0.0.0/",
            "10.0.0.0/-1",
            "a/8",
        ] {
            assert!(
                text.parse::<Network>()
                    .unwrap_err()
                    .contains("not a network"),
                "{text}"
            );
        }
        let inside = "10.1.2.3/8".parse::<Network>().unwrap_err();
        assert!(inside.contains("first address"));
    }
}
