//! Who says which endpoints a pool has: its own list, a file, or DNS.

use std::net::SocketAddr;
use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;

use serde_spanned::Spanned;

use super::super::report::Report;
use super::super::{Endpoint, PoolDiscovery, raw};
use super::{duration, endpoints};
use crate::discovery;

/// From one look at a file to the next, where nothing is said.
const EVERY: Duration = Duration::from_secs(2);

/// The endpoints that there are at first, and who says which there are later.
pub(super) fn check(
    raw: &raw::Pool,
    pool: &str,
    place: Range<usize>,
    report: &mut Report<'_>,
) -> (Vec<Endpoint>, Option<PoolDiscovery>) {
    let list = raw.endpoints.as_ref();
    let Some(written) = &raw.discover else {
        return (endpoints::check(list, pool, place, report), None);
    };
    let key = format!("{pool}.discover");
    let said = written.get_ref();
    let before = report.len();
    let discover = match (&said.file, &said.dns, &said.srv) {
        (Some(path), None, None) => {
            refuse_all(said, &["port"], "only dns", &key, report);
            refuse_all(said, &["resolvers"], "only dns and srv", &key, report);
            file(path, said.every.as_ref(), &key, report)
        }
        (None, Some(host), None) => {
            refuse_all(said, &["every"], "only file", &key, report);
            addresses(host, said, &key, report)
        }
        (None, None, Some(name)) => {
            refuse_all(said, &["port", "every"], "srv never", &key, report);
            PoolDiscovery::Services {
                name: name_of(name, &format!("{key}.srv"), report),
                resolvers: resolvers(said, &key, report),
            }
        }
        _ => {
            let message =
                "write one of file = \"PATH\", dns = \"NAME\" with a port, and srv = \"NAME\"";
            report.add(written.span(), &key, message);
            return (Vec::new(), None);
        }
    };
    let found = match (&discover, list) {
        (PoolDiscovery::File { .. }, Some(list)) => {
            let message = "the file of discover says who is there; remove one of the two";
            report.add(list.span(), &format!("{pool}.endpoints"), message);
            Vec::new()
        }
        (PoolDiscovery::File { path, .. }, None) if report.len() == before => {
            let span = said.file.as_ref().map_or(written.span(), Spanned::span);
            let found = discovery::read(path);
            let found = found.map_err(|message| report.add(span, &format!("{key}.file"), message));
            found.unwrap_or_default()
        }
        // Until DNS has answered they are all there is.
        (_, Some(_)) => endpoints::check(list, pool, place, report),
        _ => Vec::new(),
    };
    (found, Some(discover))
}

fn file(
    path: &Spanned<String>,
    every: Option<&Spanned<raw::TimeText>>,
    key: &str,
    report: &mut Report<'_>,
) -> PoolDiscovery {
    PoolDiscovery::File {
        path: PathBuf::from(path.get_ref()),
        every: duration(every, &format!("{key}.every"), report).unwrap_or(EVERY),
    }
}

fn addresses(
    host: &Spanned<String>,
    said: &raw::Discover,
    key: &str,
    report: &mut Report<'_>,
) -> PoolDiscovery {
    let port = said.port.as_ref();
    let number = port.and_then(|port| u16::try_from(*port.get_ref()).ok());
    let number = number.filter(|port| *port != 0);
    if number.is_none() {
        let place = port.map_or(host.span(), Spanned::span);
        let message = match port {
            None => "a name has no port; write the port of all its addresses, such as port = 9001"
                .to_owned(),
            Some(port) => format!(
                "{} is not a port; write one from 1 to 65535",
                port.get_ref()
            ),
        };
        report.add(place, &format!("{key}.port"), message);
    }
    PoolDiscovery::Addresses {
        host: name_of(host, &format!("{key}.dns"), report),
        port: number.unwrap_or_default(),
        resolvers: resolvers(said, key, report),
    }
}

/// Name servers, which no name is looked up for.
fn resolvers(said: &raw::Discover, key: &str, report: &mut Report<'_>) -> Vec<SocketAddr> {
    let Some(written) = &said.resolvers else {
        return Vec::new();
    };
    let key = format!("{key}.resolvers");
    if written.get_ref().is_empty() {
        let message =
            "there is nobody to ask; name a server, or remove the key to ask those of the system";
        report.add(written.span(), &key, message);
    }
    let mut read = |each: &Spanned<String>| {
        let address = each.get_ref().parse::<SocketAddr>().ok();
        let address = address.filter(|it| it.port() != 0);
        if address.is_none() {
            let message = format!(
                "\"{}\" is not the address of a name server; write one with its port, such as \"10.0.0.2:53\"",
                each.get_ref()
            );
            report.add(each.span(), &key, message);
        }
        address
    };
    written.get_ref().iter().filter_map(&mut read).collect()
}

/// A name of labels, perhaps with a dot at its end.
fn name_of(written: &Spanned<String>, key: &str, report: &mut Report<'_>) -> String {
    let name = written.get_ref();
    let plain = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_');
    let labels = name.strip_suffix('.').unwrap_or(name);
    if name.len() > 255
        || !labels
            .split('.')
            .all(|it| !it.is_empty() && it.bytes().all(plain))
    {
        let message = format!("\"{name}\" is not a name; write one such as \"orders.internal.\"");
        report.add(written.span(), key, message);
    }
    name.clone()
}

/// Refuses keys that `who` heeds.
fn refuse_all(said: &raw::Discover, keys: &[&str], who: &str, key: &str, report: &mut Report<'_>) {
    let places = [
        ("port", said.port.as_ref().map(Spanned::span)),
        ("every", said.every.as_ref().map(Spanned::span)),
        ("resolvers", said.resolvers.as_ref().map(Spanned::span)),
    ];
    for (name, place) in places {
        if let Some(place) = place.filter(|_| keys.contains(&name)) {
            report.add(
                place,
                &format!("{key}.{name}"),
                format!("{who} heeds it; remove it"),
            );
        }
    }
}
