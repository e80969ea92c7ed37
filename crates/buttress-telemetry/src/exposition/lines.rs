//! Names, labels and what has to be escaped, in either text form.

/// Writes `name{labels} `, up to where the value goes.
pub(super) fn series<'a>(
    page: &mut String,
    name: &str,
    suffix: &str,
    labels: impl Iterator<Item = (&'a str, &'a str)>,
) {
    page.push_str(name);
    page.push_str(suffix);
    let start = page.len();
    for (key, value) in labels {
        page.push(if page.len() == start { '{' } else { ',' });
        pair(page, key, value);
    }
    page.push_str(if page.len() == start { " " } else { "} " });
}

pub(super) fn pair(page: &mut String, key: &str, value: &str) {
    page.push_str(key);
    page.push_str("=\"");
    escape(page, value, true);
    page.push('"');
}

/// Escapes what would end a line, or a quoted value.
pub(super) fn escape(page: &mut String, text: &str, quoted: bool) {
    for char in text.chars() {
        match char {
            '\\' => page.push_str("\\\\"),
            '\n' => page.push_str("\\n"),
            '"' if quoted => page.push_str("\\\""),
            char => page.push(char),
        }
    }
}
