//! The corpus of the fuzz targets in `fuzz/`, through the same properties.
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::float_cmp,
    clippy::indexing_slicing,
    missing_docs,
    unreachable_pub
)]

#[path = "../../../fuzz/properties/lines.rs"]
mod lines;
#[path = "../../../fuzz/properties/exposition/mod.rs"]
mod properties;
mod read;
#[path = "../../../fuzz/properties/traceparent.rs"]
mod traceparent;

use std::path::Path;

fn replay(target: &str, property: fn(&[u8])) {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus");
    let mut replayed = 0;
    for file in std::fs::read_dir(corpus.join(target)).unwrap() {
        property(&std::fs::read(file.unwrap().path()).unwrap());
        replayed += 1;
    }
    assert!(replayed > 0, "no corpus of {target}");
}

#[test]
fn any_bytes_are_a_traceparent_or_none_by_the_letter() {
    replay("traceparent", traceparent::holds_for);
}

#[test]
fn any_accept_header_is_answered_in_a_form_that_fits_it() {
    replay("accept_header", properties::accept_header);
}

#[test]
fn any_text_is_read_back_from_the_text_forms() {
    replay("exposition_escaping", properties::exposition_escaping);
}

#[test]
fn any_text_is_one_line_in_either_form_and_read_back_from_json() {
    replay("log_lines", lines::log_lines);
}

#[test]
fn secrets_are_cut_out_of_any_text_and_nothing_else_is() {
    replay("redaction", lines::redaction);
}

#[cfg(feature = "protobuf")]
#[test]
fn any_histogram_is_read_back_from_protobuf() {
    replay("protobuf_roundtrip", properties::protobuf_roundtrip);
}
