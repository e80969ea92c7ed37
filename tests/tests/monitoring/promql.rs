//! The names in a query.

use std::collections::BTreeSet;

use buttress_tests::documented;

use crate::rules::Rule;

/// Functions, operators and modifiers that are used; a new one is added here.
const WORDS: &[&str] = &[
    "and",
    "avg",
    "by",
    "changes",
    "count",
    "group",
    "group_left",
    "histogram_quantile",
    "increase",
    "max",
    "min",
    "on",
    "or",
    "rate",
    "sum",
    "time",
    "unless",
    "vector",
    "without",
];
/// Labels that whoever scrapes adds, and the one of buckets.
const LABELS: &[&str] = &["instance", "job", "le"];

/// All that a query may name.
pub(crate) struct Known(BTreeSet<String>);

impl Known {
    /// The documented metrics as the page shows them, and their labels. Another test says that they are
    /// emitted.
    pub(crate) fn emitted() -> Self {
        let mut known: BTreeSet<String> = WORDS.iter().map(|word| (*word).to_owned()).collect();
        known.extend(LABELS.iter().map(|label| (*label).to_owned()));
        for (name, of) in documented() {
            known.extend(of.labels);
            if of.kind == "histogram" {
                known.extend(["bucket", "sum", "count"].map(|part| format!("{name}_{part}")));
            } else {
                known.insert(name);
            }
        }
        Self(known)
    }

    /// And what is recorded by `rules`.
    pub(crate) fn with_recorded<'a>(mut self, rules: impl Iterator<Item = &'a Rule>) -> Self {
        self.0.extend(rules.map(|rule| rule.name.clone()));
        self
    }

    pub(crate) fn check(&self, query: &str, of: &str) {
        if let Some(unknown) = self.unknown(query) {
            panic!("{of}: nothing is called {unknown}, in {query}");
        }
    }

    /// The first name that is not known.
    pub(crate) fn unknown(&self, query: &str) -> Option<String> {
        names(query).find(|name| !self.0.contains(name))
    }
}

/// What is no string, no number, no duration and no variable of Grafana.
fn names(query: &str) -> impl Iterator<Item = String> {
    let outside: String = query.split('"').step_by(2).collect::<Vec<_>>().join(" ");
    let in_name = |char: char| char.is_ascii_alphanumeric() || "_:$.".contains(char);
    let words: Vec<String> = outside
        .split(|char| !in_name(char))
        .filter(|word| word.starts_with(|char: char| char.is_ascii_alphabetic() || char == '_'))
        .map(str::to_owned)
        .collect();
    words.into_iter()
}
