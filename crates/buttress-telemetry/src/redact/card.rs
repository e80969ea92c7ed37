//! Numbers of cards: ISO/IEC 7812, with the check digit of Luhn (US patent 2,950,048).

use std::ops::Range;

const SHORTEST: usize = 13;
const LONGEST: usize = 19;

/// Adds where cards are in `text`. Each group of digits is looked at from its beginning and for at
/// most 19 digits, so the time is in proportion to the length.
pub(super) fn find(text: &[u8], found: &mut Vec<Range<usize>>) {
    let mut at = 0;
    while let Some(start) = group(text, at) {
        let end = match card(text, start) {
            Some(end) => {
                found.push(start..end);
                end
            }
            None => start + digits(text, start),
        };
        at = end;
    }
}

/// Whether the digits of `number` are a card's.
pub(super) fn is_card(number: u64) -> bool {
    let mut read = Digits::default();
    for byte in number.to_string().bytes() {
        read.push(byte - b'0');
    }
    read.are_a_card()
}

/// Where the next group of digits begins that is no part of a word.
fn group(text: &[u8], mut at: usize) -> Option<usize> {
    loop {
        at += text.get(at..)?.iter().position(u8::is_ascii_digit)?;
        let before = at.checked_sub(1).and_then(|before| text.get(before));
        if !before.is_some_and(u8::is_ascii_alphanumeric) {
            return Some(at);
        }
        at += digits(text, at);
    }
}

/// How many digits stand at `at`.
fn digits(text: &[u8], at: usize) -> usize {
    let rest = text.get(at..).unwrap_or_default();
    rest.iter().take_while(|byte| byte.is_ascii_digit()).count()
}

/// Where the longest card that begins at `start` ends.
fn card(text: &[u8], start: usize) -> Option<usize> {
    let mut read = Digits::default();
    let mut longest = None;
    let mut at = start;
    loop {
        let digit = text.get(at).filter(|byte| byte.is_ascii_digit())?;
        if !read.push(digit - b'0') {
            return longest;
        }
        at += 1;
        match (text.get(at), text.get(at + 1)) {
            (Some(next), _) if next.is_ascii_digit() => {}
            (Some(next), _) if next.is_ascii_alphabetic() => return longest,
            (next, after) => {
                if read.are_a_card() {
                    longest = Some(at);
                }
                let goes_on =
                    matches!(next, Some(b' ' | b'-')) && after.is_some_and(u8::is_ascii_digit);
                if !goes_on {
                    return longest;
                }
                at += 1;
            }
        }
    }
}

/// Digits as they are read, and both sums of Luhn's: with every second digit doubled from the last
/// one on, or from the one before.
#[derive(Default)]
struct Digits {
    count: usize,
    first: u8,
    last_single: u32,
    last_doubled: u32,
}

impl Digits {
    /// Takes one more, if a card has so many.
    fn push(&mut self, digit: u8) -> bool {
        if self.count == 0 {
            self.first = digit;
        }
        self.count += 1;
        let (single, doubled) = (u32::from(digit), u32::from(digit) * 2);
        let doubled = if doubled > 9 { doubled - 9 } else { doubled };
        (self.last_single, self.last_doubled) =
            (self.last_doubled + single, self.last_single + doubled);
        self.count <= LONGEST
    }

    fn are_a_card(&self) -> bool {
        (SHORTEST..=LONGEST).contains(&self.count)
            && matches!(self.first, 2..=6)
            && self.last_single.is_multiple_of(10)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn luhn(digits: &str) -> bool {
        let sum: u32 = digits
            .bytes()
            .rev()
            .enumerate()
            .map(|(at, byte)| {
                let digit = u32::from(byte - b'0');
                match (at % 2, digit * 2) {
                    (0, _) => digit,
                    (_, doubled) => doubled / 10 + doubled % 10,
                }
            })
            .sum();
        sum.is_multiple_of(10)
    }

    proptest! {
        #[test]
        fn a_number_is_a_cards_exactly_if_length_first_and_check_digit_say_so(digits in "[0-9]{1,25}") {
            let mut found = Vec::new();
            find(digits.as_bytes(), &mut found);
            let expected = (13..=19).contains(&digits.len())
                && matches!(digits.as_bytes()[0], b'2'..=b'6')
                && luhn(&digits);
            let whole = Some(0..digits.len()).filter(|_| expected);
            prop_assert_eq!(found, Vec::from_iter(whole));
        }
    }

    #[test]
    fn cards_are_found_in_groups_beside_other_numbers_and_not_inside_of_words() {
        for (text, cards) in [
            ("4111111111111111", vec!["4111111111111111"]),
            ("x 4111-1111-1111-1111.", vec!["4111-1111-1111-1111"]),
            ("3782 822463 10005", vec!["3782 822463 10005"]),
            ("no 7 4111 1111 1111 1111", vec!["4111 1111 1111 1111"]),
            ("4111111111111112", vec![]),
            ("a4111111111111111", vec![]),
            ("4111111111111111b", vec![]),
            ("4111  1111 1111 1111", vec![]),
            ("411111111111111141111111111111", vec![]),
        ] {
            let mut found = Vec::new();
            find(text.as_bytes(), &mut found);
            let shown: Vec<_> = found.into_iter().map(|range| &text[range]).collect();
            assert_eq!(shown, cards, "{text}");
        }
        assert!(is_card(4_111_111_111_111_111));
        assert!(!is_card(u64::MAX));
    }
}
