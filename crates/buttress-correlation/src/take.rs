//! Deciding which ID a request has, and leaving it with exactly that one.

use http::{HeaderMap, HeaderName, HeaderValue, Request};

use crate::handle::{Counters, Source};
use crate::{ClientCorrelationId, Config, CorrelationId, InvalidId};

/// The ID of a request, in both the forms that are needed.
pub(crate) struct Taken {
    pub(crate) id: CorrelationId,
    pub(crate) value: HeaderValue,
}

/// Gives `request` its one ID: in its extensions, and in its header, where nothing else is left.
pub(crate) fn take<B>(
    config: &Config,
    counters: &Counters,
    request: Request<B>,
) -> (Taken, Request<B>) {
    if let Some(id) = request.extensions().get::<CorrelationId>() {
        // No client can write extensions: a layer further out has decided.
        let value = id.to_header_value();
        let taken = Taken {
            id: id.clone(),
            value,
        };
        return settle(config, counters, request, taken, Source::Inherited);
    }
    let sent = match read(config, request.headers()) {
        Some(Ok(sent)) => sent,
        Some(Err(reason)) => {
            counters.reject(reason);
            return settle(config, counters, request, mint(config), Source::Minted);
        }
        None => return settle(config, counters, request, mint(config), Source::Minted),
    };
    let (trusted, mut request) = config.trust.ask(request);
    if trusted {
        settle(config, counters, request, sent, Source::Accepted)
    } else {
        request
            .extensions_mut()
            .insert(ClientCorrelationId(sent.id));
        settle(config, counters, request, mint(config), Source::Minted)
    }
}

fn settle<B>(
    config: &Config,
    counters: &Counters,
    mut request: Request<B>,
    taken: Taken,
    source: Source,
) -> (Taken, Request<B>) {
    counters.count(source);
    write(config, request.headers_mut(), &taken.value);
    if source != Source::Inherited {
        request.extensions_mut().insert(taken.id.clone());
    }
    (taken, request)
}

fn mint(config: &Config) -> Taken {
    let id = config.mint.mint();
    let value = id.to_header_value();
    Taken { id, value }
}

/// What the first of the headers that is present says.
fn read(config: &Config, headers: &HeaderMap) -> Option<Result<Taken, InvalidId>> {
    std::iter::once(&config.header)
        .chain(&config.also_read)
        .find_map(|name| read_one(name, headers))
}

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
    for name in &config.also_read {
        headers.remove(name);
    }
    put(headers, config.header.clone(), value.clone());
}

/// Sets the one value of `name`. A map that is full to the protocol's limit of 32,768 keeps what it
/// has, rather than to panic.
pub(crate) fn put(headers: &mut HeaderMap, name: HeaderName, value: HeaderValue) {
    let _full = headers.try_insert(name, value);
}
