//! What may be changed while the process runs, and by whom.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use http::header::{HeaderName, ORIGIN};
use http::request::Parts;
use http::{Method, StatusCode};
use serde_json::{Map, Value, json};

use crate::builder::Admin;
use crate::pages::{Page, caught};

/// Where all of them are.
pub(crate) const PATH: &str = "/settings";

/// Before the name of each.
pub(crate) const PATH_OF_ONE: &str = "/settings/";

/// What somebody asks a setting to become: `PUT /settings/NAME?value=…&why=…`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Change {
    /// What it is to be.
    pub value: String,
    /// Why, as they say; empty if they do not.
    pub why: String,
    /// From where, if the service was told ([`crate::AdminService::of_peer`]).
    pub peer: Option<SocketAddr>,
}

/// Changes a setting, or says why it does not.
pub(crate) type Write = Box<dyn Fn(&Change) -> Result<(), String> + Send + Sync>;

/// What can be read and changed under a name.
pub struct Setting {
    name: String,
    read: Box<dyn Fn() -> String + Send + Sync>,
    write: Write,
}

impl fmt::Debug for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl Admin {
    /// The setting at `path`.
    pub(crate) fn setting_at(&self, path: &str) -> Option<Arc<Setting>> {
        let name = path.strip_prefix(PATH_OF_ONE)?;
        // As `[::1]:80`, which clients write in several ways.
        let name = decoded(name).unwrap_or_else(|| name.to_owned());
        // Of two of one name the later counts.
        let fixed = self.settings.iter().rev().find(|it| it.name == name);
        let listed = || self.listed().find(|it| it.name == name).map(Arc::new);
        fixed.map(Arc::clone).or_else(listed)
    }

    /// What is listed at this moment; nothing of a list that panics.
    fn listed(&self) -> impl Iterator<Item = Setting> {
        let lists = self.listed.iter();
        lists.flat_map(|list| caught(list).unwrap_or_default())
    }

    /// All of them, with what they are now.
    pub(crate) fn settings_page(&self) -> Page {
        let listed = self.listed().map(|it| it.shown()).collect::<Vec<_>>();
        let fixed = self.settings.iter().map(|it| it.shown());
        let settings = listed.into_iter().chain(fixed).collect::<Map<_, _>>();
        Page::object(StatusCode::OK, &Value::Object(settings))
    }
}

impl Setting {
    /// One called `name`: `read` says what it is, `write` changes it, or says why it does not and leaves it as it is.
    pub fn new<R, W>(name: impl Into<String>, read: R, write: W) -> Self
    where
        R: Fn() -> String + Send + Sync + 'static,
        W: Fn(&Change) -> Result<(), String> + Send + Sync + 'static,
    {
        Self {
            name: name.into(),
            read: Box::new(read),
            write: Box::new(write),
        }
    }

    /// Its name, and what it is now.
    fn shown(&self) -> (String, Value) {
        let value = caught(&self.read);
        let value = value.map_or_else(|problem| json!({ "error": problem }), Value::from);
        (self.name.clone(), value)
    }

    /// Answers a request for this one.
    pub(crate) fn answer(&self, request: &Parts, peer: Option<SocketAddr>) -> Page {
        match request.method {
            Method::GET | Method::HEAD => self.page(StatusCode::OK),
            Method::PUT if is_of_a_web_page(request) => {
                let sentence = "a web page may not change settings; use another client";
                Page::text(StatusCode::FORBIDDEN, sentence)
            }
            Method::PUT => self.put(request.uri.query().unwrap_or_default(), peer),
            _ => Page::text(StatusCode::METHOD_NOT_ALLOWED, "use GET, HEAD or PUT"),
        }
    }

    fn put(&self, query: &str, peer: Option<SocketAddr>) -> Page {
        let read = || {
            let value = parameter(query, "value")?;
            Ok((
                value.ok_or(MISSING)?,
                parameter(query, "why")?.unwrap_or_default(),
            ))
        };
        let (value, why) = match read() {
            Ok(read) => read,
            Err(problem) => return Page::text(StatusCode::BAD_REQUEST, problem),
        };
        let change = Change { value, why, peer };
        match caught(|| (self.write)(&change)) {
            Ok(Ok(())) => self.page(StatusCode::OK),
            Ok(Err(problem)) => Page::text(StatusCode::UNPROCESSABLE_ENTITY, &problem),
            Err(problem) => Page::text(StatusCode::INTERNAL_SERVER_ERROR, problem),
        }
    }

    fn page(&self, status: StatusCode) -> Page {
        match caught(&self.read) {
            Ok(value) => Page::object(status, &json!({ "value": value })),
            Err(problem) => Page::text(StatusCode::INTERNAL_SERVER_ERROR, problem),
        }
    }
}

/// Whether a browser sends this for a page that it shows. Only what no page can leave out is trusted.
fn is_of_a_web_page(request: &Parts) -> bool {
    static FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
    request.headers.contains_key(ORIGIN) || request.headers.contains_key(&FETCH_SITE)
}

const MISSING: &str = "no value; expected PUT /settings/NAME?value=...&why=...";

/// The value of `name` in a query, decoded as forms are, or why it cannot be told which that is.
fn parameter(query: &str, name: &str) -> Result<Option<String>, &'static str> {
    let parts = query.split('&').filter_map(|part| part.split_once('='));
    let mut values = parts.filter(|&(it, _)| it == name);
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some((_, value)), None) => decoded(value).map(Some).ok_or(
            "value or why is not text; write it in UTF-8, what is no letter or digit as %XX",
        ),
        (Some(_), Some(_)) => Err("value or why is there twice; write each once"),
    }
}

fn decoded(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'+' => b' ',
            b'%' => hex(bytes.next()?)? << 4 | hex(bytes.next()?)?,
            byte => byte,
        });
    }
    String::from_utf8(out).ok()
}

fn hex(digit: u8) -> Option<u8> {
    let value = char::from(digit).to_digit(16)?;
    u8::try_from(value).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_decoded_as_forms_are() {
        let query = "a=1&value=info,hyper%3Ddebug&why=ticket+7%20%C3%BC&two=1&two=2&bad=%zz&cut=%2&x=%ff&no";
        let value = |name| parameter(query, name).unwrap();
        assert_eq!(value("value").as_deref(), Some("info,hyper=debug"));
        assert_eq!(value("why").as_deref(), Some("ticket 7 ü"));
        for absent in ["b", "no", ""] {
            assert_eq!(value(absent), None, "{absent}");
        }
        for (unclear, why) in [
            ("two", "twice"),
            ("bad", "UTF-8"),
            ("cut", "UTF-8"),
            ("x", "UTF-8"),
        ] {
            let problem = parameter(query, unclear).unwrap_err();
            assert!(problem.contains(why), "{unclear}: {problem}");
        }
    }
}
