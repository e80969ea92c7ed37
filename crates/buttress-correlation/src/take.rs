//! Deciding which ID a request has, and leaving it with exactly that one.

use http::{HeaderMap, HeaderName, HeaderValue, Request};

use crate::handle::{Counters, Source};
use crate::{ClientCorrelationId, Config, CorrelationId, InvalidId};

/// The ID of a request, and the header value that says it.
pub(crate) struct Taken {
    pub(crate) id: CorrelationId,
    /// The one that the request goes on with: the response is given the same, and not another.
    pub(crate) value: HeaderValue,
}

/// Gives `request` its one ID: in its header, where nothing else is left, and in its extensions if
/// those are wanted.
#[inline]
pub(crate) fn take<B>(config: &Config, counters: &Counters, request: &mut Request<B>) -> Taken {
    if request.extensions().get::<CorrelationId>().is_some() {
        return inherit(config, counters, request);
    }
    let Sent { first, others } = sent(config, request.headers());
    let taken = match first {
        None => mint(config, counters, request.headers_mut()),
        Some((name, sent)) => match sent.and_then(|it| Ok((CorrelationId::try_from(it)?, it))) {
            Ok((id, value)) if config.trust.believes(request) => {
                counters.count(Source::Accepted);
                let value = value.clone();
                if *name != config.header {
                    put(request.headers_mut(), &config.header, value.clone());
                }
                Taken { id, value }
            }
            Ok((theirs, _)) => {
                if config.extensions {
                    let theirs = ClientCorrelationId(theirs);
                    request.extensions_mut().insert(theirs);
                }
                mint(config, counters, request.headers_mut())
            }
            Err(reason) => {
                counters.reject(reason);
                mint(config, counters, request.headers_mut())
            }
        },
    };
    if others {
        remove_others(config, request.headers_mut());
    }
    if config.extensions {
        request.extensions_mut().insert(taken.id.clone());
    }
    taken
}

/// The ID that a layer further out has given: no client can write extensions.
#[cold]
fn inherit<B>(config: &Config, counters: &Counters, request: &mut Request<B>) -> Taken {
    let id = request.extensions().get().cloned();
    let id: CorrelationId = id.unwrap_or_else(|| config.mint.mint());
    counters.count(Source::Inherited);
    remove_others(config, request.headers_mut());
    set(config, request.headers_mut(), id)
}

#[inline]
fn mint(config: &Config, counters: &Counters, headers: &mut HeaderMap) -> Taken {
    counters.count(Source::Minted);
    set(config, headers, config.mint.mint())
}

#[inline]
fn set(config: &Config, headers: &mut HeaderMap, id: CorrelationId) -> Taken {
    let value = id.to_shared_header_value();
    put(headers, &config.header, value.clone());
    Taken { id, value }
}

/// What a request says of its ID.
struct Sent<'c, 'r> {
    /// The first of the names that is there, and its value.
    first: Option<(&'c HeaderName, Result<&'r HeaderValue, InvalidId>)>,
    /// Whether a name is there that does not go inward.
    others: bool,
}

/// So many headers are compared faster than names are hashed to look them up: most differ in length
/// already.
const FEW: usize = 12;

#[inline]
fn sent<'c, 'r>(config: &'c Config, headers: &'r HeaderMap) -> Sent<'c, 'r> {
    if headers.len() <= FEW {
        return sent_among_few(config, headers);
    }
    let mut names = std::iter::once(&config.header).chain(&config.also_read);
    Sent {
        first: names.find_map(|name| Some((name, only(name, headers)?))),
        others: config
            .also_read
            .iter()
            .any(|name| headers.contains_key(name)),
    }
}

fn sent_among_few<'c, 'r>(config: &'c Config, headers: &'r HeaderMap) -> Sent<'c, 'r> {
    let mut sent = Sent {
        first: None,
        others: false,
    };
    let mut best = usize::MAX;
    for (name, value) in headers {
        let Some((rank, known)) = rank(config, name) else {
            continue;
        };
        sent.others |= rank > 0;
        if rank < best {
            best = rank;
            sent.first = Some((known, Ok(value)));
        } else if rank == best {
            sent.first = Some((known, Err(InvalidId::Repeated)));
        }
    }
    sent
}

/// Which of the names that are read `name` is, the header itself being 0.
#[inline]
fn rank<'c>(config: &'c Config, name: &HeaderName) -> Option<(usize, &'c HeaderName)> {
    if *name == config.header {
        return Some((0, &config.header));
    }
    let mut others = (1..).zip(&config.also_read);
    others.find(|&(_, other)| other == name)
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

fn remove_others(config: &Config, headers: &mut HeaderMap) {
    for name in &config.also_read {
        headers.remove(name);
    }
}

/// Sets the one value of `name`. A map that is full to the protocol's limit of 32,768 keeps what it
/// has, rather than to panic.
#[inline]
pub(crate) fn put(headers: &mut HeaderMap, name: &HeaderName, value: HeaderValue) {
    let _full = headers.try_insert(name, value);
}
