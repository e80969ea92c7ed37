//! `promtool check metrics`.

use std::net::SocketAddr;
use std::process::Stdio;

use buttress_tests::Client;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

/// It reads the text page at `address` and says nothing.
pub(crate) async fn is_silent(name: &str, address: SocketAddr) {
    let page = Client::of(address).get("/metrics").await;
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut stdin = promtool.stdin.take().unwrap();
    let checked = async {
        stdin.write_all(&page.body).await.unwrap();
        drop(stdin);
        promtool.wait_with_output().await.unwrap()
    };
    let bound = std::time::Duration::from_secs(60);
    let said = tokio::time::timeout(bound, checked).await.unwrap();
    let text = String::from_utf8_lossy(&said.stdout) + String::from_utf8_lossy(&said.stderr);
    assert!(said.status.success() && text.is_empty(), "{name}: {text}");
    println!(
        "promtool: nothing to say of {name}, {} bytes",
        page.body.len()
    );
}
