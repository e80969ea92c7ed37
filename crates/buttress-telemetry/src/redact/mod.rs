//! What must not leave the process, cut out of what does: log lines, spans, access lines, pages.
//!
//! Nothing that a client sends is shown unless somebody asked for it by name (headers, parts of the
//! query), and in whatever is shown, what has the shape of a secret is replaced by [`REDACTED`]. Both
//! are the job of a [`Redaction`]; [`crate::Config::redaction`] sets that of the process.
//!
//! Looking takes time in proportion to the length, whatever the text is, and allocates only where
//! something is found: `redact::tests`, and the fuzz target `redaction`, whose corpus
//! `tests/corpus.rs` replays.

mod assignment;
mod card;
mod credential;
mod email;
mod name;
mod request;
mod shape;
#[cfg(feature = "otlp")]
pub(crate) mod spans;

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use http::HeaderName;

pub use shape::Shape;

/// What stands where something was cut out.
pub const REDACTED: &str = "[redacted]";

/// What is shown of requests, and what is cut out of texts. Cheap to clone.
///
/// By default every [`Shape`] and what is under a name of secrets (`password`, `x-api-key`,
/// `set-cookie` …) is cut out, no header and no part of the query is shown, and paths are.
///
/// ```
/// use buttress_telemetry::Redaction;
///
/// let redaction = Redaction::new();
/// assert_eq!(redaction.text("paid by ann@example.com"), "paid by [redacted]");
/// assert_eq!(redaction.text("card 4111 1111 1111 1111 refused"), "card [redacted] refused");
/// assert_eq!(redaction.field("db_password", "hunter2"), "[redacted]");
/// ```
#[derive(Clone, Debug, Default)]
pub struct Redaction(Arc<Policy>);

#[derive(Clone, Debug)]
struct Policy {
    shapes: Vec<Shape>,
    /// Names of secrets beside the usual ones, as [`name::plain`] has them.
    names: Vec<String>,
    /// Whether the usual names of secrets count.
    usual_names: bool,
    headers: Vec<HeaderName>,
    query: Vec<String>,
    path: bool,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            shapes: Shape::ALL.to_vec(),
            names: Vec::new(),
            usual_names: true,
            headers: Vec::new(),
            query: Vec::new(),
            path: true,
        }
    }
}

impl Redaction {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Cuts nothing out of texts; still shows no header and no query. For where nobody's data is.
    pub fn nothing() -> Self {
        Self(Arc::new(Policy {
            shapes: Vec::new(),
            usual_names: false,
            ..Policy::default()
        }))
    }

    /// Cuts out these shapes, and no other.
    #[must_use]
    pub fn shapes(mut self, shapes: impl IntoIterator<Item = Shape>) -> Self {
        self.policy().shapes = shapes.into_iter().collect();
        self
    }

    /// Cuts out what is under these names as well, and under those that end with one of them. Case,
    /// hyphens and underscores make no difference; what has neither letter nor digit names nothing.
    #[must_use]
    pub fn secret_names<N: AsRef<str>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        let names = names.into_iter().map(|name| name::plain(name.as_ref()));
        let names = names.filter(|name| !name.is_empty());
        self.policy().names.extend(names);
        self
    }

    /// Shows these headers of requests where requests are shown.
    #[must_use]
    pub fn show_headers(mut self, headers: impl IntoIterator<Item = HeaderName>) -> Self {
        self.policy().headers = headers.into_iter().collect();
        self
    }

    /// Shows the values of these names in queries where requests are shown. Case counts.
    #[must_use]
    pub fn show_query<N: Into<String>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        self.policy().query = names.into_iter().map(Into::into).collect();
        self
    }

    /// Whether paths of requests are shown, with what looks like a secret cut out.
    #[must_use]
    pub fn show_path(mut self, show: bool) -> Self {
        self.policy().path = show;
        self
    }

    fn policy(&mut self) -> &mut Policy {
        Arc::make_mut(&mut self.0)
    }

    /// `text` without what has the shape of a secret.
    pub fn text<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let mut found = Vec::new();
        for shape in &self.0.shapes {
            shape.find(text, &mut found);
        }
        if self.0.usual_names || !self.0.names.is_empty() {
            assignment::find(text, |name| self.is_secret(name), &mut found);
        }
        cut(text, found)
    }

    /// The value of a field: nothing of it under the name of a secret, else as [`Redaction::text`].
    pub fn field<'t>(&self, name: &str, text: &'t str) -> Cow<'t, str> {
        if self.is_secret(name) {
            return Cow::Borrowed(REDACTED);
        }
        self.text(text)
    }

    /// Whether what is under `name` is a secret by its name.
    pub fn is_secret(&self, name: &str) -> bool {
        (self.0.usual_names && name::is_usual(name)) || name::ends_with_any(name, &self.0.names)
    }

    /// Whether a number has the shape of a secret: of a card, where these are cut out.
    pub(crate) fn is_secret_number(&self, number: u64) -> bool {
        self.0.shapes.contains(&Shape::Card) && card::is_card(number)
    }
}

/// `text` with `found` replaced. They may touch, overlap and come in any order.
fn cut(text: &str, mut found: Vec<Range<usize>>) -> Cow<'_, str> {
    if found.is_empty() {
        return Cow::Borrowed(text);
    }
    found.sort_unstable_by_key(|range| (range.start, range.end));
    let mut out = String::with_capacity(text.len());
    let mut cut_to = None;
    for range in found {
        if cut_to.is_none_or(|to| range.start > to) {
            let kept = text.get(cut_to.unwrap_or_default()..range.start);
            out.extend([kept.unwrap_or_default(), REDACTED]);
        }
        cut_to = cut_to.max(Some(range.end));
    }
    let kept = text.get(cut_to.unwrap_or_default()..);
    out.push_str(kept.unwrap_or_default());
    Cow::Owned(out)
}

#[cfg(test)]
mod tests;
