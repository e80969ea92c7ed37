//! Comparisons of single layers: two programs of their own (`src/calls`), built when asked for.
//!
//! Theirs is another allocator than that of this one, which is the yardstick of the gateway.

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

/// Runs the comparison `name`, which prints for itself, also why it fails; whether it does not.
pub(crate) fn compare(name: &str, options: &Options) -> Result<bool, Error> {
    // The one that is run asks the other.
    let built = cargo("build").args(["--bin", "layers-counted"]).status()?;
    if !built.success() {
        return Err("layers-counted cannot be built".into());
    }
    let status = cargo("run")
        .args(["--bin", "layers", "--", name])
        .args(&options.rest)
        .status()?;
    Ok(status.success())
}

/// Cargo, to do `what` with this package.
fn cargo(what: &str) -> Command {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let mut command = Command::new(cargo);
    command.args([what, "--release", "--quiet", "--manifest-path"]);
    command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"));
    command
}
