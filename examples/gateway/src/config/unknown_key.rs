//! A key that there is not, and the one that was meant.

/// What serde says of a key that a table does not have.
pub(super) struct UnknownKey<'m> {
    name: &'m str,
    known: Vec<&'m str>,
}

impl<'m> UnknownKey<'m> {
    /// Of a message, if it is about one.
    pub(super) fn told_by(message: &'m str) -> Option<Self> {
        let rest = message.strip_prefix("unknown field `")?;
        let (name, rest) = rest.split_once("`, ")?;
        // What is in quotes is every second part.
        let known = rest.split('`').skip(1).step_by(2).collect();
        Some(Self { name, known })
    }

    /// The key that is nearly the same, if one is.
    pub(super) fn meant(&self) -> Option<&'m str> {
        let written = letters(self.name);
        let known = self.known.iter();
        let near = known.map(|key| (distance(&written, &letters(key)), *key));
        let nearest = near.min_by_key(|(changes, _)| *changes);
        let few = (written.len() / 3).max(1);
        nearest.filter(|near| near.0 <= few).map(|(_, key)| key)
    }

    /// What would be right.
    pub(super) fn in_words(&self) -> String {
        match self.meant() {
            Some(key) => format!("is no key here; did you mean {key}?"),
            None => format!("is no key here; there are: {}", self.known.join(", ")),
        }
    }
}

/// Case, dashes and underscores are mixed up more easily than letters.
fn letters(key: &str) -> Vec<char> {
    let all = key.chars().filter(|it| !matches!(it, '_' | '-'));
    all.flat_map(char::to_lowercase).collect()
}

/// How many letters have to be put in, left out, replaced or swapped with the next to make one of the other.
fn distance(one: &[char], other: &[char]) -> usize {
    // The last two rows of the table of all beginnings of both.
    let (mut before, mut last) = (Vec::new(), (0..=other.len()).collect::<Vec<_>>());
    for (i, letter) in one.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, wanted) in other.iter().enumerate() {
            let at = |row: &[usize], j: usize| row.get(j).copied().unwrap_or(usize::MAX - 1);
            let replaced = at(&last, j) + usize::from(letter != wanted);
            let mut least = replaced.min(at(&last, j + 1) + 1).min(at(&row, j) + 1);
            let is_swapped = i > 0
                && j > 0
                && one.get(i - 1) == Some(wanted)
                && other.get(j - 1) == Some(letter);
            if is_swapped {
                least = least.min(at(&before, j - 1) + 1);
            }
            row.push(least);
        }
        before = std::mem::replace(&mut last, row);
    }
    last.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_that_was_meant_is_named_and_where_none_is_near_all_are() {
        let keys = "expected one of `address`, `max_connections`, `idle_timeout`";
        for (written, meant) in [
            ("adress", Some("address")),
            ("addres", Some("address")),
            ("adderss", Some("address")),
            ("max-conections", Some("max_connections")),
            ("MaxConnections", Some("max_connections")),
            ("idle", None),
            ("port", None),
            ("", None),
        ] {
            let message = format!("unknown field `{written}`, {keys}");
            let unknown = UnknownKey::told_by(&message).unwrap();
            assert_eq!(unknown.meant(), meant, "{written}");
        }
        let said = |message| UnknownKey::told_by(message).map(|it| it.in_words());
        assert_eq!(
            said("unknown field `port`, expected `host` or `path`").unwrap(),
            "is no key here; there are: host, path"
        );
        assert_eq!(
            said("unknown field `hots`, expected `host` or `path`").unwrap(),
            "is no key here; did you mean host?"
        );
        assert_eq!(said("invalid type: map, expected a string"), None);
    }

    #[test]
    fn a_distance_counts_single_mistakes() {
        let of = |one, other| distance(&letters(one), &letters(other));
        assert_eq!(of("", ""), 0);
        assert_eq!(of("abc", ""), 3);
        assert_eq!(of("", "abc"), 3);
        assert_eq!(of("abcd", "acbd"), 1);
        assert_eq!(of("kitten", "sitting"), 3);
    }
}
