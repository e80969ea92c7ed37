//! A reverse proxy that shows the buttress layers composed.
//!
//! The binary `buttress-gateway` is a thin shell over this library: [`cli`] reads the command
//! line, [`config`] the file, [`server`] accepts, [`ingress`] makes requests plain and finds their
//! route, [`upstream`] speaks to one endpoint, and [`demo`] brings upstreams and traffic of its
//! own.
//!
//! # What it promises
//!
//! - What is wrong with a configuration is reported whole, each with file, line and key:
//!   `tests/config_errors.rs`, `tests/check_command.rs`.
//! - No hop-by-hop header passes in either direction, whatever `Connection` says, and no client
//!   erases what a layer added: `headers::tests`, `tests/proxying.rs`.
//! - The authority that is connected to is never a client's: `upstream::tests`.
//! - A canary takes the share of its step, keeps its users, and is rolled back when it does worse: `tests/canaries.rs`.
//! - Endpoints that a file names come and go in mid-traffic without a lost request: `tests/discovering.rs`.
//! - Every wait has an end, towards clients and towards upstreams: `tests/slow_clients.rs`,
//!   `tests/slow_upstreams.rs`.
//! - A connection goes on in another protocol only where its route says so, and what it becomes is bounded: [`upgrade`],
//!   `tests/upgrades.rs`, `tests/tunnels.rs`.
//! - Answers of the gateway's own say nothing about what is behind it: `problem::tests`.

pub mod audit;
pub mod body;
pub mod called;
mod checks;
pub mod cli;
pub mod config;
pub mod demo;
pub mod discovery;
pub mod dispatch;
pub mod fork;
pub mod gateway;
pub mod headers;
pub mod ingress;
pub mod journal;
pub mod log_level;
pub mod named;
pub mod networks;
pub mod operate;
pub mod overrides;
pub mod problem;
pub mod refuse;
pub mod rooms;
pub mod routes;
pub mod server;
pub mod settings;
pub mod stack;
pub mod status;
pub mod table;
pub mod target;
pub mod telemetry;
pub mod timed;
pub mod untraced;
pub mod upgrade;
pub mod upstream;

mod alarm;
mod gather;
mod known_host;
