//! Secrets are cut out of any text, and nothing else is.
#![no_main]

#[path = "../properties/lines.rs"]
mod properties;

libfuzzer_sys::fuzz_target!(|data: &[u8]| properties::redaction(data));
