//! The head of a request, held for another attempt.
//!
//! As bytes: a clone of the headers counts a reference to each value and gives it back, and nearly every request
//! is answered by the endpoint that it goes to first. The head is made of the bytes again where one is not.

use http::header::HeaderMap;
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{Extensions, HeaderName, HeaderValue, Method, Request, Uri, Version};

pub(super) struct Held {
    method: Method,
    version: Version,
    extensions: Extensions,
    /// A target that is more than a path.
    target: Option<Box<Uri>>,
    /// The path begins the bytes, and is so long.
    path: usize,
    /// The path, and then for each header the lengths of its name and its value, and both.
    bytes: Vec<u8>,
}

/// What a header is expected to take, with both its lengths. Room that is wanting is made.
const LINE: usize = 64;

impl Held {
    pub(super) fn of<B>(request: &Request<B>) -> Self {
        let (headers, uri) = (request.headers(), request.uri());
        let is_path = uri.scheme().is_none() && uri.authority().is_none();
        let path = uri.path_and_query().filter(|_| is_path);
        let path = path.map_or("", PathAndQuery::as_str);
        let mut bytes = Vec::with_capacity(path.len() + headers.len() * LINE);
        bytes.extend_from_slice(path.as_bytes());
        for (name, value) in headers {
            let name = name.as_str().as_bytes();
            // No value is as long as half of the memory.
            let marked = value.len() << 1 | usize::from(value.is_sensitive());
            let lengths = [name.len().to_ne_bytes(), marked.to_ne_bytes()];
            bytes.extend_from_slice(lengths.as_flattened());
            bytes.extend_from_slice(name);
            bytes.extend_from_slice(value.as_bytes());
        }
        Self {
            method: request.method().clone(),
            version: request.version(),
            extensions: request.extensions().clone(),
            target: path.is_empty().then(|| Box::new(uri.clone())),
            path: path.len(),
            bytes,
        }
    }

    /// The head again. `None` never comes: what was held was a head.
    #[cold]
    pub(super) fn again(&self) -> Option<Parts> {
        let (path, lines) = self.bytes.split_at_checked(self.path)?;
        let mut head = Request::new(()).into_parts().0;
        head.method = self.method.clone();
        head.version = self.version;
        head.extensions = self.extensions.clone();
        head.uri = match &self.target {
            Some(target) => Uri::clone(target),
            None => PathAndQuery::try_from(path).ok()?.into(),
        };
        head.headers = headers(lines)?;
        Some(head)
    }
}

fn headers(mut lines: &[u8]) -> Option<HeaderMap> {
    let mut headers = HeaderMap::new();
    while !lines.is_empty() {
        let name = length(&mut lines)?;
        let marked = length(&mut lines)?;
        let name = HeaderName::from_bytes(take(&mut lines, name)?).ok()?;
        let mut value = HeaderValue::from_bytes(take(&mut lines, marked >> 1)?).ok()?;
        value.set_sensitive(marked & 1 == 1);
        headers.try_append(name, value).ok()?;
    }
    Some(headers)
}

fn length(bytes: &mut &[u8]) -> Option<usize> {
    let (length, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(usize::from_ne_bytes(*length))
}

fn take<'a>(bytes: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    Some(taken)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn held_and_made_again(head: Parts) -> Parts {
        Held::of(&Request::from_parts(head, ())).again().unwrap()
    }

    fn assert_same(head: &Parts, again: &Parts) {
        assert_eq!(head.method, again.method);
        assert_eq!(head.uri, again.uri);
        assert_eq!(head.version, again.version);
        let lines = |of: &Parts| -> Vec<(HeaderName, HeaderValue, bool)> {
            let line = |(name, value): (&HeaderName, &HeaderValue)| {
                (name.clone(), value.clone(), value.is_sensitive())
            };
            of.headers.iter().map(line).collect()
        };
        assert_eq!(lines(head), lines(again));
    }

    #[test]
    fn every_kind_of_target_comes_back() {
        for target in [
            "/",
            "/a/b?c=d",
            "*",
            "http://shop.example:81/x?y",
            "shop.example:443",
        ] {
            let request = Request::builder().uri(target).body(()).unwrap();
            let head = request.into_parts().0;
            assert_same(&head, &held_and_made_again(head.clone()));
        }
        let head = Request::new(()).into_parts().0;
        assert_same(&head, &held_and_made_again(head.clone()));
        let mut head = Request::new(()).into_parts().0;
        head.uri = Uri::default();
        head.extensions.insert(7_u8);
        assert_eq!(held_and_made_again(head).extensions.get(), Some(&7_u8));
    }

    proptest! {
        #[test]
        fn any_headers_come_back_in_their_order_with_all_their_values(
            lines in prop::collection::vec(
                ("[a-e]|x-[a-c]{1,3}|host|accept", prop::collection::vec(any::<u8>(), 0..40), any::<bool>()),
                0..20,
            ),
            method in "GET|POST|[A-Z]{1,20}",
        ) {
            let mut head = Request::new(()).into_parts().0;
            head.method = method.parse().unwrap();
            head.version = Version::HTTP_2;
            for (name, value, sensitive) in lines {
                if let Ok(mut value) = HeaderValue::from_bytes(&value) {
                    value.set_sensitive(sensitive);
                    head.headers.append(HeaderName::try_from(name).unwrap(), value);
                }
            }
            assert_same(&head, &held_and_made_again(head.clone()));
        }
    }
}
