//! Deciding which ID a request has, and leaving it with exactly that one.

use http::{HeaderMap, HeaderName, HeaderValue, Request};

use crate::counters::{Counted, Counters};
use crate::{ClientCorrelationId, Config, CorrelationId, InvalidId};

/// Gives `request` its one ID: in its header, where nothing else is left, and in its extensions if
/// those are wanted. `id` becomes it, where it lies: it is long enough for a copy to be felt. Returns the
/// value of that header: the response is given the same, and not another.
#[inline]
pub(crate) fn take<B>(
    config: &Config,
    counters: &Counters,
    request: &mut Request<B>,
    id: &mut CorrelationId,
) -> HeaderValue {
    let headers = request.headers();
    let Found {
        first,
        is_ours,
        others,
    } = find(config, headers);
    if first.is_none() && config.extensions && config.mint.is_ours() {
        return mint_or_inherit(config, counters, request, id);
    }
    if let Some(known) = request.extensions().get::<CorrelationId>() {
        id.clone_from(known);
        return inherit(config, counters, request.headers_mut(), id);
    }
    let value = match first.map(|sent| read(id, sent, headers)) {
        Some(Ok(value)) if config.trust.believes(request) => {
            let value = value.clone();
            counters.count(Counted::Accepted);
            if !is_ours {
                put(request.headers_mut(), &config.header, value.clone());
            }
            value
        }
        Some(Ok(_)) => {
            if config.extensions {
                let theirs = ClientCorrelationId(id.clone());
                request.extensions_mut().insert(theirs);
            }
            mint(config, counters, request.headers_mut(), id)
        }
        Some(Err(reason)) => {
            counters.count(reason.into());
            mint(config, counters, request.headers_mut(), id)
        }
        None => mint(config, counters, request.headers_mut(), id),
    };
    if others {
        remove_others(config, request.headers_mut());
    }
    if config.extensions {
        request.extensions_mut().insert(id.clone());
    }
    value
}

/// For a request whose headers say nothing. Its extensions are looked into once, which is when they are given
/// the new ID: one that was there is put back everywhere, and the new one, which nobody has seen, is gone.
#[inline(never)]
fn mint_or_inherit<B>(
    config: &Config,
    counters: &Counters,
    request: &mut Request<B>,
    id: &mut CorrelationId,
) -> HeaderValue {
    let value = config.mint.mint_into(id);
    put(request.headers_mut(), &config.header, value.clone());
    if let Some(known) = request.extensions_mut().insert(id.clone()) {
        id.clone_from(&known);
        request.extensions_mut().insert(known);
        return inherit(config, counters, request.headers_mut(), id);
    }
    counters.count(Counted::Minted);
    value
}

/// Makes of `id` what is sent under a name, if nothing else is.
#[inline]
fn read<'r>(
    id: &mut CorrelationId,
    (name, value): (&HeaderName, &'r HeaderValue),
    headers: &HeaderMap,
) -> Result<&'r HeaderValue, InvalidId> {
    let some_repeat = headers.keys_len() < headers.len();
    if some_repeat && headers.get_all(name).iter().nth(1).is_some() {
        return Err(InvalidId::Repeated);
    }
    id.read(value.as_bytes())?;
    Ok(value)
}

/// The ID that a layer further out has given: no client can write extensions.
#[cold]
fn inherit(
    config: &Config,
    counters: &Counters,
    headers: &mut HeaderMap,
    id: &CorrelationId,
) -> HeaderValue {
    counters.count(Counted::Inherited);
    remove_others(config, headers);
    let value = id.to_shared_header_value();
    put(headers, &config.header, value.clone());
    value
}

// A call of its own, so that the path of an ID that is accepted stays short.
#[inline(never)]
fn mint(
    config: &Config,
    counters: &Counters,
    headers: &mut HeaderMap,
    id: &mut CorrelationId,
) -> HeaderValue {
    counters.count(Counted::Minted);
    let value = config.mint.mint_into(id);
    put(headers, &config.header, value.clone());
    value
}

/// What a request says of its ID.
struct Found<'c, 'r> {
    /// The first of the names that are read which is there, and its first value.
    first: Option<(&'c HeaderName, &'r HeaderValue)>,
    /// Whether that is the one that goes inward.
    is_ours: bool,
    /// Whether a name is there that does not go inward.
    others: bool,
}

impl Found<'_, '_> {
    const NOTHING: Self = Self {
        first: None,
        is_ours: false,
        others: false,
    };
}

/// So many names are compared faster than one is hashed: most differ in length already, or are known
/// to HTTP.
const FEW: usize = 12;

// A call of its own: inside a longer function its few variables do not stay in registers.
#[inline(never)]
fn find<'c, 'r>(config: &'c Config, headers: &'r HeaderMap) -> Found<'c, 'r> {
    if let [other] = config.also_read.as_slice()
        && headers.keys_len() <= FEW
        && headers.keys_len() == headers.len()
    {
        return find_two(&config.header, other, headers);
    }
    let value = |name| Some((name, headers.get(name)?));
    let ours = value(&config.header);
    let other = config.also_read.iter().find_map(value);
    Found {
        first: ours.or(other),
        is_ours: ours.is_some(),
        others: other.is_some(),
    }
}

/// One look at each of a few names, of which none repeats.
#[inline]
fn find_two<'c, 'r>(
    header: &'c HeaderName,
    other: &'c HeaderName,
    headers: &'r HeaderMap,
) -> Found<'c, 'r> {
    const NOWHERE: usize = usize::MAX;
    let (mut ours, mut theirs) = (NOWHERE, NOWHERE);
    for (place, name) in headers.keys().enumerate() {
        if name == header {
            ours = place;
        } else if name == other {
            theirs = place;
        }
    }
    if ours == NOWHERE && theirs == NOWHERE {
        return Found::NOTHING;
    }
    let is_ours = ours != NOWHERE;
    let (name, place) = if is_ours {
        (header, ours)
    } else {
        (other, theirs)
    };
    Found {
        first: headers.values().nth(place).map(|value| (name, value)),
        is_ours,
        others: theirs != NOWHERE,
    }
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

/// So many names are in a map that has no room for another: three quarters of its 32,768 places.
const FULL: usize = 24_576;

/// Sets the one value of `name`. A map that is full takes none, not even for a name that it has: that one
/// is removed first. Where it has not the name it keeps what it has, rather than to panic.
#[inline]
pub(crate) fn put(headers: &mut HeaderMap, name: &HeaderName, value: HeaderValue) {
    if headers.keys_len() >= FULL {
        remove(headers, name);
    }
    let _full = headers.try_insert(name, value);
}

#[cold]
#[inline(never)]
fn remove(headers: &mut HeaderMap, name: &HeaderName) {
    headers.remove(name);
}
