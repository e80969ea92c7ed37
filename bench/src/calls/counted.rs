//! What the program whose allocator counts says.

use std::env::consts::EXE_SUFFIX;
use std::process::Command;

use serde::Deserialize;

use crate::Error;

/// What it says of one candidate.
#[derive(Debug, Deserialize)]
pub(crate) struct Counted {
    pub(crate) bench: String,
    #[serde(rename = "impl")]
    pub(crate) name: String,
    /// Of a call, or of what is held.
    pub(crate) allocs: serde_json::Number,
    /// What is held, if that was counted.
    pub(crate) bytes: Option<u64>,
}

/// What it says in the comparison of this name: it stands where this program does.
pub(crate) fn lines(comparison: &str) -> Result<Vec<Counted>, Error> {
    let program = std::env::current_exe()?.with_file_name(format!("layers-counted{EXE_SUFFIX}"));
    let output = Command::new(&program)
        .args([comparison, "--json", "--rounds", "1"])
        .output()
        .map_err(|error| format!("{}: {error}", program.display()))?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into());
    }
    let text = String::from_utf8(output.stdout)?;
    let lines: Result<_, _> = text.lines().map(serde_json::from_str).collect();
    Ok(lines?)
}
