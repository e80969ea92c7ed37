//! The gateway under measurement: built from this checkout as a release, configured with all four
//! layers and metrics on, without a collector and without an access log.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::Error;

/// Builds the workspace's `buttress-gateway` and returns its path.
pub(crate) fn build() -> Result<PathBuf, Error> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../Cargo.toml");
    let output = Command::new(cargo)
        .args([
            "build",
            "--release",
            "--quiet",
            "--package",
            "buttress-gateway",
        ])
        .args([
            "--message-format",
            "json-render-diagnostics",
            "--manifest-path",
        ])
        .arg(workspace)
        .stderr(Stdio::inherit())
        .output()?;
    if !output.status.success() {
        return Err("the gateway does not build".into());
    }
    executable(&output.stdout)
}

/// The program that Cargo's messages name.
fn executable(messages: &[u8]) -> Result<PathBuf, Error> {
    messages
        .split(|&byte| byte == b'\n')
        .filter_map(|line| serde_json::from_slice::<serde_json::Value>(line).ok())
        .filter(|message| message.pointer("/target/name") == Some(&"buttress-gateway".into()))
        .find_map(|message| Some(PathBuf::from(message.get("executable")?.as_str()?)))
        .ok_or_else(|| "cargo names no program of the gateway".into())
}

/// A configuration file that is removed when dropped.
#[derive(Debug)]
pub(crate) struct ConfigFile(PathBuf);

impl ConfigFile {
    pub(super) fn write(
        listen: SocketAddr,
        admin: SocketAddr,
        upstream: SocketAddr,
    ) -> io::Result<Self> {
        Self::of(&config(listen, admin, upstream))
    }

    /// A file with this text.
    pub(crate) fn of(text: &str) -> io::Result<Self> {
        let name = format!("buttress-compare-{}.toml", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::write(&path, text)?;
        Ok(Self(path))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for ConfigFile {
    fn drop(&mut self) {
        // What is left behind is a small file among the temporary ones.
        let _ = fs::remove_file(&self.0);
    }
}

fn config(listen: SocketAddr, admin: SocketAddr, upstream: SocketAddr) -> String {
    format!(
        r#"[listen]
address = "{listen}"

[admin]
address = "{admin}"

[log]
access_log = false

[[pool]]
name = "origin"
endpoints = ["{upstream}"]

[[route]]
name = "origin"
path_prefix = "/"
pool = "origin"
"#
    )
}
