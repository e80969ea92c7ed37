//! `buttress-gateway`: see the library for what it is made of.

use std::process::ExitCode;

use clap::Parser as _;
use mimalloc::MiMalloc;

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    buttress_gateway::cli::run(buttress_gateway::cli::Cli::parse())
}
