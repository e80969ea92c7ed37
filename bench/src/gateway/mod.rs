//! `gateway`: what the whole gateway costs beside a bare hyper proxy.
//!
//! The proxy under measurement has one core to itself; load and origin share the other. Both
//! proxies serve the same number of requests in every round and take turns at going first. What is
//! compared is the CPU time of the proxy's process, which neither the speed of the load nor an
//! idle moment can improve. With `--awake` the peers' sleep is taken out of it as well.
//!
//! Like is compared with like: both proxies have the same release profile, the same allocator and,
//! pinned to one core, tokio's single-threaded scheduler, and the same client code. What differs is what
//! the gateway does. `--client stock` gives the bare proxy hyper-util's client as it comes.

mod bare_proxy;
pub(crate) mod cpu;
mod evidence;
mod load;
mod origin;
mod peers;
pub(crate) mod process;
mod report;
pub(crate) mod subject;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use tokio::runtime;
use tokio::signal::unix::{SignalKind, signal};

use self::bare_proxy::Dial;
use self::cpu::{Cores, CpuClock};
use self::load::Load;
use self::peers::Origin;
use self::process::{Process, free_address};
use self::report::{Report, Round};
use crate::Error;

/// How to compare.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Print one JSON object a line
    #[arg(long)]
    json: bool,
    /// Rounds that are measured, after one that is not
    #[arg(long, default_value_t = 41, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: u32,
    /// Requests in each round to each proxy
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    requests: u64,
    /// Keep-alive connections that ask again as soon as they are answered
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..=1024))]
    connections: u16,
    /// Compare the bare proxy with itself: the noise of this machine
    #[arg(long)]
    noise: bool,
    /// Keep origin and load from sleeping, so that no proxy pays for waking them
    #[arg(long)]
    awake: bool,
    /// The client of the bare proxy
    #[arg(long, value_enum, default_value_t = Dial::Gateway)]
    client: Dial,
    /// Measure this gateway instead of building the workspace's
    #[arg(long, value_name = "PATH", conflicts_with = "noise")]
    binary: Option<PathBuf>,
}

/// The parts that run as processes of their own.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Part {
    /// Answers every request with the same body
    Origin { listen: SocketAddr },
    /// Forwards every request
    BareProxy {
        listen: SocketAddr,
        upstream: SocketAddr,
        client: Dial,
    },
}

impl Part {
    /// Serves until killed, or until the process that started it is gone.
    pub(crate) fn run(self) -> Result<(), Error> {
        std::thread::spawn(|| {
            // Nothing is ever written to this pipe: it ends with the process that holds it.
            let _ = io::copy(&mut io::stdin(), &mut io::sink());
            std::process::exit(0);
        });
        // A part is pinned to one core, where the gateway runs on this scheduler as well.
        let runtime = runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        match self {
            Self::Origin { listen } => runtime.block_on(origin::serve(listen)),
            Self::BareProxy {
                listen,
                upstream,
                client,
            } => runtime.block_on(bare_proxy::serve(listen, upstream, client)),
        }
    }
}

/// Measures and prints.
pub(crate) fn compare(options: &Options) -> Result<(), Error> {
    let cores = Cores::of_this_process()?;
    let gateway = match (&options.binary, options.noise) {
        (_, true) => None,
        (Some(path), false) => Some(path.clone()),
        (None, false) => Some(subject::build()?),
    };
    cpu::pin_to(cores.load)?;
    let report = runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(async {
            tokio::select! {
                report = measure(options, cores, gateway) => report,
                // Leaving through here drops, and so ends, every process that was started.
                signal = interrupted() => Err(signal?.into()),
            }
        })?;
    report.write(&mut io::stdout().lock(), options.json)
}

