//! `buttress-sim`: runs the grid, prints one table, or one JSON object a line.

#![allow(clippy::print_stdout, reason = "its output is what it is for")]

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use buttress_sim::grid::{self, Cell, Grid};
use buttress_sim::judge::{self, Finding, Ruling};
use buttress_sim::report::{Row, table};
use buttress_sim::router::Policy;
use buttress_sim::{plot, world};
use clap::Parser;

/// Drives the real pool and breaker, and models of others, through scripted faults.
#[derive(Debug, Parser)]
#[command(name = "buttress-sim")]
struct Options {
    /// The whole grid, and ten million requests where nothing changes, however long it takes.
    #[arg(long)]
    full: bool,
    /// Whether the bars are met that the router is held to: at 3, 10 and 50 hosts, and loads of 50, 75 and 90 %, where
    /// nothing else is said. Ends in failure if one is not, and is not beyond whoever knows at the first sign.
    #[arg(long, conflicts_with = "policies")]
    judge: bool,
    /// One JSON object a line and run, as runs end, and no table.
    #[arg(long)]
    json: bool,
    /// Only these scenarios, such as `S1`, separated by commas.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Only these policies, by their names in the table, separated by commas.
    #[arg(long, value_delimiter = ',', value_parser = policy)]
    policies: Vec<Policy>,
    /// Seeds of each cell.
    #[arg(long, default_value_t = 5)]
    seeds: u64,
    /// Numbers of routers, separated by commas. Default 1,20.
    #[arg(long, value_delimiter = ',')]
    routers: Vec<usize>,
    /// Hosts in the pool, separated by commas. Default 10.
    #[arg(long, value_delimiter = ',')]
    hosts: Vec<usize>,
    /// Loads as shares, separated by commas. Default 0.75.
    #[arg(long, value_delimiter = ',')]
    loads: Vec<f64>,
    /// Writes `runs.csv`, and for each scenario with a faulty host a picture, into this directory.
    #[arg(long, value_name = "DIRECTORY")]
    out: Option<PathBuf>,
}

fn policy(name: &str) -> Result<Policy, String> {
    Policy::by_name(name).ok_or_else(|| {
        let names: Vec<_> = Policy::ALL.iter().map(|it| it.name()).collect();
        format!("no policy `{name}`; there are {}", names.join(", "))
    })
}

impl Options {
    fn grid(&self) -> Grid {
        let mut grid = match (self.full, self.judge) {
            (true, _) => Grid::full(),
            (false, true) => Grid::whole(),
            (false, false) => Grid::default(),
        };
        let replace = |list: &mut Vec<usize>, by: &[usize]| {
            if !by.is_empty() {
                *list = by.to_vec();
            }
        };
        replace(&mut grid.routers, &self.routers);
        replace(&mut grid.hosts, &self.hosts);
        if !self.loads.is_empty() {
            grid.loads.clone_from(&self.loads);
        }
        if !self.policies.is_empty() {
            grid.policies.clone_from(&self.policies);
        }
        grid.seeds = self.seeds;
        grid.only.clone_from(&self.only);
        grid
    }
}

fn main() -> ExitCode {
    let options = Options::parse();
    match run(&options) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            let _ = writeln!(io::stderr(), "buttress-sim: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Whether all is as it should be.
fn run(options: &Options) -> io::Result<bool> {
    let grid = options.grid();
    let cells = if options.judge {
        judge::cells(&grid)
    } else {
        grid.cells()
    };
    if cells.is_empty() {
        return Err(io::Error::other(
            "no such scenario; names are S0 to S20 as in the table",
        ));
    }
    let mut rows = Vec::with_capacity(cells.len());
    grid::run(&cells, |_, row| {
        if options.json && !options.judge {
            // A reader that has gone wants no more lines.
            let line = serde_json::to_string(&row).unwrap_or_default();
            let _ = writeln!(io::stdout(), "{line}");
        }
        rows.push(row);
    });
    let held = if options.judge {
        tell(options, &judge::judge(&rows))
    } else {
        if !options.json {
            print!("{}", table(&rows));
        }
        true
    };
    if let Some(directory) = &options.out {
        write(directory, &cells, rows)?;
    }
    Ok(held)
}

fn tell(options: &Options, findings: &[Finding]) -> bool {
    if options.json {
        for finding in findings {
            let line = serde_json::to_string(finding).unwrap_or_default();
            let _ = writeln!(io::stdout(), "{line}");
        }
    } else {
        print!("{}", judge::table(findings));
    }
    findings.iter().all(|it| it.ruling() != Ruling::Missed)
}

fn write(directory: &Path, cells: &[Cell], mut rows: Vec<Row>) -> io::Result<()> {
    fs::create_dir_all(directory)?;
    rows.sort_by(|a, b| {
        let key = |row: &Row| {
            (
                row.scenario.clone(),
                row.n,
                row.routers,
                row.policy,
                row.seed,
            )
        };
        key(a).cmp(&key(b)).then(a.load.total_cmp(&b.load))
    });
    let mut csv = format!("{}\n", Row::CSV_HEAD);
    for row in &rows {
        csv.push_str(&row.csv());
        csv.push('\n');
    }
    fs::write(directory.join("runs.csv"), csv)?;
    pictures(directory, cells)
}

/// One for each scenario, by the first seed.
fn pictures(directory: &Path, cells: &[Cell]) -> io::Result<()> {
    let mut by_scenario: BTreeMap<String, Vec<&Cell>> = BTreeMap::new();
    let with_fault = |cell: &&Cell| cell.seed == 1 && !cell.scenario.fault.hosts.is_empty();
    for cell in cells.iter().filter(with_fault) {
        let (n, load) = (cell.scenario.members.len(), cell.scenario.load * 100.0);
        let name = format!(
            "{}-n{n}-load{load:.0}-r{}",
            cell.scenario.name, cell.routers
        );
        by_scenario.entry(name).or_default().push(cell);
    }
    for (name, cells) in by_scenario {
        let line = |cell: &&Cell| {
            let seen = world::run(&cell.scenario, cell.policy, cell.routers, cell.seed);
            (cell.policy, seen.faulty_share_by_second())
        };
        let lines: Vec<_> = cells.iter().map(line).collect();
        if let Some(cell) = cells.first() {
            fs::write(
                directory.join(format!("{name}.svg")),
                plot::shares(&cell.scenario, &lines),
            )?;
        }
    }
    Ok(())
}
