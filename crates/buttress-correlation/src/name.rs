//! Names of headers that last as long as the process.

use std::sync::{Mutex, PoisonError};

use http::HeaderName;

use crate::config::{X_CORRELATION_ID, X_REQUEST_ID};

static KEPT: Mutex<Vec<&'static HeaderName>> = Mutex::new(Vec::new());

/// `name`, to be carried by whoever may outlive the configuration that it stands in: to clone it for each
/// request and move it along costs more than all else that such a one holds.
///
/// Each name is kept once and never given back. There are as many as ever were configured, which no client
/// can choose.
pub(crate) fn kept(name: &HeaderName) -> &'static HeaderName {
    if let Some(usual) = [&X_CORRELATION_ID, &X_REQUEST_ID]
        .into_iter()
        .find(|usual| *usual == name)
    {
        return usual;
    }
    let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = kept.iter().find(|known| **known == name) {
        return known;
    }
    let new: &'static HeaderName = Box::leak(Box::new(name.clone()));
    kept.push(new);
    new
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_is_kept_once_however_often_it_is_configured() {
        let name = |text: &str| kept(&text.parse().unwrap());
        for text in [
            "x-correlation-id",
            "x-request-id",
            "x-of-our-own",
            "traceparent",
        ] {
            assert_eq!(name(text), text);
            assert!(std::ptr::eq(name(text), name(text)), "{text}");
        }
        assert_ne!(name("x-of-our-own"), name("x-of-others"));
        let ours = |known: &&&HeaderName| known.as_str().starts_with("x-of-");
        assert_eq!(KEPT.lock().unwrap().iter().filter(ours).count(), 2);
    }
}
