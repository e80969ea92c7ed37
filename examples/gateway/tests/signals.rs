//! The binary and its signals: it drains, answers what was sent, and ends with exit code 0.
#![cfg(unix)]
#![allow(clippy::unwrap_used)]

mod support;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};

use support::{Upstream, bounded, read_until};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

const GET: &[u8] = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n";

/// The binary, serving one upstream on free ports.
struct Process {
    child: Child,
    proxy: SocketAddr,
    admin: SocketAddr,
}

impl Process {
    async fn serving(name: &str, upstream: SocketAddr) -> Self {
        Self::start(&[
            "serve",
            "--config",
            written(name, upstream).to_str().unwrap(),
        ])
        .await
    }

    async fn start(arguments: &[&str]) -> Self {
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
            rest.split([',', ' '])
                .next()
                .unwrap()
                .parse::<SocketAddr>()
                .unwrap()
        });
        let (proxy, admin) = (addresses.next().unwrap(), addresses.next().unwrap());
        // What it logs is read on, so that it never waits for the reader.
        tokio::spawn(async move { while let Ok(Some(_)) = said.next_line().await {} });
        Self {
            child,
            proxy,
            admin,
        }
    }

    fn signal(&self, signal: &str) {
        let id = self.child.id().unwrap().to_string();
        let sent = std::process::Command::new("kill")
            .args(["-s", signal, &id])
            .status()
            .unwrap();
        assert!(sent.success());
    }

    async fn ends_well(&mut self) {
        let status = bounded("the process ends", self.child.wait())
            .await
            .unwrap();
        assert_eq!(status.code(), Some(0));
    }
}

fn written(name: &str, upstream: SocketAddr) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let text = format!(
        "[listen]\naddress = \"127.0.0.1:0\"\nlame_duck = \"300ms\"\n\
         [admin]\naddress = \"127.0.0.1:0\"\n\
         [[pool]]\nname = \"p\"\nendpoints = [\"{upstream}\"]\n\
         [[route]]\nname = \"r\"\npath_prefix = \"/\"\npool = \"p\"\n"
    );
    std::fs::write(&path, text).unwrap();
    path
}

/// Sends one request after the other until it is told to leave; every one has to be answered.
async fn client(address: SocketAddr, answered: Arc<AtomicU32>) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    loop {
        stream.write_all(GET).await.unwrap();
        let answer = read_until(&mut stream, "ok").await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        answered.fetch_add(1, SeqCst);
        if answer.contains("connection: close") {
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigterm_in_mid_traffic_loses_no_request() {
    let upstream = Upstream::well().await;
    let mut process = Process::serving("sigterm.toml", upstream.address).await;
    let answered = Arc::new(AtomicU32::new(0));
    let clients: Vec<_> = (0..8)
        .map(|_| tokio::spawn(client(process.proxy, Arc::clone(&answered))))
        .collect();
    bounded("traffic flows", async {
        while answered.load(SeqCst) < 200 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    process.signal("TERM");
    for client in clients {
        bounded("the client leaves", client).await.unwrap();
    }
    process.ends_well().await;
    assert_eq!(upstream.heads().len(), answered.load(SeqCst) as usize);
}

#[tokio::test]
async fn a_draining_process_is_live_and_not_ready() {
    let upstream = Upstream::answering("").await;
    let mut process = Process::serving("ready.toml", upstream.address).await;
    let mut waiting = TcpStream::connect(process.proxy).await.unwrap();
    waiting.write_all(GET).await.unwrap();
    assert!(
        admin(&process, "/health/ready")
            .await
            .starts_with("HTTP/1.1 200 ")
    );
    process.signal("TERM");
    let no_longer_ready = async {
        while !admin(&process, "/health/ready")
            .await
            .starts_with("HTTP/1.1 503 ")
        {}
    };
    bounded("it is no longer ready", Box::pin(no_longer_ready)).await;
    assert!(
        admin(&process, "/health/live")
            .await
            .starts_with("HTTP/1.1 200 ")
    );
    process.signal("TERM");
    process.ends_well().await;
}

async fn admin(process: &Process, path: &str) -> String {
    let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    support::exchange(process.admin, request).await
}

#[tokio::test]
async fn the_demo_ends_on_ctrl_c() {
    let arguments = ["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"];
    let mut demo = Process::start(&arguments).await;
    demo.signal("INT");
    demo.ends_well().await;
}
