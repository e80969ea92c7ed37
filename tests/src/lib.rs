//! What the tests of guarantees that span crates stand on: a gateway on free ports, and a client.
//!
//! The guarantees themselves are in `tests/`. The README is compiled here, so that its code is
//! right.
#![doc = include_str!("../../README.md")]
#![allow(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    reason = "what fails here fails a test"
)]

mod audit;
mod client;
mod guide;
mod lines;
mod page;
mod stand;
mod told;

pub use audit::AuditFile;
pub use client::{Answer, Client};
pub use guide::{Documented, documented};
pub use lines::Lines;
pub use page::{Metrics, Sample};
pub use stand::{Stand, until};
pub use told::Told;
