//! One request through the real gateway and two services, as Jaeger's query API tells of it.
//!
//! ```text
//! client → gateway ─┬→ orders (503)
//!                   └→ orders → stock     seven spans of three processes, one trace
//!             └─────────┴────────┴→ OTLP → Jaeger ← this program asks
//! ```
//!
//! Then the commands of `docs/find-a-request.md` are run: they have to say what it says that they say.
//!
//! `run.sh` beside this package builds the gateway and the services, which are those of `examples/tracing`, and
//! starts this. `--keep` goes on serving the UI after the checks, for whoever wants to look.

mod checks;
mod client;
mod guide;
mod jaeger;
mod process;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use jaeger::Jaeger;
use process::{FREE, Process};
use serde_json::Value;
use tokio::signal::unix::{SignalKind, signal};

/// The trace and the span that the client claims, and that an edge does not believe.
pub(crate) const CLAIMED: (&str, &str) = ("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7");

const USAGE: &str =
    "expected the paths of buttress-gateway and buttress-example-tracing, and perhaps --keep";

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let (gateway, services, keep) = match words[..] {
        [gateway, services] => (gateway, services, false),
        [gateway, services, "--keep"] => (gateway, services, true),
        _ => panic!("{USAGE}"),
    };
    let mut told_to_end = signal(SignalKind::terminate()).unwrap();
    tokio::select! {
        () = check(gateway, services, keep) => ExitCode::SUCCESS,
        // Not at once: what was started ends with what is dropped here.
        _ = told_to_end.recv() => ExitCode::FAILURE,
    }
}

async fn check(gateway: &str, services: &str, keep: bool) {
    let directory = Directory::new();
    let logs = &directory.0;
    let jaeger = Jaeger::start().await;
    let collector = jaeger.collector();
    let stock = Process::service(services, logs, &collector, &["stock", FREE]).await;
    let arguments = ["orders", &stock.address(0), FREE, FREE];
    let orders = Process::service(services, logs, &collector, &arguments).await;
    let replicas = [orders.address(0), orders.address(1)];
    let gateway = Process::gateway(gateway, logs, &collector, &replicas).await;

    let (trace, span) = CLAIMED;
    let parent = format!("00-{trace}-{span}-01");
    let headers = [
        ("traceparent", &*parent),
        ("authorization", "Bearer canary"),
    ];
    let url = format!("http://{}/orders/42?token=canary", gateway.address(0));
    let answer = client::ask(&url, &headers).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(answer.body, "order 42: 7 in stock\n");

    let found = jaeger.trace_of("buttress-gateway", 7).await;
    checks::hold(&found, &answer.correlation_id, &replicas);
    println!("ok: one trace of seven spans, with parents, attributes and the link");

    for name in ["gateway.log", "orders.log", "stock.log"] {
        let text = std::fs::read_to_string(logs.join(name)).unwrap();
        for line in text.lines() {
            let read: serde_json::Result<Value> = serde_json::from_str(line);
            assert!(read.is_ok_and(|it| it.is_object()), "{name}: {line}");
        }
    }
    println!("ok: all that is logged is a JSON object a line");

    let places = [
        (
            "01940f5e-7c1a-7d30-a4b1-2f6c0d9e8b57",
            answer.correlation_id,
        ),
        ("127.0.0.1:8080", gateway.address(0)),
        ("127.0.0.1:8081", gateway.address(1)),
        ("127.0.0.1:16686", jaeger.address()),
    ];
    guide::follow(logs, &places).await;
    println!("ok: every command of docs/find-a-request.md says what it says there");

    if keep {
        let trace = found["traceID"].as_str().unwrap();
        println!(
            "look at http://{}/trace/{trace} until Ctrl-C",
            jaeger.address()
        );
        tokio::signal::ctrl_c().await.unwrap();
    }
}

/// Where the processes write their lines; it goes with the program.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Self {
        let name = format!("buttress-jaeger-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _gone = std::fs::remove_dir_all(&self.0);
    }
}

/// Spares the machine while another process is waited for.
const BETWEEN_LOOKS: Duration = Duration::from_millis(100);

/// Waits for what `ask` gives, and fails if it does not come in a generous time.
pub(crate) async fn until<T, F: Future<Output = Option<T>>>(what: &str, ask: impl Fn() -> F) -> T {
    // Another process decides when.
    let mut looks = tokio::time::interval(BETWEEN_LOOKS);
    let asking = async {
        loop {
            looks.tick().await;
            if let Some(found) = ask().await {
                return found;
            }
        }
    };
    let bound = Duration::from_secs(60);
    let found = tokio::time::timeout(bound, asking).await;
    found.unwrap_or_else(|_| panic!("never came: {what}"))
}
