//! Keys that could not be read: the rest of the file is read without them.

use super::report::ConfigProblem;

/// What a file lacks since keys were set aside, and nobody has to be told of.
#[derive(Debug, Default)]
pub(super) struct SetAside {
    keys: Vec<String>,
}

impl SetAside {
    /// Notes a key; where it has no such name, also the one that was `meant`.
    pub(super) fn note(&mut self, key: &str, meant: Option<&str>) {
        self.keys.push(key.to_owned());
        if let Some(meant) = meant {
            let table = key.rsplit_once('.').map(|(table, _)| format!("{table}."));
            self.keys.push(table.unwrap_or_default() + meant);
        }
    }

    /// Whether a problem may be there only because keys are missing: with one of them, with what it stands in or
    /// consists of, or with a pool that is referred to by a name which was not read.
    pub(super) fn explains(&self, problem: &ConfigProblem) -> bool {
        let key = &*problem.key;
        let refers_to_pool = matches!(last(key), "pool" | "canary") && key.contains('.');
        self.keys.iter().any(|aside| {
            let names_a_pool = aside.starts_with("pool") && matches!(last(aside), "name" | "pool");
            aside == key
                || is_within(key, aside)
                || is_within(aside, key)
                || refers_to_pool && names_a_pool
        })
    }
}

fn last(key: &str) -> &str {
    key.rsplit('.').next().unwrap_or(key)
}

/// Whether a key is one of the table or list `outer`.
pub(super) fn is_within(key: &str, outer: &str) -> bool {
    let rest = key.strip_prefix(outer);
    !outer.is_empty() && rest.is_some_and(|rest| rest.starts_with(['.', '[']))
}
