//! Credentials and keys, known by what stands before them.

use std::ops::Range;

/// What is followed by a credential, in `Authorization` and wherever that is repeated.
const SCHEMES: [&str; 2] = ["bearer", "basic"];

/// How keys begin, and how many characters at least come after that.
const PREFIXES: [(&str, usize); 18] = [
    ("AIza", 16),
    ("AKIA", 12),
    ("ASIA", 12),
    ("eyJ", 16),
    ("ghp_", 16),
    ("gho_", 16),
    ("ghs_", 16),
    ("ghu_", 16),
    ("github_pat_", 16),
    ("glpat-", 16),
    ("npm_", 16),
    ("pk_live_", 8),
    ("rk_live_", 8),
    ("sk-", 16),
    ("sk_live_", 8),
    ("sk_test_", 8),
    ("xox", 10),
    ("ya29.", 16),
];

/// Adds where something follows `Bearer` or `Basic` that is no plain word.
pub(super) fn schemes(text: &str, found: &mut Vec<Range<usize>>) {
    let bytes = text.as_bytes();
    let mut done = 0;
    for start in words(bytes, b"bB") {
        if start < done {
            continue;
        }
        let Some(scheme) = SCHEMES
            .iter()
            .find(|scheme| starts_with(bytes, start, scheme))
        else {
            continue;
        };
        let after = start + scheme.len();
        let token = match gap(bytes, after) {
            // Looked at no further: this may come again and again in one long run.
            0 => continue,
            gap => after + gap,
        };
        let end = token + run(bytes, token);
        if is_no_word(bytes.get(token..end).unwrap_or_default()) {
            found.push(token..end);
            done = end;
        }
    }
}

/// Adds where keys are that are known by how they begin, private keys, and users in URLs.
pub(super) fn keys(text: &str, found: &mut Vec<Range<usize>>) {
    let bytes = text.as_bytes();
    let mut done = 0;
    for start in words(bytes, b"Aeghnprsxy") {
        if start < done {
            continue;
        }
        let rest = bytes.get(start..).unwrap_or_default();
        let prefix = PREFIXES
            .iter()
            .find(|(prefix, _)| rest.starts_with(prefix.as_bytes()));
        if let Some((prefix, least)) = prefix {
            let tail = start + prefix.len();
            let length = run(bytes, tail);
            if length >= *least {
                found.push(start..tail + length);
                done = tail + length;
            }
        }
    }
    private_keys(text, found);
    users(text, found);
}

/// Where words begin that have one of `first` as their first character.
fn words<'t>(text: &'t [u8], first: &'t [u8]) -> impl Iterator<Item = usize> + 't {
    let mut in_word = false;
    text.iter().enumerate().filter_map(move |(at, byte)| {
        let begins = !in_word && first.contains(byte);
        in_word = byte.is_ascii_alphanumeric();
        begins.then_some(at)
    })
}

fn starts_with(text: &[u8], at: usize, word: &str) -> bool {
    let here = text.get(at..at + word.len());
    here.is_some_and(|here| here.eq_ignore_ascii_case(word.as_bytes()))
}

/// How long the gap between a scheme and its credential is, in the few forms that it comes in.
fn gap(text: &[u8], at: usize) -> usize {
    let rest = text.get(at..).unwrap_or_default();
    if rest.starts_with(b"%20") {
        return 3;
    }
    let blank = |byte: &&u8| matches!(byte, b' ' | b'\t' | b'+' | b':' | b'=' | b'"' | b'\'');
    rest.iter().take(4).take_while(blank).count()
}

/// How many characters of a key or a credential stand at `at`.
fn run(text: &[u8], at: usize) -> usize {
    let rest = text.get(at..).unwrap_or_default();
    let is_part = |byte: &&u8| byte.is_ascii_alphanumeric() || b"-._~+/=%".contains(byte);
    rest.iter().take_while(is_part).count()
}

