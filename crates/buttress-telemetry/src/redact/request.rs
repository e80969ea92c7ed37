//! What is shown of a request: what somebody asked for, and of that no secret.

use std::borrow::Cow;

use http::{HeaderMap, HeaderName, HeaderValue};

use super::{REDACTED, Redaction};

impl Redaction {
    /// The path of a request, if paths are shown.
    pub fn path<'t>(&self, path: &'t str) -> Option<Cow<'t, str>> {
        self.0.path.then(|| self.text(path))
    }

    /// The parts of a query that are shown, in their order; `None` where there is none.
    pub fn query(&self, query: &str) -> Option<String> {
        if self.0.query.is_empty() {
            return None;
        }
        let parts = query.split('&').filter_map(|part| {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            let is_shown = self.0.query.iter().any(|shown| shown == name);
            is_shown.then(|| format!("{name}={}", self.field(name, value)))
        });
        let shown = parts.collect::<Vec<_>>().join("&");
        (!shown.is_empty()).then_some(shown)
    }

    /// The value of a header, if that header is shown; of one that is marked as sensitive, nothing.
    pub fn header<'v>(&self, name: &HeaderName, value: &'v HeaderValue) -> Option<Cow<'v, str>> {
        self.0.headers.contains(name).then(|| {
            if value.is_sensitive() || self.is_secret(name.as_str()) {
                return Cow::Borrowed(REDACTED);
            }
            match String::from_utf8_lossy(value.as_bytes()) {
                Cow::Borrowed(text) => self.text(text),
                Cow::Owned(text) => Cow::Owned(self.text(&text).into_owned()),
            }
        })
    }

    /// The headers of a request that are shown, as `name: value` with `; ` between; `None` where there is
    /// none.
    pub fn headers(&self, headers: &HeaderMap) -> Option<String> {
        let mut shown = String::new();
        for name in &self.0.headers {
            for value in headers.get_all(name) {
                let Some(text) = self.header(name, value) else {
                    continue;
                };
                let between = if shown.is_empty() { "" } else { "; " };
                shown.extend([between, name.as_str(), ": ", &*text]);
            }
        }
        (!shown.is_empty()).then_some(shown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::header::{ACCEPT, AUTHORIZATION, USER_AGENT};

    #[test]
    fn nothing_of_query_and_headers_is_shown_unless_it_is_asked_for() {
        let redaction = Redaction::new();
        assert_eq!(redaction.query("token=canary&page=2"), None);
        let mut headers = HeaderMap::new();
        headers.insert(USER_AGENT, HeaderValue::from_static("canary"));
        assert_eq!(redaction.headers(&headers), None);
        assert_eq!(redaction.path("/a/b").as_deref(), Some("/a/b"));
        assert_eq!(redaction.show_path(false).path("/a/b"), None);
    }

    #[test]
    fn what_is_asked_for_is_shown_without_secrets() {
        let redaction = Redaction::new()
            .show_query(["page", "token", "by"])
            .show_headers([USER_AGENT, AUTHORIZATION, ACCEPT]);
        assert_eq!(
            redaction
                .query("canary=canary&page=2&token=canary&by=ann@example.com&page")
                .as_deref(),
            Some("page=2&token=[redacted]&by=[redacted]&page=")
        );
        let mut headers = HeaderMap::new();
        headers.insert(
            USER_AGENT,
            HeaderValue::from_static("tool/1 ann@example.com"),
        );
        headers.insert(AUTHORIZATION, HeaderValue::from_static("Custom canary"));
        headers.insert("x-other", HeaderValue::from_static("canary"));
        let mut sensitive = HeaderValue::from_static("canary");
        sensitive.set_sensitive(true);
        headers.insert(ACCEPT, sensitive);
        assert_eq!(
            redaction.headers(&headers).as_deref(),
            Some("user-agent: tool/1 [redacted]; authorization: [redacted]; accept: [redacted]")
        );
        let odd = HeaderValue::from_bytes(b"\xff ann@example.com").unwrap();
        assert_eq!(
            redaction.header(&USER_AGENT, &odd).as_deref(),
            Some("\u{fffd} [redacted]")
        );
    }
}
