//! What serde says of a value that is of the wrong type, in words for whoever writes the file.

/// The message for `key`; what is not understood stays as it is.
pub(super) fn in_words(key: &str, message: &str) -> String {
    let message = message.trim().replace('\n', "; ");
    let parts = message
        .strip_prefix("invalid type: ")
        .and_then(|it| it.rsplit_once(", expected "));
    let Some((found, expected)) = parts else {
        return said_shortly(message);
    };
    format!(
        "{} is out of place; write {}",
        named(found, expected),
        right(key, found, expected)
    )
}

/// What the parser says in so few words that nobody knows what to do.
fn said_shortly(message: String) -> String {
    match message.as_str() {
        "duplicate key" => "is there twice; write it once".to_owned(),
        "recursion limit" => {
            "a table or list nests too deep; no key has more than four parts".to_owned()
        }
        said if said.contains("recurse") => {
            "nests too deep; no value has more than two brackets".to_owned()
        }
        said if said.starts_with("string values must be quoted") => {
            "has no value, or text without quotes; write text in quotes, such as \"x\"".to_owned()
        }
        said if said.starts_with("invalid float") || said.contains("number overflowed") => {
            "is no number, or one that is too large; write text in quotes, such as \"x\"".to_owned()
        }
        said if said.starts_with("invalid boolean") => {
            "is neither true nor false; write one of them as it stands here".to_owned()
        }
        said if said.starts_with("unexpected key or value") => {
            "goes on behind its value; write text in quotes, and each key on a line of its own"
                .to_owned()
        }
        said if said.starts_with("key with no value") => {
            "has no value; write it as key = value".to_owned()
        }
        said if said.starts_with("invalid key-value pair") => {
            "is not TOML; write key = value, or a table such as [listen]".to_owned()
        }
        _ => message,
    }
}

/// A value without the name of its type in some language; text in quotes, as it is written.
fn named(found: &str, expected: &str) -> String {
    let quoted = ["string ", "integer `", "floating point `", "boolean `"]
        .into_iter()
        .find_map(|kind| found.strip_prefix(kind));
    match (quoted, found) {
        (Some(value), _) => {
            let value = value.split_once("` as ").map_or(value, |(value, _)| value);
            value.trim_end_matches('`').to_owned()
        }
        // The parser makes a date one.
        (None, "map") if expected != "a sequence" => "a table or a date".to_owned(),
        (None, "map") => "a table".to_owned(),
        (None, "sequence") => "a list".to_owned(),
        (None, other) => other.to_owned(),
    }
}

fn right<'a>(key: &str, found: &str, expected: &'a str) -> &'a str {
    match expected {
        "i64" if found.contains(" as ") => "a smaller number",
        "i64" => "a whole number, such as 10",
        "f64" => "a number, such as 0.5",
        "a boolean" => "true or false",
        "a string" if found.starts_with("string") => expected,
        "a string" => "text in quotes, such as \"x\"",
        "a sequence" if matches!(key, "pool" | "route") => {
            "it in double brackets, once for each: [[pool]], [[route]]"
        }
        "a sequence" => "a list, such as [\"x\", \"y\"]",
        "a map" => "a table",
        other if other.starts_with("struct ") => "a table, such as [listen] or { key = \"value\" }",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_type_of_the_programs_own_is_named() {
        for (found, expected, said) in [
            (
                "integer `10`",
                "a string",
                "10 is out of place; write text in quotes",
            ),
            (
                "map",
                "a string",
                "a table or a date is out of place; write text in quotes",
            ),
            (
                "integer `9` as i128",
                "i64",
                "9 is out of place; write a smaller number",
            ),
            (
                "floating point `1.5`",
                "i64",
                "1.5 is out of place; write a whole number",
            ),
            (
                "string \"a, expected b\"",
                "f64",
                "\"a, expected b\" is out of place; write a number",
            ),
            (
                "string \"yes\"",
                "a boolean",
                "\"yes\" is out of place; write true or false",
            ),
            ("map", "a sequence", "a table is out of place; write a list"),
            (
                "sequence",
                "struct Listen",
                "a list is out of place; write a table",
            ),
            (
                "boolean `true`",
                "a table such as { ratio = 0.5 }",
                "true is out of place; write a table such as { ratio = 0.5 }",
            ),
        ] {
            let words = in_words("k", &format!("invalid type: {found}, expected {expected}"));
            assert!(words.starts_with(said), "{words}");
        }
        let pools = in_words("pool", "invalid type: map, expected a sequence");
        assert!(pools.contains("[[pool]]"), "{pools}");
        assert_eq!(
            in_words("k", "duplicate key"),
            "is there twice; write it once"
        );
        let other = "expected newline";
        assert_eq!(in_words("k", other), other);
    }
}
