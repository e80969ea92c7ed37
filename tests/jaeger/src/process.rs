//! The processes that take part, ended with their handles.

use std::fs::File;
use std::path::Path;
use std::process::Stdio;

use tokio::process::{Child, Command};

use crate::until;

/// An address with a port that is free.
pub(crate) const FREE: &str = "127.0.0.1:0";

pub(crate) struct Process {
    addresses: Vec<String>,
    _child: Child,
}

impl Process {
    /// The service that the first of `arguments` names, of the example `binary`.
    pub(crate) async fn service(
        binary: &str,
        logs: &Path,
        collector: &str,
        arguments: &[&str],
    ) -> Self {
        let mut command = Command::new(binary);
        command.args(arguments);
        command.env("OTEL_EXPORTER_OTLP_ENDPOINT", collector);
        let addresses = arguments.iter().filter(|it| **it == FREE).count();
        Self::started(command, logs, arguments[0], addresses).await
    }

    /// The gateway at an edge, in front of `upstreams`.
    pub(crate) async fn gateway(
        binary: &str,
        logs: &Path,
        collector: &str,
        upstreams: &[String],
    ) -> Self {
        let config = format!(
            "[listen]\naddress = \"127.0.0.1:0\"\n[admin]\naddress = \"127.0.0.1:0\"\n\
             [log]\nformat = \"json\"\naccess_log = true\n\
             [trace]\notlp_endpoint = \"{collector}\"\n\
             [[pool]]\nname = \"orders\"\nendpoints = {upstreams:?}\n\
             [[route]]\nname = \"orders\"\npath_prefix = \"/orders\"\npool = \"orders\"\n"
        );
        let path = logs.join("gateway.toml");
        std::fs::write(&path, config).unwrap();
        let mut command = Command::new(binary);
        command.arg("serve").arg("--config").arg(&path);
        Self::started(command, logs, "gateway", 2).await
    }

    /// Where it listens, as it said.
    pub(crate) fn address(&self, place: usize) -> String {
        self.addresses[place].clone()
    }

    /// Waits until its log has so many addresses: those at which it listens.
    async fn started(mut command: Command, logs: &Path, name: &str, addresses: usize) -> Self {
        let name = format!("{name}.log");
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(logs.join(&name)).unwrap())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let listening = || async {
            let said = said(logs, &name);
            // Lines that are whole, for the last one may still be written.
            let whole = said
                .split_inclusive('\n')
                .filter(|line| line.ends_with('\n'));
            let found: Vec<String> = whole.flat_map(urls).collect();
            (found.len() >= addresses).then_some(found)
        };
        let addresses = until(&format!("{addresses} addresses in {name}"), listening).await;
        Self {
            addresses,
            _child: child,
        }
    }
}

/// What is in a log.
fn said(logs: &Path, name: &str) -> String {
    std::fs::read_to_string(logs.join(name)).unwrap_or_default()
}

/// Every `http://` in `line`, without it.
fn urls(line: &str) -> Vec<String> {
    let ends = [',', ' ', '"', '\n'];
    let urls = line.split("http://").skip(1);
    urls.map(|url| url.split(ends).next().unwrap_or(url).to_owned())
        .collect()
}
