//! Any text comes back from either text form as it was put in.
#![no_main]

#[path = "../properties/exposition/mod.rs"]
mod properties;
#[path = "../../crates/buttress-telemetry/tests/read/mod.rs"]
mod read;

libfuzzer_sys::fuzz_target!(|data: &[u8]| properties::exposition_escaping(data));
