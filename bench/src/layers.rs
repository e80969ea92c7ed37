//! Comparisons of single layers: a program of their own (`src/bin/layers`), built when asked for.
//!
//! Its allocator counts. That costs every allocation a look at a thread-local variable, which the
//! yardstick of the gateway, who shares this program, must not pay.

use std::ffi::OsString;
use std::process::Command;

use crate::Error;

/// Whatever the program takes; it has help of its own.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Handed on as they are
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    rest: Vec<OsString>,
}

/// Runs the comparison `name`, which prints for itself.
pub(crate) fn compare(name: &str, options: &Options) -> Result<(), Error> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let status = Command::new(cargo)
        .args(["run", "--release", "--quiet", "--bin", "layers"])
        .args([
            "--manifest-path",
            concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"),
        ])
        .arg("--")
        .arg(name)
        .args(&options.rest)
        .status()?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("the comparison of {name} failed").into())
    }
}
