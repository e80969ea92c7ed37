//! The admin listener's service: metrics, health and status as plain HTTP, to be read, and the settings
//! that a host lets be changed.
//!
//! ```
//! use buttress_admin::Admin;
//! use buttress_core::health::HealthStatus;
//! use buttress_health::Health;
//! use http::{Request, StatusCode};
//! use tower_service::Service;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let health = Health::new().critical("pool", || HealthStatus::Healthy).build()?;
//! let mut admin = Admin::new()
//!     .metrics(|_| ("text/plain; version=0.0.4", String::from("up 1\n")))
//!     .health(health)
//!     .status("breakers", || serde_json::json!({ "checkout": "closed" }))
//!     .build();
//!
//! let request = Request::get("http://localhost:8081/status").body(())?;
//! let response = admin.call(request).into_inner()?;
//! assert_eq!(response.status(), StatusCode::OK);
//! # Ok(())
//! # }
//! ```
//!
//! | path | answer |
//! |---|---|
//! | `/` | what there is, as text, or as JSON where that is accepted |
//! | `/metrics` | what the closure given to [`Admin::metrics`] renders |
//! | `/health/live` | `200` while the process works, else `503` |
//! | `/health/ready` | `200` while traffic should come, else `503` |
//! | `/health` | the report by component; `503` if the service cannot do its work |
//! | `/status` | an object of the sections given to [`Admin::status`] |
//! | `/settings` | an object of the settings given to [`Admin::setting`] and [`Admin::settings`] |
//! | `/settings/NAME` | one of them; `PUT /settings/NAME?value=…&why=…` changes it |
//!
//! A path whose source was not given is `404`, as any other; a method but GET and HEAD is `405`, and of a
//! setting a method but GET, HEAD and PUT. A value that makes no sense is `422` and changes nothing.
//!
//! # What it promises
//!
//! - It changes nothing but the settings given to it (`tests/admin.rs`: `only_reading_is_allowed`), and no
//!   web page changes these (`tests/settings.rs`).
//! - On loopback it answers to loopback's names alone, so that no web page can read it by a name of
//!   its own that resolves to 127.0.0.1: `tests/hosts.rs`.
//! - A closure that panics spoils its own section and nothing else: `tests/admin.rs`.
//! - No answer is stored by a cache: `tests/admin.rs`. Under hyper every page comes whole: `tests/served.rs`.
//!
//! # What it costs
//!
//! A page is rendered when it is asked for, on the task of the connection that asks: a page of many
//! series holds a worker for as long as it takes. Run the admin listener apart from the traffic's,
//! with a cap on its connections. Nothing is on the path of the traffic.
//!
//! # Where in the stack
//!
//! At the bottom of a listener of its own, on loopback or a private address. It asks for no
//! credentials: who can connect can read, and change what there is to be changed.
//!
//! # When the request is dropped
//!
//! Nothing is left behind; the answer is made within one call.

mod builder;
mod hosts;
mod pages;
mod service;
mod settings;

pub use builder::Admin;
pub use service::AdminService;
pub use settings::{Change, Setting};
