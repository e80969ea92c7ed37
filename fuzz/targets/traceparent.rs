//! Whatever bytes there are, they are a `traceparent` or they are not, by the letter.
#![no_main]

#[path = "../properties/traceparent.rs"]
mod property;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| property::holds_for(bytes));
