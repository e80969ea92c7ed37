//! The `JSON` form: an object of numbers, and of objects of numbers.

use super::report::{LoadReport, Malformed, number};

/// Reads what stands behind the form's name.
pub(super) fn read(text: &str) -> Result<LoadReport, Malformed> {
    let mut report = LoadReport::default();
    let mut left = Left(text);
    left.members(|name, left| {
        if left.peek() != Some('{') {
            return report.take(name, left.number()?);
        }
        if report.knows(name) {
            return Err(Malformed::Value);
        }
        left.members(|_, left| left.number().map(drop))
    })?;
    left.skip_space();
    if left.0.is_empty() {
        Ok(report)
    } else {
        Err(Malformed::Syntax)
    }
}

/// What has not been read yet.
struct Left<'a>(&'a str);

impl<'a> Left<'a> {
    /// An object, of which `member` reads each value.
    fn members(
        &mut self,
        mut member: impl FnMut(&'a str, &mut Self) -> Result<(), Malformed>,
    ) -> Result<(), Malformed> {
        self.expect('{')?;
        if self.take('}') {
            return Ok(());
        }
        loop {
            let name = self.string()?;
            self.expect(':')?;
            member(name, self)?;
            if self.take('}') {
                return Ok(());
            }
            self.expect(',')?;
        }
    }

    /// A string as it is written: no name that matters needs an escape.
    fn string(&mut self) -> Result<&'a str, Malformed> {
        self.expect('"')?;
        let mut escaped = false;
        let end = self.0.bytes().position(|byte| {
            let ends = byte == b'"' && !escaped;
            escaped = byte == b'\\' && !escaped;
            ends
        });
        let (string, left) = end
            .and_then(|end| Some((self.0.get(..end)?, self.0.get(end + 1..)?)))
            .ok_or(Malformed::Syntax)?;
        self.0 = left;
        Ok(string)
    }

    fn number(&mut self) -> Result<f64, Malformed> {
        self.skip_space();
        let ends = |at: char| at == ',' || at == '}' || is_space(at);
        let end = self.0.find(ends).unwrap_or(self.0.len());
        let (written, left) = self.0.split_at_checked(end).ok_or(Malformed::Syntax)?;
        self.0 = left;
        number(written)
    }

    fn peek(&mut self) -> Option<char> {
        self.skip_space();
        self.0.chars().next()
    }

    fn take(&mut self, wanted: char) -> bool {
        self.skip_space();
        let left = self.0.strip_prefix(wanted);
        self.0 = left.unwrap_or(self.0);
        left.is_some()
    }

    fn expect(&mut self, wanted: char) -> Result<(), Malformed> {
        self.take(wanted).then_some(()).ok_or(Malformed::Syntax)
    }

    fn skip_space(&mut self) {
        self.0 = self.0.trim_start_matches(is_space);
    }
}

const fn is_space(at: char) -> bool {
    matches!(at, ' ' | '\t' | '\n' | '\r')
}
