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

    /// The key whose name or value is written at `offset`, as a path from the top of the file, and which place of the two
    /// that is.
    pub(super) fn at(&self, offset: usize) -> Option<(String, Range<usize>)> {
        let mut found: Option<(String, Range<usize>)> = None;
        each_in_table(&self.0, "", &mut |key| {
            let innermost = |len: usize| found.as_ref().is_none_or(|(_, least)| len < least.len());
            let spans = [&key.name, &key.value];
            let mut around = spans.into_iter().filter(|span| span.contains(&offset));
            if let Some(span) = around.find(|span| innermost(span.len())) {
                found = Some((key.path.to_owned(), span.clone()));
            }
        });
        found
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

    /// The lists that are written where one of these tables is meant: the key of each, and its place.
    pub(super) fn lists_in_place_of(&self, tables: &[&str]) -> Vec<(String, Range<usize>)> {
        let mut found = Vec::new();
        each_in_table(&self.0, "", &mut |key| {
            let name = key.path.rsplit('.').next().unwrap_or_default();
            if key.is_list && tables.contains(&name) {
                found.push((key.path.to_owned(), key.name));
            }
        });
        found
    }
}

/// Takes the key whose name, value or value in a list is written at `place` out of a table or of the tables in it; tells
/// whether there was one.
pub(super) fn take_out(table: &mut DeTable<'_>, place: &Range<usize>) -> bool {
    let is_here =
        |(name, value): &(&Spanned<_>, &_)| name.span() == *place || is_written_at(value, place);
    let here = table
        .iter()
        .find(is_here)
        .map(|(name, _)| name.get_ref().to_string());
    match here {
        Some(name) => table.remove(&*name).is_some(),
        None => table.iter_mut().any(|(_, value)| take_out_of(value, place)),
    }
}

fn take_out_of(value: &mut Spanned<DeValue<'_>>, place: &Range<usize>) -> bool {
    match value.get_mut() {
        DeValue::Table(table) => take_out(table, place),
        DeValue::Array(list) => list.iter_mut().any(|it| take_out_of(it, place)),
        _ => false,
    }
}

fn is_written_at(value: &Spanned<DeValue<'_>>, place: &Range<usize>) -> bool {
    let list = value.get_ref().as_array();
    value.span() == *place
        || list.is_some_and(|list| list.iter().any(|it| is_written_at(it, place)))
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
        let found = keys().at(FILE.find(text).unwrap());
        found.map(|(path, _)| path)
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
    fn a_key_is_taken_out_by_its_name_its_value_or_a_value_in_its_list() {
        for (text, out) in [
            ("address = \"x\"", "listen.address"),
            ("'q'", "pool.q.name"),
            ("1, {", "pool.q.endpoints"),
            ("address = 2", "pool.q.endpoints[1].address"),
            ("3 }", "pool.q.health.failure_rate.ratio"),
        ] {
            let offset = FILE.find(text).unwrap();
            let mut file = DeTable::parse(FILE).unwrap().into_inner();
            let (_, place) = keys().at(offset).unwrap();
            assert!(take_out(&mut file, &place), "{out}");
            let left = Keys::new(file.clone()).at(offset).map(|(path, _)| path);
            assert_ne!(left.as_deref(), Some(out));
            assert!(!take_out(&mut file, &place), "{out}");
        }
    }

    #[test]
    fn a_list_is_no_table() {
        let file = DeTable::parse("[[listen]]\n[[pool]]\nname = 'p'\nhealth = []").unwrap();
        let keys = Keys::new(file.into_inner());
        let lists = |tables: &[&str]| {
            let found = keys.lists_in_place_of(tables).into_iter();
            found.map(|(key, _)| key).collect::<Vec<_>>()
        };
        assert_eq!(lists(&["health"]), ["pool.p.health"]);
        assert_eq!(lists(&["health", "listen"]), ["listen", "pool.p.health"]);
        assert!(lists(&["admin"]).is_empty());
    }
}
