//! Any histogram comes back from protobuf as it was put in.
#![no_main]

#[path = "../properties/exposition/mod.rs"]
mod properties;
#[path = "../../crates/buttress-telemetry/tests/read/mod.rs"]
mod read;

libfuzzer_sys::fuzz_target!(|data: &[u8]| properties::protobuf_roundtrip(data));
