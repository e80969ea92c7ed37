//! What fuzzing has found stays found: the committed corpus, through the property of its target.
#![allow(clippy::unwrap_used, missing_docs, unreachable_pub)]

use std::fs;
use std::path::Path;

#[path = "../../../fuzz/properties/correlation_id.rs"]
mod correlation_id;

#[test]
fn the_corpus_of_correlation_ids_holds_the_property() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/correlation_id");
    let mut replayed = 0;
    for entry in fs::read_dir(corpus).unwrap() {
        correlation_id::holds_for(&fs::read(entry.unwrap().path()).unwrap());
        replayed += 1;
    }
    assert!(replayed > 20, "{replayed} inputs are no corpus");
}
