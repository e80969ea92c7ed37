//! Making text harmless to a terminal and to whoever reads line by line.

use std::fmt::Write;

/// Appends `text`; what would steer a terminal, end the line or turn the reading direction is
/// written as an escape.
pub(super) fn harmless(into: &mut String, text: &str) {
    for char in text.chars() {
        push(into, char);
    }
}

/// Appends `text` as the value of a key: as it is where that is unmistakable, quoted otherwise.
pub(super) fn value(into: &mut String, text: &str) {
    if !text.is_empty() && text.chars().all(is_plain) {
        into.push_str(text);
        return;
    }
    into.push('"');
    for char in text.chars() {
        if matches!(char, '"' | '\\') {
            into.push('\\');
            into.push(char);
        } else {
            push(into, char);
        }
    }
    into.push('"');
}

fn push(into: &mut String, char: char) {
    match char {
        '\n' => into.push_str("\\n"),
        '\r' => into.push_str("\\r"),
        '\t' => into.push_str("\\t"),
        char if is_steering(char) => {
            // Writing to a string cannot fail.
            let _ = write!(into, "\\u{{{:x}}}", u32::from(char));
        }
        char => into.push(char),
    }
}

/// Makes `json` harmless in the same way, and still the same JSON: such characters stand only within its
/// strings, where `\u` and four digits mean them as well.
pub(crate) fn in_json(json: String) -> String {
    if !json.contains(is_steering) {
        return json;
    }
    let mut out = String::with_capacity(json.len() + 16);
    for char in json.chars() {
        if is_steering(char) {
            // Writing to a string cannot fail. None of them takes more than four digits.
            let _ = write!(out, "\\u{:04x}", u32::from(char));
        } else {
            out.push(char);
        }
    }
    out
}

/// Controls of both sets, line and paragraph separators, marks that turn the reading direction.
fn is_steering(char: char) -> bool {
    char.is_control()
        || matches!(char,
            '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

fn is_plain(char: char) -> bool {
    !char.is_whitespace() && !is_steering(char) && !matches!(char, '"' | '\\' | '=')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn harmless_of(text: &str) -> String {
        let mut out = String::new();
        harmless(&mut out, text);
        out
    }

    #[test]
    fn terminal_escapes_of_both_control_sets_are_defused() {
        assert_eq!(harmless_of("\x1b[31mred"), "\\u{1b}[31mred");
        assert_eq!(harmless_of("\u{9b}31m"), "\\u{9b}31m");
        assert_eq!(harmless_of("a\r\nb"), "a\\r\\nb");
        assert_eq!(harmless_of("\u{202e}gpj"), "\\u{202e}gpj");
    }

    #[test]
    fn a_value_cannot_pretend_to_be_another_field() {
        let mut out = String::new();
        value(&mut out, "x level=ERROR msg=\"pwned\"");
        assert_eq!(out, r#""x level=ERROR msg=\"pwned\"""#);
    }

    proptest! {
        #[test]
        fn no_text_whatever_leaves_a_steering_character(text in any::<String>()) {
            let mut quoted = String::new();
            value(&mut quoted, &text);
            prop_assert!(!harmless_of(&text).chars().any(is_steering));
            prop_assert!(!quoted.chars().any(is_steering));
        }

        #[test]
        fn json_is_the_same_without_its_steering_characters(
            text in any::<String>(),
            steering in "[\u{1b}\u{7f}-\u{9f}\u{200b}-\u{200f}\u{2028}-\u{202e}\u{2060}-\u{2069}\u{feff}]{0,3}",
        ) {
            let value = serde_json::json!({ (steering.clone()): [text, steering] });
            let shown = in_json(value.to_string());
            prop_assert!(!shown.contains(is_steering));
            prop_assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).unwrap(), value);
        }
    }
}
