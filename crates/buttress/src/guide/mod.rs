//! Pages that are about more than one room.

#[doc = include_str!("metrics.md")]
pub mod metrics {}
