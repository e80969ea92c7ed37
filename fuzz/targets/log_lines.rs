//! Any text is one line in either form, and read back from JSON.
#![no_main]

#[path = "../properties/lines.rs"]
mod properties;

libfuzzer_sys::fuzz_target!(|data: &[u8]| properties::log_lines(data));