async fn measure(
    options: &Options,
    cores: Cores,
    gateway: Option<PathBuf>,
) -> Result<Report, Error> {
    let origin = if options.awake {
        Origin::awake().await?
    } else {
        Origin::asleep(cores).await?
    };
    let bare = start_bare(options, cores, origin.address).await?;
    let mut bare = Candidate::new(bare, options.connections).await?;
    let (subject, rounds) = match gateway {
        None => {
            let twin = start_bare(options, cores, origin.address).await?;
            let mut twin = Candidate::new(twin, options.connections).await?;
            ("bare-again", rounds(options, &mut bare, &mut twin).await?)
        }
        Some(binary) => {
            let rounds = against_gateway(options, cores, binary, &origin, &mut bare).await?;
            ("buttress", rounds)
        }
    };
    let peers = if options.awake { "awake" } else { "asleep" };
    Ok(Report {
        subject,
        peers,
        requests: options.requests,
        rounds,
    })
}

async fn against_gateway(
    options: &Options,
    cores: Cores,
    binary: PathBuf,
    origin: &Origin,
    bare: &mut Candidate,
) -> Result<Vec<Round>, Error> {
    let listen = free_address().await?;
    let admin = free_address().await?;
    let config = subject::ConfigFile::write(listen, admin, origin.address)?;
    let mut command = Command::new(binary);
    command.args(["serve", "--config"]).arg(config.path());
    let mut process = Process::start("the gateway", &mut command, listen, cores.proxy, cores.load)?;
    process.listening().await?;
    evidence::carries_an_id(listen).await?;
    let mut gateway = Candidate::new(process, options.connections).await?;
    let rounds = rounds(options, bare, &mut gateway).await?;
    evidence::metrics_count(admin, gateway.sent).await?;
    Ok(rounds)
}

/// One round that warms up, then those that count, each proxy going first in every other one.
async fn rounds(
    options: &Options,
    bare: &mut Candidate,
    subject: &mut Candidate,
) -> Result<Vec<Round>, Error> {
    let requests = options.requests;
    // First, for it waits no longer for a first request than its configuration says.
    subject.serve(requests).await?;
    bare.serve(requests).await?;
    let mut rounds = Vec::new();
    for index in 0..options.rounds {
        let round = if index % 2 == 0 {
            let bare = bare.serve(requests).await?;
            Round {
                bare,
                subject: subject.serve(requests).await?,
            }
        } else {
            let subject = subject.serve(requests).await?;
            Round {
                bare: bare.serve(requests).await?,
                subject,
            }
        };
        rounds.push(round);
    }
    Ok(rounds)
}

/// A proxy, its connections and its CPU clock.
#[derive(Debug)]
struct Candidate {
    load: Load,
    cpu: CpuClock,
    sent: u64,
    /// Held for its end.
    _process: Process,
}

impl Candidate {
    async fn new(process: Process, connections: u16) -> Result<Self, Error> {
        let load = Load::connect(process.address, connections.into()).await?;
        Ok(Self {
            load,
            cpu: process.cpu()?,
            sent: 0,
            _process: process,
        })
    }

    /// The CPU time that `requests` requests take it.
    async fn serve(&mut self, requests: u64) -> Result<Duration, Error> {
        let before = self.cpu.read()?;
        self.load.send(requests).await?;
        self.sent += requests;
        Ok(self.cpu.read()?.saturating_sub(before))
    }
}

async fn start_bare(
    options: &Options,
    cores: Cores,
    upstream: SocketAddr,
) -> Result<Process, Error> {
    let address = free_address().await?;
    let mut command = part("bare-proxy")?;
    command.args([address.to_string(), upstream.to_string()]);
    command.arg(options.client.name());
    let mut bare = Process::start(
        "the bare proxy",
        &mut command,
        address,
        cores.proxy,
        cores.load,
    )?;
    bare.listening().await?;
    Ok(bare)
}

fn part(name: &str) -> io::Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["part", name]);
    Ok(command)
}

async fn interrupted() -> io::Result<&'static str> {
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        pressed = tokio::signal::ctrl_c() => pressed.map(|()| "interrupted"),
        _ = terminate.recv() => Ok("terminated"),
    }
}
