//! `faults`: what users see of the gateway while one of its three origins is ill, and after (or so many of so
//! many, as options say).
//!
//! An open loop sends 500 requests a second, whatever becomes of those before. After a while one
//! origin falls ill, stays so, and recovers; the others go on. A user gives up after two seconds. Times
//! are taken from the moment a request was due, so that no wait is left out. What is printed for
//! each case: how many users got their answer, what the ill origin was given, and how soon it had its
//! share again. `--judge` holds the cases to what may be seen of them.

mod ask;
mod body;
mod case;
mod judge;
mod observed;
mod origin;
mod report;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use self::ask::Users;
use self::case::Case;
use self::observed::{Exchange, Observed};
use self::origin::Origin;
use self::report::Row;
use crate::gateway::cpu::{Cores, pin_to};
use crate::gateway::process::{Process, free_address};
use crate::gateway::subject::{self, ConfigFile};
use crate::{Error, bar};

/// How to compare.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Print one JSON object a line
    #[arg(long)]
    json: bool,
    /// Whether the bars are met that this setting has: prints each, and ends in failure if one is not
    #[arg(long, conflicts_with_all = ["rate", "origins", "together", "takes", "workers", "method", "before", "ill", "after", "pool"])]
    judge: bool,
    /// Only the cases whose names contain this
    #[arg(long, value_name = "TEXT", default_value = "")]
    only: String,
    /// Requests a second
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(10..=5000))]
    rate: u32,
    /// Origins behind the gateway
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=50))]
    origins: u16,
    /// How many of them fall ill: the last ones
    #[arg(long, default_value_t = 1)]
    together: u16,
    /// Milliseconds that an origin takes in health: from half to one and a half of this
    #[arg(long, default_value_t = 0)]
    takes: u64,
    /// Requests that an origin works on at once, while others wait: all of them if none are said
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    workers: Option<u16>,
    /// What users ask with
    #[arg(long, default_value = "GET")]
    method: http::Method,
    /// Seconds before the fault
    #[arg(long, default_value_t = 5)]
    before: u64,
    /// Seconds of the fault
    #[arg(long, default_value_t = 20)]
    ill: u64,
    /// Seconds after it
    #[arg(long, default_value_t = 15)]
    after: u64,
    /// Measure this gateway instead of building the workspace's
    #[arg(long, value_name = "PATH")]
    binary: Option<PathBuf>,
    /// More lines for the pool of the gateway's configuration
    #[arg(long, value_name = "TOML", default_value = "")]
    pool: String,
}

/// Runs every case and prints a row of each; whether the bars are met, if that was asked.
pub(crate) fn compare(options: &Options) -> Result<bool, Error> {
    let cores = Cores::of_this_process()?;
    let gateway = options
        .binary
        .clone()
        .map_or_else(subject::build, Ok::<_, Error>)?;
    pin_to(cores.load)?;
    let mut out = io::stdout().lock();
    if !options.json {
        report::heading(&mut out)?;
    }
    let mut bars = Vec::new();
    for case in case::all().filter(|case| case.name.contains(&options.only)) {
        // Of its own for each, so that nothing of one case is left over in the next.
        let runtime = runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let observed = runtime.block_on(run(&case, options, cores, &gateway))?;
        let row = Row::of(&case, &observed);
        if !(options.judge && options.json) {
            row.write(&mut out, options.json)?;
        }
        bars.extend(judge::bars(&row));
    }
    if !options.judge {
        return Ok(true);
    }
    if bars.is_empty() {
        return Err("none of these cases has a bar: leave `--only` away to see which have".into());
    }
    bar::write(&mut out, &bars, options.json)
}

async fn run(
    case: &Case,
    options: &Options,
    cores: Cores,
    gateway: &PathBuf,
) -> Result<Observed, Error> {
    let mut origins = Vec::new();
    for index in 0..options.origins {
        let takes = Duration::from_millis(options.takes);
        let workers = options.workers.map(usize::from);
        origins.push(Origin::listen(usize::from(index), takes, workers).await?);
    }
    let listen = free_address().await?;
    let config = configure(case, options, listen, free_address().await?, &origins)?;
    let mut command = Command::new(gateway);
    command
        .args(["serve", "--config"])
        .arg(config.path())
        .stderr(Stdio::null());
    let mut process = Process::start("the gateway", &mut command, listen, cores.proxy, cores.load)?;
    process.listening().await?;

    let seconds = Duration::from_secs;
    let (before, ill) = (seconds(options.before), seconds(options.ill));
    let whole = before + ill + seconds(options.after);
    let users = Arc::new(Users::new(listen, options.method.clone()));
    let begin = soon();
    let ills = origins.split_off(origins.len().saturating_sub(options.together.into()));
    let schedule = script(case, &ills, begin + before, begin + before + ill);
    let (exchanges, asked) = tokio::join!(open_loop(&users, begin, whole, options.rate), schedule);
    Ok(Observed {
        exchanges: exchanges?,
        asked,
        origins: options.origins.into(),
        ill: ills.len(),
        fell_ill: before,
        recovered: before + ill,
        rate: options.rate,
    })
}

/// Late enough for all to be there.
#[expect(
    clippy::disallowed_methods,
    reason = "what is measured is measured by this clock"
)]
fn soon() -> Instant {
    Instant::now() + Duration::from_millis(100)
}

/// Sends each request when it is due, and waits for the last.
async fn open_loop(
    users: &Arc<Users>,
    begin: Instant,
    whole: Duration,
    rate: u32,
) -> Result<Vec<Exchange>, Error> {
    let mut running = JoinSet::new();
    let every = Duration::from_secs(1) / rate;
    let mut due = Duration::ZERO;
    while due < whole {
        sleep_until(begin + due).await;
        let users = Arc::clone(users);
        running.spawn(async move {
            let answer = users.ask().await;
            Exchange {
                due,
                took: begin.elapsed().saturating_sub(due),
                answer,
            }
        });
        due += every;
    }
    let mut exchanges = Vec::new();
    while let Some(exchange) = running.join_next().await {
        exchanges.push(exchange?);
    }
    exchanges.sort_by_key(|exchange| exchange.due);
    Ok(exchanges)
}

/// Makes these origins ill and well again; tells when they were asked while they were ill.
async fn script(
    case: &Case,
    ills: &[Origin],
    fall_ill: Instant,
    recover: Instant,
) -> Vec<Duration> {
    sleep_until(fall_ill).await;
    for origin in ills {
        origin.turn(case.fault, fall_ill);
    }
    sleep_until(recover).await;
    let mut asked: Vec<_> = ills.iter().flat_map(Origin::recover).collect();
    asked.sort_unstable();
    asked
}

fn configure(
    case: &Case,
    options: &Options,
    listen: SocketAddr,
    admin: SocketAddr,
    origins: &[Origin],
) -> io::Result<ConfigFile> {
    let endpoints: Vec<String> = origins
        .iter()
        .map(|origin| format!("\"{}\"", origin.address))
        .collect();
    let text = format!(
        r#"[listen]
address = "{listen}"

[admin]
address = "{admin}"

[log]
level = "error"

[[pool]]
name = "origins"
endpoints = [{endpoints}]
{more}

[pool.failover]
{failover}

[[route]]
name = "origins"
path_prefix = "/"
pool = "origins"
"#,
        endpoints = endpoints.join(", "),
        more = options.pool,
        failover = case.failover,
    );
    ConfigFile::of(&text)
}
