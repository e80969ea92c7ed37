//! The binary, as it is run.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStderr, Command};

use super::{bounded, exchange};

/// What it logs, of which the rest is not read.
pub type Unread = Lines<BufReader<ChildStderr>>;

/// The binary, serving on free ports.
pub struct Process {
    child: Child,
    pub proxy: SocketAddr,
    pub admin: SocketAddr,
}

impl Process {
    /// Serves `upstream`; `name` is that of its configuration's file, `more` what else it says.
    pub async fn serving(name: &str, upstream: SocketAddr, more: &str) -> Self {
        let file = written(name, upstream, more);
        Self::start(&["serve", "--config", file.to_str().unwrap()]).await
    }

    /// The same, and nobody reads what it logs once it has said where it listens.
    pub async fn serving_unread(name: &str, upstream: SocketAddr, more: &str) -> (Self, Unread) {
        let file = written(name, upstream, more);
        Self::spawned(&["serve", "--config", file.to_str().unwrap()]).await
    }

    pub async fn start(arguments: &[&str]) -> Self {
        let (process, mut said) = Self::spawned(arguments).await;
        // What it logs is read on.
        tokio::spawn(async move { while let Ok(Some(_)) = said.next_line().await {} });
        process
    }

    async fn spawned(arguments: &[&str]) -> (Self, Unread) {
        let mut child = Command::new(env!("CARGO_BIN_EXE_buttress-gateway"))
            .args(arguments)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut said = BufReader::new(child.stderr.take().unwrap()).lines();
        // Before that it may warn of what it found.
        let line = bounded("it says where it listens", async {
            loop {
                let line = said.next_line().await.unwrap().unwrap();
                if line.contains("http://") {
                    break line;
                }
            }
        })
        .await;
        let mut addresses = line.split("http://").skip(1).map(|rest| {
            rest.split([',', ' ', '"'])
                .next()
                .unwrap()
                .parse::<SocketAddr>()
                .unwrap()
        });
        let (proxy, admin) = (addresses.next().unwrap(), addresses.next().unwrap());
        let process = Self {
            child,
            proxy,
            admin,
        };
        (process, said)
    }

    pub fn signal(&self, signal: &str) {
        let id = self.child.id().unwrap().to_string();
        let sent = std::process::Command::new("kill")
            .args(["-s", signal, &id])
            .status()
            .unwrap();
        assert!(sent.success());
    }

    /// The most memory that it has held so far, in KiB.
    #[cfg(target_os = "linux")]
    pub fn peak_memory(&self) -> usize {
        let id = self.child.id().unwrap();
        let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap();
        let mut lines = status.lines();
        let line = lines.find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    pub async fn ends_well(&mut self) {
        let status = bounded("the process ends", self.child.wait())
            .await
            .unwrap();
        assert_eq!(status.code(), Some(0));
    }

    /// The answer of the admin listener.
    pub async fn page(&self, path: &str) -> String {
        let request =
            format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
        exchange(self.admin, request).await
    }
}

fn written(name: &str, upstream: SocketAddr, more: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let text = format!(
        "[listen]\naddress = \"127.0.0.1:0\"\nlame_duck = \"300ms\"\n\
         [admin]\naddress = \"127.0.0.1:0\"\n\
         [[pool]]\nname = \"p\"\nendpoints = [\"{upstream}\"]\n\
         [[route]]\nname = \"r\"\npath_prefix = \"/\"\npool = \"p\"\n{more}"
    );
    std::fs::write(&path, text).unwrap();
    path
}