/// Whether this is more than a word of a sentence, such as one about "basic information".
fn is_no_word(token: &[u8]) -> bool {
    let odd = |byte: &u8| !byte.is_ascii_lowercase() && !b".".contains(byte);
    token.len() >= 4 && (token.iter().skip(1).any(odd) || token.len() >= 20)
}

/// From the line that says so to the one that ends it, or to the end.
fn private_keys(text: &str, found: &mut Vec<Range<usize>>) {
    const BEGIN: &str = "PRIVATE KEY-----";
    const END: &str = "-----END";
    let mut at = 0;
    while let Some(begin) = text.get(at..).and_then(|rest| rest.find(BEGIN)) {
        let start = at + begin + BEGIN.len();
        let rest = text.get(start..).unwrap_or_default();
        let end = rest.find(END).map_or(text.len(), |end| start + end);
        if start < end {
            found.push(start..end);
        }
        at = match rest.find(END) {
            // The line that ends it names a private key as well.
            Some(_) => text
                .get(end..)
                .and_then(|rest| rest.find(BEGIN))
                .map_or(text.len(), |next| end + next + BEGIN.len()),
            None => text.len(),
        };
    }
}

/// What stands between `://` and the last `@` of an authority.
fn users(text: &str, found: &mut Vec<Range<usize>>) {
    let mut at = 0;
    while let Some(scheme) = text.get(at..).and_then(|rest| rest.find("://")) {
        let start = at + scheme + 3;
        let rest = text.get(start..).unwrap_or_default();
        let ends =
            |char: char| char.is_whitespace() || matches!(char, '/' | '?' | '#' | '"' | '<' | '>');
        let authority = rest
            .get(..rest.find(ends).unwrap_or(rest.len()))
            .unwrap_or_default();
        if let Some(end) = authority.rfind('@').filter(|&end| end > 0) {
            found.push(start..start + end);
        }
        at = start + authority.len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(find: fn(&str, &mut Vec<Range<usize>>), text: &str) -> Vec<&str> {
        let mut found = Vec::new();
        find(text, &mut found);
        found.into_iter().map(|range| &text[range]).collect()
    }

    #[test]
    fn credentials_are_cut_and_sentences_are_not() {
        for (text, expected) in [
            ("authorization: Bearer abc.DEF-1", vec!["abc.DEF-1"]),
            ("bearer%20s3cr3t-token/x", vec!["s3cr3t-token/x"]),
            ("BASIC dXNlcjpwYXNz", vec!["dXNlcjpwYXNz"]),
            ("Basic information is missing", vec![]),
            ("the bearer of bad news", vec![]),
            ("forbearer s3cr3t-token", vec![]),
        ] {
            assert_eq!(cut(schemes, text), expected, "{text}");
        }
    }

    #[test]
    fn keys_are_known_by_how_they_begin() {
        for (text, expected) in [
            ("key AKIAIOSFODNN7EXAMPLE.", vec!["AKIAIOSFODNN7EXAMPLE."]),
            (
                "t=ghp_0123456789abcdefghij",
                vec!["ghp_0123456789abcdefghij"],
            ),
            (
                "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln x",
                vec!["eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln"],
            ),
            ("ask-0123456789abcdefghij", vec![]),
            ("sk-short", vec![]),
            ("see http://ann:pw@host/x@y", vec!["ann:pw"]),
            ("see http://host/ann@y", vec![]),
        ] {
            assert_eq!(cut(keys, text), expected, "{text}");
        }
    }

    #[test]
    fn a_private_key_is_cut_to_where_it_ends() {
        let pem = "a -----BEGIN RSA PRIVATE KEY-----\nMIIE\nabc\n-----END RSA PRIVATE KEY----- b";
        assert_eq!(cut(keys, pem), ["\nMIIE\nabc\n"]);
        let cut_short = "-----BEGIN PRIVATE KEY-----\nMIIE";
        assert_eq!(cut(keys, cut_short), ["\nMIIE"]);
        let two = format!("{pem} and {pem}");
        assert_eq!(cut(keys, &two).len(), 2);
    }
}
