//! `buttress-gateway check` as a process: exit codes, and all problems at once.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn check(path: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_buttress-gateway"))
        .arg("check")
        .arg("--config")
        .arg(path)
        .output()
        .unwrap()
}

fn written(name: &str, text: impl AsRef<[u8]>) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&path, text).unwrap();
    path
}

#[test]
fn the_configuration_that_ships_is_good() {
    let output = check(&Path::new(env!("CARGO_MANIFEST_DIR")).join("gateway.toml"));
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success());
    assert!(
        said.ends_with("gateway.toml: good: 1 route, 1 pool, 2 endpoints\n"),
        "{said}"
    );
}

#[test]
fn every_problem_is_told_in_one_run_with_exit_code_2() {
    let path = written(
        "three_problems.toml",
        "[listen]\nheader_timeout = \"soon\"\n\n[[pool]]\nname = \"a\"\nendpoints = []\n\n\
         [[route]]\nname = \"r\"\npool = \"b\"\n",
    );
    let output = check(&path);
    assert_eq!(output.status.code(), Some(2));
    assert!(output.stdout.is_empty());
    let said = String::from_utf8(output.stderr).unwrap();
    for place in [
        ":2: listen.header_timeout: ",
        ":6: pool.a.endpoints: ",
        ":10: route.r.pool: ",
    ] {
        assert!(
            said.contains(&format!("three_problems.toml{place}")),
            "{place} not in {said}"
        );
    }
    assert_eq!(said.lines().count(), 3, "{said}");
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let output = check(Path::new("no/such/file.toml"));
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.starts_with("no/such/file.toml: cannot be read: "),
        "{said}"
    );
}

/// A configuration that is good.
const GOOD: &str = "[[pool]]\nname = \"p\"\nendpoints = [\"127.0.0.1:1\"]\n[[route]]\nname = \"r\"\npool = \"p\"\n";

#[test]
fn what_is_no_text_or_has_no_end_is_refused_with_what_to_do() {
    let utf16: Vec<u8> = "\u{feff}[listen]"
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    let latin = [GOOD.as_bytes(), b"# caf\xe9\n"].concat();
    for (path, words) in [
        (
            written("utf16.toml", utf16),
            "utf16.toml:1: is UTF-16; save the file as UTF-8",
        ),
        (
            written("latin.toml", latin),
            "latin.toml:7: holds the byte 0xe9, which is not UTF-8; save the file as UTF-8",
        ),
        ("/dev/zero".into(), "/dev/zero: is longer than 16 MiB"),
        (
            env!("CARGO_TARGET_TMPDIR").into(),
            "cannot be read: Is a directory (os error 21); name a file in it",
        ),
    ] {
        let output = check(&path);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(words), "{said}");
    }
}

#[test]
fn the_marks_of_other_systems_make_no_difference() {
    let lines = GOOD.replace('\n', "\r\n");
    for (name, text) in [
        ("mark.toml", format!("\u{feff}{GOOD}")),
        ("lines.toml", lines.clone()),
        ("both.toml", format!("\u{feff}{lines}")),
    ] {
        assert!(check(&written(name, text)).status.success(), "{name}");
    }
    let wrong = format!("\u{feff}{lines}host = \"\"\r\n");
    let said = String::from_utf8(check(&written("wrong_lines.toml", wrong)).stderr).unwrap();
    assert!(
        said.contains("wrong_lines.toml:7: route.r.host: "),
        "{said}"
    );
}

#[test]
fn a_file_of_endpoints_that_has_no_end_is_refused_at_once() {
    let pipe = Path::new(env!("CARGO_TARGET_TMPDIR")).join("endpoints.pipe");
    drop(std::fs::remove_file(&pipe));
    let made = Command::new("mkfifo").arg(&pipe).status().unwrap();
    assert!(made.success());
    for endless in [pipe.as_path(), Path::new("/dev/zero")] {
        let text = format!(
            "[[pool]]\nname = \"p\"\ndiscover = {{ file = \"{}\" }}\n[[route]]\nname = \"r\"\npool = \"p\"\n",
            endless.display()
        );
        let output = check(&written("endless.toml", &text));
        assert_eq!(output.status.code(), Some(2));
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(
            said.contains("endless.toml:3: pool.p.discover.file: "),
            "{said}"
        );
        assert!(said.contains("it is no regular file"), "{said}");
    }
}

#[test]
fn serve_refuses_what_check_refuses() {
    let path = written("unknown_key.toml", "[listen]\nadress = \"127.0.0.1:0\"\n");
    let output = Command::new(env!("CARGO_BIN_EXE_buttress-gateway"))
        .args(["serve", "--config"])
        .arg(path)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.contains("unknown_key.toml:2: listen.adress: is no key here; did you mean address?"),
        "{said}"
    );
}

#[test]
fn what_is_said_of_the_demo_is_refused_where_a_file_is_served() {
    let path = written("demo_flags.toml", GOOD);
    for flags in [&["--no-traffic"][..], &["--listen", "127.0.0.1:0"]] {
        let output = Command::new(env!("CARGO_BIN_EXE_buttress-gateway"))
            .args(flags)
            .args(["check", "--config"])
            .arg(&path)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(2));
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains(flags[0]), "{said}");
    }
}

#[test]
fn a_port_in_use_is_named_with_what_to_do() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_buttress-gateway"))
        .args([
            "--no-traffic",
            "--listen",
            &address.to_string(),
            "--admin",
            "127.0.0.1:0",
        ])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.contains(&format!("cannot listen on {address}: ")),
        "{said}"
    );
    assert!(said.contains("another process listens there"), "{said}");
}
