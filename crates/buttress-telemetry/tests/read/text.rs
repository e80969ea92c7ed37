//! Both text forms.

use super::{Labels, Read};
use std::collections::BTreeMap;

/// Labels in the order in which they stand.
pub type Pairs = Vec<(String, String)>;

#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    pub name: String,
    pub labels: Pairs,
    pub value: String,
    pub exemplar: Option<(Pairs, f64, f64)>,
}

/// A page of samples, and of the lines that begin with `# KEYWORD NAME`.
#[derive(Debug, Default)]
pub struct Page {
    pub samples: Vec<Sample>,
    pub described: BTreeMap<(String, String), String>,
}

/// Reads a page, or says which line is not as the format wants it.
pub fn read(page: &str, openmetrics: bool) -> Result<Page, String> {
    let mut read = Page::default();
    let body = if openmetrics {
        page.strip_suffix("# EOF\n")
            .ok_or("does not end in # EOF")?
    } else {
        page
    };
    if !(body.is_empty() || body.ends_with('\n')) {
        return Err("the last line does not end".to_owned());
    }
    for line in body.split_terminator('\n') {
        if let Some(rest) = line.strip_prefix("# ") {
            let mut words = rest.splitn(3, ' ');
            let mut word = || words.next().unwrap_or_default().to_owned();
            let (keyword, name) = (word(), word());
            if !["HELP", "TYPE", "UNIT"].contains(&keyword.as_str()) {
                return Err(format!("no keyword: {line:?}"));
            }
            if read.described.insert((keyword, name), word()).is_some() {
                return Err(format!("said twice: {line:?}"));
            }
        } else {
            let sample = sample(line).ok_or_else(|| format!("no sample: {line:?}"))?;
            if sample.exemplar.is_some() && !openmetrics {
                return Err(format!("an exemplar: {line:?}"));
            }
            read.samples.push(sample);
        }
    }
    Ok(read)
}

fn sample(line: &str) -> Option<Sample> {
    let at = line.find(['{', ' '])?;
    let (name, rest) = line.split_at(at);
    let (labels, rest) = labels(rest)?;
    let rest = rest.strip_prefix(' ')?;
    let (value, exemplar) = match rest.split_once(" # ") {
        None => (rest, None),
        Some((value, exemplar)) => {
            let (labels, rest) = self::labels(exemplar)?;
            let mut numbers = rest.strip_prefix(' ')?.split(' ');
            let (value_of, at) = (numbers.next()?, numbers.next()?);
            let exemplar = (labels, value_of.parse().ok()?, at.parse().ok()?);
            (value, Some(exemplar))
        }
    };
    let is_name = |char: char| char.is_ascii_alphanumeric() || char == '_' || char == ':';
    (!name.is_empty() && name.chars().all(is_name) && !value.contains(' ')).then(|| Sample {
        name: name.to_owned(),
        labels,
        value: value.to_owned(),
        exemplar,
    })
}

/// The labels in braces, if there are any, and what follows them.
fn labels(text: &str) -> Option<(Pairs, &str)> {
    let Some(mut rest) = text.strip_prefix('{') else {
        return Some((Vec::new(), text));
    };
    let mut labels = Vec::new();
    loop {
        let (name, after) = rest.split_once("=\"")?;
        let (value, after) = quoted(after)?;
        labels.push((name.to_owned(), value));
        match after.strip_prefix(',') {
            Some(after) => rest = after,
            None => return Some((labels, after.strip_prefix('}')?)),
        }
    }
}

fn quoted(text: &str) -> Option<(String, &str)> {
    let (mut value, mut chars) = (String::new(), text.char_indices());
    loop {
        match chars.next()? {
            (at, '"') => return Some((value, &text[at + 1..])),
            (_, '\\') => value.push(match chars.next()?.1 {
                'n' => '\n',
                char @ ('\\' | '"') => char,
                _ => return None,
            }),
            (_, char) => value.push(char),
        }
    }
}

/// A help text as it was; quotes are escaped in `OpenMetrics` alone.
pub fn unescaped(text: &str, openmetrics: bool) -> Option<String> {
    let (mut plain, mut chars) = (String::new(), text.chars());
    while let Some(char) = chars.next() {
        plain.push(match char {
            '\\' => match chars.next()? {
                'n' => '\n',
                '\\' => '\\',
                '"' if openmetrics => '"',
                _ => return None,
            },
            '"' if openmetrics => return None,
            char => char,
        });
    }
    Some(plain)
}

impl Page {
    /// The histograms called `name`, by their labels.
    pub fn histograms(&self, name: &str) -> BTreeMap<Labels, Read> {
        let mut found: BTreeMap<Labels, Read> = BTreeMap::new();
        for sample in &self.samples {
            let Some(part) = sample.name.strip_prefix(name) else {
                continue;
            };
            let mut labels: Labels = sample.labels.iter().cloned().collect();
            let le = labels.remove("le");
            let read = found.entry(labels).or_default();
            match part {
                "_bucket" => {
                    let bucket = (le.unwrap().parse().unwrap(), sample.value.parse().unwrap());
                    read.classic.push(bucket);
                    let exemplars = sample.exemplar.iter();
                    read.exemplars.extend(exemplars.map(|(labels, value, at)| {
                        assert_eq!(labels[0].0, "trace_id");
                        (labels[0].1.clone(), *value, (at * 1000.0).round() as u64)
                    }));
                }
                "_count" => read.count = sample.value.parse().unwrap(),
                "_sum" => read.sum = sample.value.parse().unwrap(),
                other => panic!("{other}"),
            }
        }
        found
    }
}
