//! What is wrong with a configuration, where, and what would be right.

use std::fmt;
use std::ops::Range;

use serde::Deserialize;
use toml::de::{DeTable, Deserializer};

use super::keys::{Keys, take_out};
use super::set_aside::{SetAside, is_within};
use super::unknown_key::UnknownKey;
use super::wrong_type;

/// One thing that is wrong with a configuration file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigProblem {
    /// Name of the file, as it was given.
    pub file: String,
    /// Line in the file, from 1; `None` where the file as a whole is meant.
    pub line: Option<usize>,
    /// The key, as a path from the top of the file.
    pub key: String,
    /// What is wrong, and what would be right.
    pub message: String,
}

impl fmt::Display for ConfigProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        if !self.key.is_empty() {
            write!(f, ": {}", self.key)?;
        }
        write!(f, ": {}", self.message)
    }
}

/// Everything that is wrong with a configuration; never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    problems: Vec<ConfigProblem>,
}

impl ConfigError {
    /// All problems, from the top of the file; behind them those that have no line.
    pub fn problems(&self) -> &[ConfigProblem] {
        &self.problems
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, problem) in self.problems.iter().enumerate() {
            if i > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}

/// A configuration's text and everything found wrong with it so far.
pub(super) struct Report<'a> {
    file: &'a str,
    source: &'a str,
    keys: Keys<'a>,
    set_aside: SetAside,
    problems: Vec<ConfigProblem>,
    /// So many of these, the first, are of what could not be read.
    unread: usize,
}

/// Keys that cannot be read are set aside one by one, and each time the rest is read again.
const MOST_SET_ASIDE: usize = 100;

/// Keys that are tables of their own, wherever they stand.
const TABLES: &[&str] = &[
    "listen",
    "admin",
    "log",
    "audit",
    "trace",
    "metrics",
    "forwarded",
    "correlation",
    "health",
    "failure_rate",
    "slow_rate",
    "failure_weights",
    "check",
    "failover",
    "discover",
    "breaker",
    "mirror",
    "split",
];

impl<'a> Report<'a> {
    pub(super) fn new(file: &'a str, source: &'a str) -> Self {
        Self {
            file,
            source,
            keys: Keys::default(),
            set_aside: SetAside::default(),
            problems: Vec::new(),
            unread: 0,
        }
    }

    /// What the file says, without the keys that cannot be read, each of which is noted; nothing where it is no TOML.
    pub(super) fn read<T: Deserialize<'a>>(&mut self) -> Option<T> {
        let read = self.read_what_can_be();
        self.unread = self.problems.len();
        read
    }

    fn read_what_can_be<T: Deserialize<'a>>(&mut self) -> Option<T> {
        let mut file = match DeTable::parse(self.source) {
            Ok(file) => file,
            Err(error) => {
                self.add_syntax(&error);
                return None;
            }
        };
        self.keys = Keys::new(file.get_ref().clone());
        self.set_aside_lists(file.get_mut());
        for _ in 0..MOST_SET_ASIDE {
            match T::deserialize(Deserializer::from(file.clone())) {
                Ok(read) => return Some(read),
                Err(error) if self.set_aside(&error, file.get_mut()) => {}
                Err(_) => return None,
            }
        }
        self.add_without_place("", "there is more that cannot be read; mend this first");
        None
    }

    /// Notes what is written as a list and is one table.
    fn set_aside_lists(&mut self, file: &mut DeTable<'a>) {
        let message = "a list is out of place; write one table, in single brackets or braces";
        for (key, place) in self.keys.lists_in_place_of(TABLES) {
            self.set_aside.note(&key, None);
            take_out(file, &place);
            self.add(place, &key, message);
        }
    }

    /// Notes what is of the wrong type, or a key that there is not, and takes it out of the file; `false` if that is nowhere.
    fn set_aside(&mut self, error: &toml::de::Error, file: &mut DeTable<'a>) -> bool {
        let at = error.span().map(|span| span.start);
        let line = at.map(|at| line_of(self.source, at));
        let found = at.and_then(|at| self.keys.at(at));
        let key = found.as_ref().map_or("", |(key, _)| key);
        let unknown = UnknownKey::told_by(error.message());
        let message = match &unknown {
            Some(unknown) => unknown.in_words(),
            None => wrong_type::in_words(key, error.message()),
        };
        let meant = unknown.as_ref().and_then(UnknownKey::meant);
        self.set_aside.note(key, meant);
        self.push(line, key.to_owned(), message);
        found.is_some_and(|(_, place)| take_out(file, &place))
    }

    /// Notes a problem with `path` in the table of that `index` in a `list` of the file, which `key` names.
    pub(super) fn add_in(
        &mut self,
        (list, index, path): (&str, usize, &str),
        key: &str,
        message: impl Into<String>,
    ) {
        match self.keys.place(list, index, path) {
            Some(place) => self.add(place, key, message),
            None => self.add_without_place(key, message),
        }
    }

    /// Notes a problem with `key`, found at `span`.
    pub(super) fn add(&mut self, span: Range<usize>, key: &str, message: impl Into<String>) {
        let line = Some(line_of(self.source, span.start));
        self.push(line, key.to_owned(), message.into());
    }

    /// Notes a problem that belongs to no place in the file.
    pub(super) fn add_without_place(&mut self, key: &str, message: impl Into<String>) {
        self.push(None, key.to_owned(), message.into());
    }

    /// How many problems there are so far.
    pub(super) fn len(&self) -> usize {
        self.problems.len()
    }

    /// Whether something is wrong with `key`, or in it, already.
    pub(super) fn tells_of(&self, key: &str) -> bool {
        let mut told = self.problems.iter().map(|problem| &*problem.key);
        told.any(|it| it == key || is_within(it, key))
    }

    /// Notes why the file is no TOML. Nothing is known of its keys; the key is read off the line.
    fn add_syntax(&mut self, error: &toml::de::Error) {
        let at = error.span().map(|span| span.start);
        let line = at.map(|at| line_of(self.source, at));
        let key = at.map(|at| key_at(self.source, at)).unwrap_or_default();
        let message = wrong_type::in_words(&key, error.message());
        self.push(line, key, message);
    }

    /// Whether nothing was found.
    pub(super) fn finish<T>(self, value: Option<T>) -> Result<T, ConfigError> {
        let aside = &self.set_aside;
        match value {
            Some(value) if self.problems.is_empty() => Ok(value),
            _ => {
                let (unread, found) = (self.unread, self.problems.into_iter().enumerate());
                let own = found.filter(|(nth, it)| *nth < unread || !aside.explains(it));
                let mut problems: Vec<_> = own.map(|(_, problem)| problem).collect();
                problems.sort_by_key(|it| it.line.unwrap_or(usize::MAX));
                Err(ConfigError { problems })
            }
        }
    }

    fn push(&mut self, line: Option<usize>, key: String, message: String) {
        self.problems.push(ConfigProblem {
            file: self.file.to_owned(),
            line,
            key,
            message,
        });
    }
}

