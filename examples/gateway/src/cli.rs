//! The command line.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use buttress::telemetry::{Format, Guard, InitError, LineQueue, Metrics};
use clap::{Args, Parser, Subcommand};

use tokio::runtime::{Builder, Runtime};

use crate::config::{Config, ConfigError};
use crate::demo::Demo;
use crate::gateway::{Gateway, StartError};
use crate::server::{BindError, Drain, Signals, drain_on_signal};
use crate::stack::Seams;
use crate::{table, telemetry};

/// A reverse proxy that keeps going when what is behind it does not.
///
/// Without a command it is a demo that needs nothing installed: three upstreams of its own, one of
/// which turns slow and one flaky, the proxy in front of them, and gentle traffic.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "buttress-gateway",
    version,
    args_conflicts_with_subcommands = true
)]
pub struct Cli {
    /// What to do; the demo if nothing is said.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// How the demo runs.
    #[command(flatten)]
    pub demo: DemoArgs,
}

/// What to do.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Proxy to the upstreams that a file names.
    Serve(File),
    /// Say what is wrong with a file, or that nothing is.
    Check(File),
}

/// The file to read.
#[derive(Clone, Debug, Args)]
pub struct File {
    /// The configuration.
    #[arg(long, value_name = "PATH")]
    pub config: PathBuf,
}

/// How the demo runs.
#[derive(Clone, Debug, Default, Args)]
pub struct DemoArgs {
    /// Leave the traffic to you.
    #[arg(long)]
    pub no_traffic: bool,
    /// Where clients reach the demo (default 127.0.0.1:8080).
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Option<SocketAddr>,
    /// Where the demo shows metrics, health and status (default 127.0.0.1:8081).
    #[arg(long, value_name = "ADDRESS")]
    pub admin: Option<SocketAddr>,
}

/// Exit code for a configuration that is wrong.
const WRONG_CONFIG: u8 = 2;

/// How long the last lines may take to be read.
const LAST_LINES: Duration = Duration::from_secs(1);

/// How long what still blocks a thread then may go on: a name that is looked up, a file on a mount that hangs.
const LAST_WORK: Duration = Duration::from_secs(1);

/// Runs the command line to its end.
pub fn run(cli: Cli) -> ExitCode {
    let ended = match cli.command {
        Some(Command::Check(file)) => return check(&file.config),
        Some(Command::Serve(file)) => serve(&file.config),
        None => demo(&cli.demo),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&mut io::stderr(), &error);
            error.exit_code()
        }
    }
}

fn check(path: &Path) -> ExitCode {
    match Config::load(path) {
        Ok(config) => {
            let endpoints: usize = config.pools.iter().map(|pool| pool.endpoints.len()).sum();
            let summary = format!(
                "{}: good: {}, {}, {}",
                path.display(),
                count(config.routes.len(), "route"),
                count(config.pools.len(), "pool"),
                count(endpoints, "endpoint"),
            );
            say(&mut io::stdout(), &summary);
            ExitCode::SUCCESS
        }
        Err(error) => {
            say(&mut io::stderr(), &error);
            ExitCode::from(WRONG_CONFIG)
        }
    }
}

fn serve(path: &Path) -> Result<(), Failure> {
    let config = Config::load(path)?;
    let lines = lines()?;
    let ended = to_the_end(runtime()?, async {
        let metrics = Metrics::new();
        let guard =
            telemetry::init(&config, &metrics, lines.clone()).map_err(Failure::Telemetry)?;
        let drain = Drain::new();
        let gateway = Gateway::bind_with(&config, drain.clone(), seams(&guard)).await?;
        gateway.metrics().register(Arc::new(guard.handle()));
        gateway.metrics().register(Arc::new(lines.clone()));
        metrics.register(Arc::new(gateway.metrics().clone()));
        let ended = until_signalled(gateway, drain, telemetry::format(&config)).await;
        telemetry::shut_down(guard).await;
        ended
    });
    lines.flush(LAST_LINES);
    ended
}

