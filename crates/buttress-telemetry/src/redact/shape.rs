//! The shapes that secrets have.

use std::ops::Range;
use std::str::FromStr;

use buttress_core::config::ConfigError;

use super::{card, credential, email};

/// A shape that secrets have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Shape {
    /// What follows `Bearer` or `Basic`.
    Bearer,
    /// Keys that are known by how they begin (of cloud and code hosts, payment services, JSON web
    /// tokens), private keys in PEM, users and passwords in URLs.
    Key,
    /// 13 to 19 digits, alone or in groups, that begin and end as the number of a card does (ISO/IEC
    /// 7812: 2 to 6 first, the check digit of Luhn last).
    Card,
    /// The address of a mailbox.
    Email,
}

impl Shape {
    /// Every one.
    pub const ALL: [Self; 4] = [Self::Bearer, Self::Key, Self::Card, Self::Email];

    /// The name in a configuration: `bearer`, `key`, `card`, `email`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Bearer => "bearer",
            Self::Key => "key",
            Self::Card => "card",
            Self::Email => "email",
        }
    }

    /// Adds where this is in `text`.
    pub(super) fn find(self, text: &str, found: &mut Vec<Range<usize>>) {
        match self {
            Self::Bearer => credential::schemes(text, found),
            Self::Key => credential::keys(text, found),
            Self::Card => card::find(text.as_bytes(), found),
            Self::Email => email::find(text.as_bytes(), found),
        }
    }
}

impl FromStr for Shape {
    type Err = ConfigError;

    fn from_str(name: &str) -> Result<Self, ConfigError> {
        let shape = Self::ALL.into_iter().find(|shape| shape.as_str() == name);
        shape.ok_or_else(|| {
            let problem = format!("{name:?} is no shape, expected bearer, key, card or email");
            ConfigError::new("shapes", problem)
        })
    }
}