/// What is wrong with a file as a whole, or from one of its lines on.
pub(super) fn unreadable(file: &str, line: Option<usize>, message: String) -> ConfigError {
    let mut report = Report::new(file, "");
    report.push(line, String::new(), message);
    ConfigError {
        problems: report.problems,
    }
}

fn line_of(source: &str, offset: usize) -> usize {
    let before = source.get(..offset.min(source.len())).unwrap_or(source);
    before.matches('\n').count() + 1
}

/// The dotted key whose line holds `offset`, with the table it stands in; nothing where the line has none.
fn key_at(source: &str, offset: usize) -> String {
    let line = line_of(source, offset);
    let lines: Vec<&str> = source.lines().take(line).map(str::trim).collect();
    let Some((last, above)) = lines.split_last() else {
        return String::new();
    };
    if last.starts_with('[') {
        return key_or_nothing(last.trim_matches(['[', ']']));
    }
    let table = above.iter().rev().find(|line| is_header(line));
    let table = table.map_or_else(String::new, |line| {
        key_or_nothing(line.trim_matches(['[', ']']))
    });
    let key = key_or_nothing(last.split('=').next().unwrap_or(last).trim());
    match (table.is_empty(), key.is_empty()) {
        (false, false) => format!("{table}.{key}"),
        _ => table + &key,
    }
}

fn key_or_nothing(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    let is_key = text.chars().all(plain);
    if is_key {
        text.to_owned()
    } else {
        String::new()
    }
}

fn is_header(line: &str) -> bool {
    line.starts_with('[') && line.ends_with(']') && !line.contains('=') && !line.contains(',')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_named_with_the_table_it_stands_in() {
        let source = "[listen]\naddress = \"x\"\n\n[[pool]]\nname = 3\n";
        assert_eq!(key_at(source, source.find('3').unwrap()), "pool.name");
        assert_eq!(line_of(source, source.find('3').unwrap()), 5);
        assert_eq!(key_at(source, 2), "listen");
    }

    #[test]
    fn an_offset_past_the_end_is_the_last_line() {
        assert_eq!(line_of("a\nb", 99), 2);
        assert_eq!(key_at("", 4), "");
    }

    #[test]
    fn what_is_no_key_is_not_named() {
        assert_eq!(key_at("[[a]]b = 1[[c]]d = 2", 3), "");
        assert_eq!(key_at("[a]\n\0\n", 4), "a");
    }
}
