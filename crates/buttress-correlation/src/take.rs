//! Deciding which ID a request has, and leaving it with exactly that one.

use http::{HeaderMap, HeaderName, HeaderValue, Request};

use crate::handle::{Counters, Source};
use crate::{ClientCorrelationId, Config, CorrelationId, InvalidId};

/// An ID in both the forms that are needed.
pub(crate) struct Taken {
    pub(crate) id: CorrelationId,
    pub(crate) value: HeaderValue,
}

/// Gives `request` its one ID: in its header, where nothing else is left, and in its extensions if
/// those are wanted.
pub(crate) fn take<B>(config: &Config, counters: &Counters, request: &mut Request<B>) -> Taken {
    if let Some(id) = request.extensions().get::<CorrelationId>() {
        // No client can write extensions: a layer further out has decided.
        let taken = Taken {
            value: id.to_header_value(),
            id: id.clone(),
        };
        counters.count(Source::Inherited);
        write(config, request.headers_mut(), &taken.value);
        return taken;
    }
    let taken = match sent(config, request.headers()) {
        // Then there is nothing to remove either.
        None => mint(config, counters, request.headers_mut()),
        Some((_, Err(reason))) => {
            counters.reject(reason);
            remove_others(config, request.headers_mut());
            mint(config, counters, request.headers_mut())
        }
        Some((name, Ok(id))) if config.trust.believes(request) => {
            counters.count(Source::Accepted);
            accept(config, name, id, request.headers_mut())
        }
        Some((_, Ok(id))) => {
            if config.extensions {
                request.extensions_mut().insert(ClientCorrelationId(id));
            }
            remove_others(config, request.headers_mut());
            mint(config, counters, request.headers_mut())
        }
    };
    if config.extensions {
        request.extensions_mut().insert(taken.id.clone());
    }
    taken
}

fn accept(config: &Config, name: &HeaderName, id: CorrelationId, headers: &mut HeaderMap) -> Taken {
    if *name == config.header
        && let Some(value) = headers.get(name).cloned()
    {
        // It is there, once, already.
        remove_others(config, headers);
        return Taken { id, value };
    }
    let value = id.to_header_value();
    write(config, headers, &value);
    Taken { id, value }
}

fn mint(config: &Config, counters: &Counters, headers: &mut HeaderMap) -> Taken {
    counters.count(Source::Minted);
    let id = config.mint.mint();
    let value = id.to_header_value();
    put(headers, config.header.clone(), value.clone());
    Taken { id, value }
}

/// What the first of the headers that is present says.
fn sent<'a>(
    config: &'a Config,
    headers: &HeaderMap,
) -> Option<(&'a HeaderName, Result<CorrelationId, InvalidId>)> {
    let names = std::iter::once(&config.header).chain(&config.also_read);
    for name in names.filter(|name| has(name, headers)) {
        if let Some(value) = only(name, headers) {
            return Some((name, value.and_then(CorrelationId::try_from)));
        }
    }
    None
}

/// The value of `name`, if it is there; an error if it is there more than once.
#[inline]
pub(crate) fn only<'a>(
    name: &HeaderName,
    headers: &'a HeaderMap,
) -> Option<Result<&'a HeaderValue, InvalidId>> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?;
    Some(match values.next() {
        Some(_) => Err(InvalidId::Repeated),
        None => Ok(value),
    })
}

/// So many names are compared faster than one is hashed to look it up: most differ in length already.
const FEW: usize = 12;

/// Whether `name` is there, for a name that mostly is not.
#[inline]
fn has(name: &HeaderName, headers: &HeaderMap) -> bool {
    if headers.keys_len() > FEW {
        return headers.contains_key(name);
    }
    headers.keys().any(|present| present == name)
}

fn write(config: &Config, headers: &mut HeaderMap, value: &HeaderValue) {
    remove_others(config, headers);
    put(headers, config.header.clone(), value.clone());
}

fn remove_others(config: &Config, headers: &mut HeaderMap) {
    for name in &config.also_read {
        if has(name, headers) {
            headers.remove(name);
        }
    }
}

/// Sets the one value of `name`. A map that is full to the protocol's limit of 32,768 keeps what it
/// has, rather than to panic.
pub(crate) fn put(headers: &mut HeaderMap, name: HeaderName, value: HeaderValue) {
    let _full = headers.try_insert(name, value);
}
