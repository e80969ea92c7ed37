//! Families of one name as one, without what no page can carry.

use std::collections::BTreeMap;

use buttress_core::metric::{Family, Kind, Label, Point};

/// All points of one name.
pub(crate) struct Merged<'a> {
    /// Without the `_total` of counters.
    pub(crate) name: &'static str,
    pub(crate) help: &'static str,
    pub(crate) kind: Kind,
    pub(crate) points: Vec<&'a Point>,
}

impl Merged<'_> {
    /// What the name of each sample of a counter ends in.
    pub(crate) fn suffix(&self) -> &'static str {
        if self.kind == Kind::Counter {
            "_total"
        } else {
            ""
        }
    }
}

pub(crate) fn merge(families: &[Family]) -> Vec<Merged<'_>> {
    let mut merged: Vec<Merged<'_>> = Vec::new();
    let mut places = BTreeMap::new();
    for family in families.iter().filter(|family| is_name(family.name, ":")) {
        let name = base_name(family);
        let place = *places.entry(name).or_insert_with(|| {
            merged.push(Merged {
                name,
                help: family.help,
                kind: family.kind,
                points: Vec::new(),
            });
            merged.len() - 1
        });
        if let Some(found) = merged.get_mut(place)
            && found.kind == family.kind
        {
            let fit = |point: &&Point| point.labels.iter().all(|(name, _)| is_name(name, ""));
            found.points.extend(family.points.iter().filter(fit));
        }
    }
    merged
}

fn base_name(family: &Family) -> &'static str {
    match family.kind {
        Kind::Counter => family.name.strip_suffix("_total").unwrap_or(family.name),
        _ => family.name,
    }
}

/// A point's labels as plain text.
pub(crate) fn pairs(labels: &[Label]) -> impl Iterator<Item = (&str, &str)> {
    labels.iter().map(|(name, value)| (*name, value.as_ref()))
}

/// Whether `name` is one that every Prometheus allows; `and` is allowed beside letters and digits.
fn is_name(name: &str, and: &str) -> bool {
    let part = |char: char| char.is_ascii_alphanumeric() || char == '_' || and.contains(char);
    name.chars().all(part) && name.starts_with(|char: char| !char.is_ascii_digit())
}
