//! Secrets that a text names: `password=…`, `"token": "…"`, `Authorization: …`.

use std::ops::Range;

use super::REDACTED;

/// Adds what is assigned to names that `is_secret` in `text`. Looking goes forward alone, so the time
/// is in proportion to the length.
pub(super) fn find(text: &str, is_secret: impl Fn(&str) -> bool, found: &mut Vec<Range<usize>>) {
    let bytes = text.as_bytes();
    let mut at = 0;
    while let Some(sign) = sign_after(bytes, at) {
        at = sign + 1;
        let Some(name) = text.get(name_before(bytes, sign)) else {
            continue;
        };
        if !is_secret(name) {
            continue;
        }
        let value = value_at(bytes, sign + 1, is_whole_line(name));
        at = value.end.max(at);
        if !value.is_empty() {
            found.push(value);
        }
    }
}

fn sign_after(text: &[u8], at: usize) -> Option<usize> {
    let rest = text.get(at..)?;
    let next = rest.iter().position(|byte| matches!(byte, b'=' | b':'))?;
    Some(at + next)
}

/// Names are no longer than this; what is longer is judged by its end.
const LONGEST_NAME: usize = 64;

/// The name before a sign, without quotes and blanks between.
fn name_before(text: &[u8], sign: usize) -> Range<usize> {
    let back = |from: usize, most: usize, is_part: fn(&u8) -> bool| {
        let before = text.get(..from).unwrap_or_default();
        let part = before
            .iter()
            .rev()
            .take(most)
            .take_while(|&byte| is_part(byte));
        from - part.count()
    };
    let end = back(sign, 3, |byte| matches!(byte, b' ' | b'"' | b'\'' | b'\\'));
    let start = back(end, LONGEST_NAME, |byte| {
        byte.is_ascii_alphanumeric() || b"_-.".contains(byte)
    });
    start..end
}

/// Whether all that follows on the line is the value: credentials and cookies have several parts.
fn is_whole_line(name: &str) -> bool {
    let ends = |word: &str| {
        let end = name
            .len()
            .checked_sub(word.len())
            .and_then(|at| name.get(at..));
        end.is_some_and(|end| end.eq_ignore_ascii_case(word))
    };
    ends("authorization") || ends("cookie")
}

/// The value that begins after a sign, without its quotes, and without what was cut out before.
fn value_at(text: &[u8], after: usize, whole_line: bool) -> Range<usize> {
    let rest = text.get(after..).unwrap_or_default();
    let blanks = rest
        .iter()
        .take(3)
        .take_while(|&&byte| byte == b' ')
        .count();
    let start = after + blanks;
    let rest = text.get(start..).unwrap_or_default();
    let (skip, quote) = match rest {
        [quote @ (b'"' | b'\''), ..] => (1, Some(*quote)),
        [b'\\', quote @ (b'"' | b'\''), ..] => (2, Some(*quote)),
        _ => (0, None),
    };
    let start = start + skip;
    let is_cut = text
        .get(start..)
        .is_some_and(|rest| rest.starts_with(REDACTED.as_bytes()));
    let start = start + if is_cut { REDACTED.len() } else { 0 };
    let value = text.get(start..).unwrap_or_default();
    let ends = |byte: &u8| match quote {
        Some(quote) => *byte == quote,
        None if whole_line => matches!(byte, b'\n' | b'\r' | b'"'),
        None => byte.is_ascii_whitespace() || b"&,;)]}\"'<>".contains(byte),
    };
    let length = value.iter().position(ends).unwrap_or(value.len());
    start..start + length
}

#[cfg(test)]
mod tests {
    use super::super::name::is_usual;
    use super::*;

    #[test]
    fn what_is_assigned_to_a_secrets_name_is_found_in_every_notation() {
        for (text, expected) in [
            ("password=hunter2 x", vec!["hunter2"]),
            ("a?access_token=abc&b=1", vec!["abc"]),
            (r#"{"token": "a b", "n": 1}"#, vec!["a b"]),
            (r#"{\"token\":\"a b\"}"#, vec!["a b\\"]),
            (
                "Authorization: Digest a=1, b=2\nnext",
                vec!["Digest a=1, b=2"],
            ),
            ("Set-Cookie: id=1; Path=/", vec!["id=1; Path=/"]),
            ("secret = 'x y' z", vec!["x y"]),
            ("password=[redacted] x", vec![]),
            ("password=[redacted]hunter2 x", vec!["hunter2"]),
            ("password=", vec![]),
            ("status=200 path=/a", vec![]),
            ("tokens=7", vec![]),
        ] {
            let mut found = Vec::new();
            find(text, is_usual, &mut found);
            let shown: Vec<_> = found.into_iter().map(|range| &text[range]).collect();
            assert_eq!(shown, expected, "{text}");
        }
    }
}
