//! Which key of a file stands at a place, and where a key stands.

use std::ops::Range;

use serde_spanned::Spanned;
use toml::de::{DeTable, DeValue};

use super::values;

/// The keys of a file, each with its place.
#[derive(Debug, Default)]
pub(super) struct Keys<'a>(DeTable<'a>);

impl<'a> Keys<'a> {
    /// Of what a file holds.
    pub(super) const fn new(file: DeTable<'a>) -> Self {
        Self(file)
    }

    /// The key whose name or value is written at `offset`, as a path from the top of the file.
    pub(super) fn at(&self, offset: usize) -> Option<String> {
        let mut found: Option<(usize, String)> = None;
        each_in_table(&self.0, "", &mut |key| {
            let innermost = |len: usize| found.as_ref().is_none_or(|(least, _)| len < *least);
            let spans = [&key.name, &key.value];
            let mut around = spans.into_iter().filter(|span| span.contains(&offset));
            if let Some(span) = around.find(|span| innermost(span.len())) {
                found = Some((span.len(), key.path.to_owned()));
            }
        });
        found.map(|(_, path)| path)
    }

    /// The place of `path` in the table of that `index` in a `list` of the file; of what stands around it where it is not
    /// written itself.
    pub(super) fn place(&self, list: &str, index: usize, path: &str) -> Option<Range<usize>> {
        let all = self.0.get(list)?.get_ref();
        let mut value = all.as_array()?.get(index)?;
        for key in path.split('.') {
            let inner = value.get_ref().as_table().and_then(|table| table.get(key));
            let Some(inner) = inner else { break };
            value = inner;
        }
        Some(value.span())
    }

    /// A list that is written where one of these tables is meant: its key, and its place.
    pub(super) fn list_in_place_of(&self, tables: &[&str]) -> Option<(String, Range<usize>)> {
        let mut found = None;
        each_in_table(&self.0, "", &mut |key| {
            let name = key.path.rsplit('.').next().unwrap_or_default();
            if key.is_list && tables.contains(&name) && found.is_none() {
                found = Some((key.path.to_owned(), key.name));
            }
        });
        found
    }
}

/// A key with its value, or one value of a list.
struct Key<'p> {
    path: &'p str,
    name: Range<usize>,
    value: Range<usize>,
    is_list: bool,
}

fn each_in_table(table: &DeTable<'_>, above: &str, told: &mut dyn FnMut(Key<'_>)) {
    for (name, value) in table {
        let dot = if above.is_empty() { "" } else { "." };
        let path = format!("{above}{dot}{}", name.get_ref());
        each_in(value, &path, &name.span(), told);
    }
}

/// No deeper than the parser lets tables nest.
fn each_in(
    value: &Spanned<DeValue<'_>>,
    path: &str,
    name: &Range<usize>,
    told: &mut dyn FnMut(Key<'_>),
) {
    told(Key {
        path,
        name: name.clone(),
        value: value.span(),
        is_list: value.get_ref().is_array(),
    });
    match value.get_ref() {
        DeValue::Table(table) => each_in_table(table, path, told),
        DeValue::Array(list) => {
            for (index, entry) in list.iter().enumerate() {
                let path = match name_of(entry.get_ref()) {
                    Some(name) => format!("{path}.{name}"),
                    None => format!("{path}[{index}]"),
                };
                each_in(entry, &path, &entry.span(), told);
            }
        }
        _ => {}
    }
}

/// What a pool or a route is called, if it can be called that.
fn name_of<'v>(entry: &'v DeValue<'_>) -> Option<&'v str> {
    let name = entry.as_table()?.get("name")?.get_ref().as_str()?;
    values::name(name).is_ok().then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "[listen]\naddress = \"x\"\n\n[[pool]]\nname = \"p\"\n[[pool]]\nname = 'q'\n\
                        endpoints = [1, { address = 2 }]\n[pool.health]\nfailure_rate = { ratio = 3 }\n[[route]]\npool = 4\n";

    fn keys() -> Keys<'static> {
        Keys::new(DeTable::parse(FILE).unwrap().into_inner())
    }

    fn at(text: &str) -> Option<String> {
        keys().at(FILE.find(text).unwrap())
    }

    #[test]
    fn a_key_is_a_path_in_which_pools_and_routes_are_called_by_their_names() {
        assert_eq!(at("address = \"x\"").as_deref(), Some("listen.address"));
        assert_eq!(at("'q'").as_deref(), Some("pool.q.name"));
        assert_eq!(at("1, {").as_deref(), Some("pool.q.endpoints[0]"));
        let inner = at("2 }");
        assert_eq!(inner.as_deref(), Some("pool.q.endpoints[1].address"));
        let rate = at("3 }");
        assert_eq!(rate.as_deref(), Some("pool.q.health.failure_rate.ratio"));
        assert_eq!(at("4").as_deref(), Some("route[0].pool"));
        assert_eq!(keys().at(FILE.len()), None);
    }

    #[test]
    fn a_place_is_that_of_the_value_or_of_what_stands_around_it() {
        let text = |list, index, path| keys().place(list, index, path).map(|it| &FILE[it]);
        assert_eq!(text("pool", 1, "health.failure_rate.ratio"), Some("3"));
        let around = text("pool", 1, "health.failure_rate.window");
        assert_eq!(around, Some("{ ratio = 3 }"));
        assert_eq!(text("pool", 1, "health.decay"), Some("[pool.health]"));
        assert_eq!(text("pool", 0, "failover"), Some("[[pool]]"));
        assert_eq!(text("pool", 2, "name"), None);
        assert_eq!(text("listen", 0, "address"), None);
    }

    #[test]
    fn a_list_is_no_table() {
        let file = DeTable::parse("[[listen]]\n[[pool]]\nname = 'p'\nhealth = []").unwrap();
        let keys = Keys::new(file.into_inner());
        let (key, _) = keys.list_in_place_of(&["health"]).unwrap();
        assert_eq!(key, "pool.p.health");
        assert_eq!(keys.list_in_place_of(&["listen"]).unwrap().0, "listen");
        assert_eq!(keys.list_in_place_of(&["admin"]), None);
    }
}
