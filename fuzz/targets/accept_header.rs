//! Whatever is accepted, a form is given that fits it.
#![no_main]

#[path = "../properties/exposition/mod.rs"]
mod properties;
#[path = "../../crates/buttress-telemetry/tests/read/mod.rs"]
mod read;

libfuzzer_sys::fuzz_target!(|data: &[u8]| properties::accept_header(data));
