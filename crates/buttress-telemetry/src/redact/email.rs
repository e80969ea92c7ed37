//! Addresses of mailboxes: what most of them look like, not all that RFC 5321 allows.

use std::ops::Range;

/// Adds where addresses are in `text`. Looking back from a sign goes no further than the sign before
/// it, so the time is in proportion to the length.
pub(super) fn find(text: &[u8], found: &mut Vec<Range<usize>>) {
    let mut from = 0;
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        let sign = match byte {
            b'@' => 1,
            b'%' if text.get(at..).is_some_and(is_encoded_sign) => 3,
            _ => {
                at += 1;
                continue;
            }
        };
        let domain = at + sign;
        let local = local_before(text, from, at);
        let end = domain_end(text, domain);
        if local < at
            && let Some(end) = end
        {
            found.push(local..end);
        }
        from = domain;
        at = domain;
    }
}

/// `@` as URLs have it.
fn is_encoded_sign(text: &[u8]) -> bool {
    text.starts_with(b"%40")
}

fn local_before(text: &[u8], from: usize, sign: usize) -> usize {
    let before = text.get(from..sign).unwrap_or_default();
    let length = before.iter().rev().take_while(|&&byte| is_local(byte));
    sign - length.count()
}

fn is_local(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || !byte.is_ascii() || b"._%+-'!#$&*^`{|}~".contains(&byte)
}

/// Where the domain that begins at `start` ends: labels and dots, at least one of these, and a last
/// label of at least two letters.
fn domain_end(text: &[u8], start: usize) -> Option<usize> {
    let rest = text.get(start..)?;
    let is_part =
        |&&byte: &&u8| byte.is_ascii_alphanumeric() || !byte.is_ascii() || b".-".contains(&byte);
    let length = rest.iter().take_while(is_part).count();
    let domain = rest.get(..length)?;
    let kept = domain.iter().rev().skip_while(|byte| b".-".contains(byte));
    let domain = domain.get(..kept.count())?;
    let dot = domain.iter().rposition(|&byte| byte == b'.')?;
    let last = domain.get(dot + 1..)?;
    let letters = |byte: &u8| byte.is_ascii_alphabetic() || !byte.is_ascii();
    (dot > 0 && last.len() >= 2 && last.iter().any(letters)).then_some(start + domain.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_found_also_encoded_and_what_is_none_is_left() {
        for (text, addresses) in [
            (
                "from ann.lee+x@mail.example.com.",
                vec!["ann.lee+x@mail.example.com"],
            ),
            ("/users/ann%40example.com/x", vec!["ann%40example.com"]),
            ("<a@b.co>,<c@d.org>", vec!["a@b.co", "c@d.org"]),
            ("jörg@käse.example", vec!["jörg@käse.example"]),
            ("a@b@c.example", vec!["b@c.example"]),
            ("user@localhost", vec![]),
            ("@example.com", vec![]),
            ("v1@2.0.1", vec![]),
            ("%40%40@@", vec![]),
        ] {
            let mut found = Vec::new();
            find(text.as_bytes(), &mut found);
            let shown: Vec<_> = found.into_iter().map(|range| &text[range]).collect();
            assert_eq!(shown, addresses, "{text}");
        }
    }
}
