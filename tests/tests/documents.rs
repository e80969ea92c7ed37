//! What the documents name exists.
#![allow(clippy::unwrap_used, reason = "what fails here fails a test")]

use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// `crate/file::test` as `ARCHITECTURE.md` writes a proof.
fn proof(quoted: &str) -> Option<(PathBuf, &str)> {
    let (place, test) = quoted.split_once("::")?;
    let (package, file) = place.split_once('/')?;
    let folder = match package {
        "tests" => "tests/tests".into(),
        "gateway" => "examples/gateway/tests".into(),
        room => format!("crates/buttress-{room}/tests"),
    };
    Some((root().join(folder).join(file).with_extension("rs"), test))
}

#[test]
fn every_proof_that_the_table_of_contracts_names_is_a_test() {
    let page = std::fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let rows: Vec<_> = page
        .lines()
        .filter(|line| line.starts_with("| C"))
        .collect();
    assert_eq!(rows.len(), 14);
    for row in rows {
        let proofs: Vec<_> = row
            .split('`')
            .skip(1)
            .step_by(2)
            .filter_map(proof)
            .collect();
        assert!(!proofs.is_empty(), "no proof: {row}");
        for (file, test) in proofs {
            let code = std::fs::read_to_string(&file).unwrap_or_default();
            assert!(
                is_run(&code, test),
                "{test} is not in {}, is no test or is ignored",
                file.display()
            );
        }
    }
}

/// Whether `code` has a test of this name that is run: what stands before it, up to a gap, says so.
fn is_run(code: &str, test: &str) -> bool {
    let lines: Vec<&str> = code.lines().map(str::trim).collect();
    let begins = |line: &&str| {
        let line = line.strip_prefix("async ").unwrap_or(line);
        line.starts_with(&format!("fn {test}("))
    };
    let Some((before, _)) = (lines.iter().position(begins)).map(|at| lines.split_at(at)) else {
        return false;
    };
    let ends = |line: &&&str| !line.is_empty() && **line != "}";
    let about: Vec<_> = before.iter().rev().take_while(ends).collect();
    let says = |what: &str| about.iter().any(|line| line.starts_with(what));
    (says("#[test]") || says("#[tokio::test")) && !says("#[ignore")
}

#[test]
fn a_proof_is_a_test_that_is_run() {
    for run in [
        "#[test]\nfn it_holds() {",
        "    #[tokio::test(start_paused = true)]\n    /// So it is.\n    async fn it_holds() {",
    ] {
        assert!(is_run(run, "it_holds"), "{run}");
    }
    for not_run in [
        "fn it_holds() {",
        "#[test]\nfn it_holds_as_well() {",
        "#[test]\n#[ignore = \"slow\"]\nfn it_holds() {",
        "#[test]\nfn another() {\n}\nfn it_holds() {",
        "#[test]\nfn another() {\n}\n\nfn it_holds() {",
        "// fn it_holds() is to be written",
    ] {
        assert!(!is_run(not_run, "it_holds"), "{not_run}");
    }
}

/// The test files that a crate's documentation names as `tests/name.rs`.
#[test]
fn every_test_file_that_a_crates_documentation_names_exists() {
    let crates = std::fs::read_dir(root().join("crates")).unwrap();
    let folders = crates
        .map(|entry| entry.unwrap().path())
        .chain([root().join("examples/gateway")]);
    let mut named = 0;
    for folder in folders {
        let docs = std::fs::read_to_string(folder.join("src/lib.rs")).unwrap();
        let words = docs
            .lines()
            .filter(|line| line.starts_with("//!"))
            .flat_map(|line| line.split('`'));
        for file in words.filter(|word| {
            word.starts_with("tests/") && Path::new(word).extension().is_some_and(|end| end == "rs")
        }) {
            named += 1;
            assert!(
                folder.join(file).exists(),
                "{file} is not in {}",
                folder.display()
            );
        }
    }
    assert!(named > 20, "{named}");
}
