//! How parts of the table are set apart, if they are.

use std::ffi::OsStr;

/// What begins each kind of text, and what ends them all.
#[derive(Clone, Copy, Debug)]
pub(super) struct Palette {
    pub(super) bold: &'static str,
    pub(super) dim: &'static str,
    pub(super) good: &'static str,
    pub(super) warning: &'static str,
    pub(super) bad: &'static str,
    pub(super) plain: &'static str,
}

impl Palette {
    const COLOURS: Self = Self {
        bold: "\x1b[1m",
        dim: "\x1b[2m",
        good: "\x1b[32m",
        warning: "\x1b[33m",
        bad: "\x1b[31m",
        plain: "\x1b[0m",
    };

    /// All text is alike.
    pub(super) const NONE: Self = Self {
        bold: "",
        dim: "",
        good: "",
        warning: "",
        bad: "",
        plain: "",
    };

    /// By the variable `NO_COLOR`, which counts unless it is empty.
    pub(super) fn chosen(no_color: Option<&OsStr>) -> Self {
        match no_color {
            Some(said) if !said.is_empty() => Self::NONE,
            _ => Self::COLOURS,
        }
    }

    /// The colour of what an endpoint or a breaker is said to be.
    pub(super) fn of_state(&self, state: &str) -> &'static str {
        match state {
            "active" | "closed" => self.good,
            "probing" | "rising" | "doubted" | "shunned" | "suspect" | "half_open" | "ramping"
            | "observing" => self.warning,
            _ => self.bad,
        }
    }
}
