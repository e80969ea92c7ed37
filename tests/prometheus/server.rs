//! A Prometheus of our own: started, asked, and ended with the handle.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Stdio;

use buttress_tests::Client;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::until;

pub(crate) struct Prometheus {
    pub(crate) name: &'static str,
    client: Client,
    _process: Child,
    _files: Files,
}

/// Removed at the end.
struct Files(PathBuf);

impl Drop for Files {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

impl Prometheus {
    /// Starts one that scrapes `targets` each second.
    pub(crate) async fn start(
        name: &'static str,
        targets: &[(&str, SocketAddr)],
        features: &[&str],
    ) -> Self {
        let files = Files(std::env::temp_dir().join(format!("{name}-{}", std::process::id())));
        std::fs::create_dir_all(&files.0).unwrap();
        let config = files.0.join("prometheus.yml");
        std::fs::write(&config, scrape(targets)).unwrap();
        let mut process = Command::new("prometheus")
            .arg(format!("--config.file={}", config.display()))
            .arg(format!(
                "--storage.tsdb.path={}",
                files.0.join("data").display()
            ))
            .arg("--web.listen-address=127.0.0.1:0")
            .arg(format!("--enable-feature={}", features.join(",")))
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
        let listening = async {
            while let Some(line) = lines.next_line().await.unwrap() {
                let address = line.split_once("msg=\"Listening on\" address=");
                if let Some((_, address)) = address {
                    return address.trim().parse::<SocketAddr>().unwrap();
                }
            }
            panic!("{name} ended before it listened");
        };
        let bound = std::time::Duration::from_secs(60);
        let address = tokio::time::timeout(bound, listening).await.unwrap();
        // Read on, so that it never waits for a reader; what it complains of is shown.
        tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                if line.contains("level=warn") || line.contains("level=error") {
                    println!("{name}: {line}");
                }
            }
        });
        Self {
            name,
            client: Client::of(address),
            _process: process,
            _files: files,
        }
    }

    /// Waits until a query gives so many series.
    pub(crate) async fn has(&self, query: &str, series: usize) {
        let what = format!("{}: {series} series of {query}", self.name);
        until(&what, || async {
            let found = self.query(query).await.as_array().map_or(0, Vec::len);
            (found == series).then_some(())
        })
        .await;
    }

    /// The number that a query gives, as soon as it gives one.
    pub(crate) async fn number(&self, query: &str) -> f64 {
        let what = format!("{}: one number of {query}", self.name);
        until(&what, || async {
            let result = self.query(query).await;
            let [one] = result.as_array()?.as_slice() else {
                return None;
            };
            one["value"][1].as_str()?.parse().ok()
        })
        .await
    }

    /// The exemplars of a metric, or of its buckets, as JSON.
    pub(crate) async fn exemplars(&self, metric: &str) -> String {
        let what = format!("{}: exemplars of {metric}", self.name);
        until(&what, || async {
            let selector = encoded(&format!("{{__name__=~\"{metric}.*\"}}"));
            let path = format!("/api/v1/query_exemplars?start=0&end=9999999999&query={selector}");
            let data = self.data(&path).await;
            data.as_array().filter(|found| !found.is_empty())?;
            Some(data.to_string())
        })
        .await
    }

    /// The series of a query; null where it is refused.
    pub(crate) async fn query(&self, query: &str) -> Value {
        let path = format!("/api/v1/query?query={}", encoded(query));
        self.data(&path).await["result"].take()
    }

    /// Null where it is not ready to answer.
    async fn data(&self, path: &str) -> Value {
        let answer = self.client.get(path).await;
        let mut answer: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        answer["data"].take()
    }
}

fn scrape(targets: &[(&str, SocketAddr)]) -> String {
    let job = |(job, address): &(&str, SocketAddr)| {
        format!("- job_name: {job}\n  static_configs: [{{targets: ['{address}']}}]\n")
    };
    let jobs: String = targets.iter().map(job).collect();
    format!("global: {{scrape_interval: 1s, scrape_timeout: 1s}}\nscrape_configs:\n{jobs}")
}

/// Percent-encoded, all but letters and digits.
fn encoded(query: &str) -> String {
    let byte = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    };
    query.bytes().map(byte).collect()
}
