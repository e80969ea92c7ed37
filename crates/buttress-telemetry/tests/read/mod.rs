//! Readers of each form, written from its description alone: none shares code with what writes.
#![allow(
    dead_code,
    unreachable_pub,
    missing_docs,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss
)]

#[cfg(feature = "otlp")]
pub mod otlp;
pub mod protobuf;
pub mod text;

use std::collections::BTreeMap;

/// Names and values, sorted by name.
pub type Labels = BTreeMap<String, String>;

/// A histogram as a reader sees it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Read {
    pub count: u64,
    pub sum: f64,
    /// Upper bound and samples at or below, the infinite one last.
    pub classic: Vec<(f64, u64)>,
    /// Upper bound as `2^(i/64)`, and samples within, those that hold anything.
    pub native: Vec<(i32, u64)>,
    pub zero: (f64, u64),
    /// Trace, value and time in milliseconds.
    pub exemplars: Vec<(String, f64, u64)>,
}