fn demo(args: &DemoArgs) -> Result<(), Failure> {
    let lines = lines()?;
    let ended = to_the_end(runtime()?, async {
        let drain = Drain::new();
        let demo = Demo::start().await?;
        let config = demo.config(args.listen, args.admin);
        let guard = if table::is_live() {
            telemetry::init_quiet(&config, &Metrics::new())
        } else {
            telemetry::init(&config, &Metrics::new(), lines.clone())
        };
        let guard = guard.map_err(Failure::Telemetry)?;
        let gateway = Gateway::bind_with(&config, drain.clone(), seams(&guard)).await?;
        gateway.metrics().register(Arc::new(guard.handle()));
        let traffic = (!args.no_traffic).then(|| demo.send_traffic(gateway.address()));
        let viewer = demo.viewer(&gateway, traffic, drain.clone());
        tokio::select! {
            ended = until_signalled(gateway, drain, telemetry::format(&config)) => ended,
            () = table::show(viewer) => Ok(()),
        }
    });
    lines.flush(LAST_LINES);
    ended
}

/// Log lines go to the standard error, and nobody waits for who reads it.
fn lines() -> Result<LineQueue, Failure> {
    LineQueue::new(io::stderr()).map_err(Failure::Runtime)
}

/// The usual ones, with the log of this process.
fn seams(guard: &Guard) -> Seams {
    Seams {
        logs: Some(guard.logs()),
        ..Seams::default()
    }
}

async fn until_signalled(gateway: Gateway, drain: Drain, format: Format) -> Result<(), Failure> {
    // Heard before anybody can know where to send one.
    let signals = Signals::listen().map_err(Failure::Signals)?;
    let (proxy, admin) = (gateway.address(), gateway.admin_address());
    let listening = format!("proxy on http://{proxy}, admin on http://{admin}");
    if format == Format::Json {
        // Who reads JSON lines is told in one.
        tracing::info!("{listening}");
    } else {
        say(&mut io::stderr(), &listening);
    }
    tokio::select! {
        () = gateway.run() => {}
        () = drain_on_signal(signals, drain) => {}
    }
    Ok(())
}

/// A scheduler for several threads costs where there is only one core to run on.
fn runtime() -> Result<Runtime, Failure> {
    let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let mut builder = match cores {
        1 => Builder::new_current_thread(),
        _ => Builder::new_multi_thread(),
    };
    builder.enable_all().build().map_err(Failure::Runtime)
}

/// Runs `work`, and does not wait for threads that do not come back.
fn to_the_end<T>(runtime: Runtime, work: impl Future<Output = T>) -> T {
    let ended = runtime.block_on(work);
    runtime.shutdown_timeout(LAST_WORK);
    ended
}

fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

/// A terminal that is gone is no reason to fail.
fn say(to: &mut impl io::Write, what: &dyn fmt::Display) {
    drop(writeln!(to, "{what}"));
}

/// Why the gateway could not run.
#[derive(Debug)]
enum Failure {
    Config(ConfigError),
    Start(StartError),
    Runtime(io::Error),
    Telemetry(InitError),
    Signals(io::Error),
}

impl Failure {
    fn exit_code(&self) -> ExitCode {
        match self {
            Self::Config(_) => ExitCode::from(WRONG_CONFIG),
            Self::Start(_) | Self::Runtime(_) | Self::Signals(_) | Self::Telemetry(_) => {
                ExitCode::FAILURE
            }
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(error) => error.fmt(f),
            Self::Start(error) => error.fmt(f),
            Self::Telemetry(error) => error.fmt(f),
            Self::Signals(error) => write!(f, "signals cannot be heard: {error}"),
            Self::Runtime(error) => write!(f, "cannot start worker threads: {error}"),
        }
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::Config(error)
    }
}

impl From<StartError> for Failure {
    fn from(error: StartError) -> Self {
        Self::Start(error)
    }
}

impl From<BindError> for Failure {
    fn from(error: BindError) -> Self {
        Self::Start(error.into())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn a_thread_that_hangs_does_not_hold_the_process() {
        let (end, held) = mpsc::channel::<()>();
        let (tell, told) = mpsc::channel();
        let run = std::thread::spawn(move || {
            to_the_end(runtime().unwrap(), async move {
                tokio::task::spawn_blocking(move || held.recv());
            });
            tell.send(()).unwrap();
        });
        told.recv_timeout(Duration::from_secs(20)).unwrap();
        drop(end);
        run.join().unwrap();
    }
}
