//! Whatever bytes there are, they are an ID or they are not, by the letter.
#![no_main]

#[path = "../properties/correlation_id.rs"]
mod property;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| property::holds_for(bytes));
