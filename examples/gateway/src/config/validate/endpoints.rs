//! `endpoints` of a `[[pool]]`: each once, and each somewhere.

use std::collections::BTreeSet;
use std::ops::Range;

use serde_spanned::Spanned;

use super::super::report::Report;
use super::super::{Endpoint, raw};
use super::resolve;

pub(super) fn check(
    list: Option<&Spanned<Vec<Spanned<raw::Endpoint>>>>,
    pool: &str,
    place: Range<usize>,
    report: &mut Report<'_>,
) -> Vec<Endpoint> {
    let key = format!("{pool}.endpoints");
    let entries = list
        .map(|list| list.get_ref().as_slice())
        .unwrap_or_default();
    if entries.is_empty() {
        let place = list.map_or(place, Spanned::span);
        let message = "the pool is empty; give it an endpoint, such as [\"127.0.0.1:9001\"]";
        report.add(place, &key, message);
    }
    let mut found: Vec<Endpoint> = Vec::with_capacity(entries.len());
    let mut known = BTreeSet::new();
    for (index, entry) in entries.iter().enumerate() {
        let key = format!("{key}[{index}]");
        let endpoint = endpoint(entry.get_ref()).and_then(|endpoint| {
            let twice = !known.insert(endpoint.address.to_ascii_lowercase());
            let message = || {
                format!(
                    "\"{}\" is in the pool already; remove one",
                    endpoint.address
                )
            };
            if twice { Err(message()) } else { Ok(endpoint) }
        });
        match endpoint {
            Ok(endpoint) => found.push(endpoint),
            Err(message) => report.add(entry.span(), &key, message),
        }
    }
    found
}

fn endpoint(raw: &raw::Endpoint) -> Result<Endpoint, String> {
    let (address, said) = match raw {
        raw::Endpoint::Address(address) => (address, None),
        raw::Endpoint::Weighted(endpoint) => (&endpoint.address, Some(endpoint)),
    };
    let weight = said.and_then(|it| it.weight).unwrap_or(1);
    let priority = said.and_then(|it| it.priority).unwrap_or(0);
    let priority = u8::try_from(priority)
        .map_err(|_| format!("priority {priority} is none; write a number from 0 to 255"))?;
    let weight = u32::try_from(weight)
        .map_err(|_| format!("weight {weight} is not a count; write a number from 0 up"))?;
    let endpoint = Endpoint::at(address)?;
    Ok(Endpoint {
        resolved: resolve(address)?,
        weight,
        priority,
        locality: said.and_then(|it| it.locality.clone()),
        ..endpoint
    })
}
