//! Deciding which ID a request has, and leaving it with exactly that one.

use http::{HeaderMap, HeaderName, HeaderValue, Request};

use crate::handle::{Counters, Source};
use crate::{ClientCorrelationId, Config, CorrelationId, InvalidId};

/// An ID in both the forms that are needed.
pub(crate) struct Taken {
    pub(crate) id: CorrelationId,
    pub(crate) value: HeaderValue,
}

/// Gives `request` its one ID: in its extensions, and in its header, where nothing else is left.
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
    let taken = match read(config, request.headers()) {
        Some(Ok((name, sent))) if config.trust.believes(request) => {
            counters.count(Source::Accepted);
            if *name == config.header {
                // It is there, once, already.
                remove_others(config, request.headers_mut());
            } else {
                write(config, request.headers_mut(), &sent.value);
            }
            sent
        }
        Some(Ok((_, sent))) => {
            let client = ClientCorrelationId(sent.id);
            request.extensions_mut().insert(client);
            mint(config, counters, request.headers_mut())
        }
        Some(Err(reason)) => {
            counters.reject(reason);
            mint(config, counters, request.headers_mut())
        }
        None => mint(config, counters, request.headers_mut()),
    };
    request.extensions_mut().insert(taken.id.clone());
    taken
}

fn mint(config: &Config, counters: &Counters, headers: &mut HeaderMap) -> Taken {
    counters.count(Source::Minted);
    let id = config.mint.mint();
    let value = id.to_header_value();
    write(config, headers, &value);
    Taken { id, value }
}

/// What the first of the headers that is present says.
fn read<'a>(
    config: &'a Config,
    headers: &HeaderMap,
) -> Option<Result<(&'a HeaderName, Taken), InvalidId>> {
    std::iter::once(&config.header)
        .chain(&config.also_read)
        .find_map(|name| {
            let found = read_one(name, headers)?;
            Some(found.map(|taken| (name, taken)))
        })
}

#[inline]
pub(crate) fn read_one(name: &HeaderName, headers: &HeaderMap) -> Option<Result<Taken, InvalidId>> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?;
    if values.next().is_some() {
        return Some(Err(InvalidId::Repeated));
    }
    Some(CorrelationId::try_from(value).map(|id| {
        let value = value.clone();
        Taken { id, value }
    }))
}

fn write(config: &Config, headers: &mut HeaderMap, value: &HeaderValue) {
    remove_others(config, headers);
    put(headers, config.header.clone(), value.clone());
}

fn remove_others(config: &Config, headers: &mut HeaderMap) {
    for name in &config.also_read {
        headers.remove(name);
    }
}

/// Sets the one value of `name`. A map that is full to the protocol's limit of 32,768 keeps what it
/// has, rather than to panic.
pub(crate) fn put(headers: &mut HeaderMap, name: HeaderName, value: HeaderValue) {
    let _full = headers.try_insert(name, value);
}
