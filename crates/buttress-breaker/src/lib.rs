//! A circuit breaker: cuts off a dependency that fails, probes it safely, and lets traffic back.
//!
//! ```
//! use buttress_breaker::{Breaker, Config, Rule, Window};
//! use http::{Request, Response};
//! use std::time::Duration;
//! use tower::{Layer, ServiceExt};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let config = Config::default().rules([
//!     Rule::FailureRate { ratio: 0.5, min_calls: 20, window: Window::Time(Duration::from_secs(10)) },
//!     Rule::ConsecutiveFailures(5),
//! ]);
//! let breaker = Breaker::new("inventory", config)?;
//! let handle = breaker.handle();
//!
//! // `Router::layer(breaker.layer())` is the same under axum.
//! let service = breaker.layer().layer(tower::service_fn(|_request: Request<()>| async {
//!     Response::builder().status(500).body(http_body_util::Empty::<&[u8]>::new())
//! }));
//!
//! for _ in 0..5 {
//!     assert_eq!(service.clone().oneshot(Request::new(())).await?.status(), 500);
//! }
//! let refused = service.oneshot(Request::new(())).await?;
//! assert_eq!(refused.status(), 503);
//! assert!(refused.headers().contains_key("retry-after"));
//! let verdict = handle.snapshot().verdict.unwrap();
//! assert!(verdict.to_string().contains("consecutive_failures 5 (limit 5, 5 calls)"));
//! # Ok(())
//! # }
//! ```
//!
//! A service of any other kind is guarded by [`Breaker::plain_layer`], whose rejection is
//! [`BreakerError::Rejected`]. A plain breaker round another one wants
//! `outer.plain_layer().classify(ErrorChain)`:
//! [`ErrorChain`](buttress_core::protocol::ErrorChain) sees the inner one's rejection in its error and
//! holds it against nobody. What is no service at all is guarded by
//! [`Breaker::call`], or by [`Breaker::try_acquire`] where there is no future to wait for.
//!
//! # What it promises
//!
//! | promise | proved by |
//! |---|---|
//! | The inner service that was polled ready is the one that is called; back-pressure passes through; nothing of its own is reserved before the call. | `tests/readiness.rs` |
//! | While it rejects it is ready at once and touches nothing behind it; whoever waits there is woken. If it opened or closed since, the call decides; what was not readied is readied inside the call, under [`Config::ready_deadline`]. | `tests/readiness.rs` |
//! | Every admitted call ends in exactly one outcome: by result, body, trailers, panic, or drop after any number of polls. | `tests/contract.rs`, `tests/http.rs`, `tests/call.rs` |
//! | An outcome from before a transition is counted as stale and changes nothing. | `tests/probes.rs` |
//! | No more probes than set, at any interleaving; a probe that is dropped, ignored, panics or hangs gives its place back. | `tests/probes.rs` |
//! | From every state traffic flows again after the open time, a probe deadline and a wait in the ramp: calls that hang open it as of when they became slow. Who is told to come back later is admitted then. | `tests/flow.rs`, `tests/model.rs` |
//! | After half-open a rising share of calls passes, to within one call; trouble opens the circuit for longer than before. | `tests/states/main.rs` |
//! | The open time grows until the circuit has proved healthy. | `tests/states/main.rs` |
//! | A state set by hand follows a table; what may not follow is a typed error that changes nothing. | `tests/states/main.rs` |
//! | Observing rejects nothing and tells each rule that would have fired, once. | `tests/states/main.rs` |
//! | A restart forgets no open circuit, and believes no wall clock and no file further than the cap. | `tests/restart.rs` |
//! | States, counts and windows are those of a naive recount, after any sequence of events. | `tests/model.rs` |
//! | Under and over limits, buffers and load shedding nothing panics and nothing is held. What panics harms itself alone. | `tests/stacks.rs`, `tests/panics.rs` |
//! | A call that hangs is slow when the threshold passes, not when it returns, and counts once; so is a probe and a call of the ramp. | `tests/rules.rs`, `tests/states/main.rs`, `tests/model.rs` |
//! | What an upstream asks for by `Retry-After` or `grpc-retry-pushback-ms` when it fails is honoured, within bounds; a `Retry-After` that is a date counts from the answer's own `Date`. | `tests/asked.rs` |
//! | What is usual for a dependency is learned from any start below the ceiling, and no outage teaches it. | `tests/adaptive.rs` |
//! | A rule of the user's own is asked under no lock, and may panic. | `tests/own_rules.rs` |
//! | A breaker with the default rules takes less than 2 KiB, and a call allocates nothing. | `tests/memory.rs` |
//! | Under a real server all connections and routes of a layer share one breaker. | `tests/axum.rs` |
//! | Our own rejections and what the client leaves are not held against the upstream. | `tests/contract.rs`, `tests/http.rs` |
//! | A probe function stands for user calls while the circuit is half-open, and ends with the last handle. | `tests/probe_fn.rs` |
//! | What the test suites of other breakers ask of a breaker holds here, in the form that fits. | `tests/scenarios/main.rs` |
//! | A breaker for each key: bounded, never unprotected, and gone only when nothing is lost. | `tests/keyed.rs` |
//! | What answers a rejection gets the request as it came and is never charged to the breaker. | `tests/fallback.rs` |
//! | Events are told in the order in which they happened and under no lock anyone waits for. | `tests/panics.rs`, `tests/probes.rs` |
//!
//! # What it costs
//!
//! Nothing is allocated for a call. A closed circuit admits on one atomic load. No reference is counted
//! up or down where one call after the other on a thread goes through the same breaker, for the thread keeps
//! the counters of the last one at hand: some 200 bytes, until it uses another or ends. Each further call in
//! flight on that thread counts a reference up and down, and so does every call by a breaker of a
//! [`KeyedBreaker`]. A success is counted by one compare-and-swap,
//! whatever the rules look at, of a word that a thread shares with few others once two have got in each other's way:
//! two threads on one breaker take no longer than one. No success can raise a rate before the bucket ends in which the rules were last asked. The first one after that,
//! a sixteenth of the window later, takes an uncontended lock for some arithmetic, and so does a failure, a
//! slow call, and every call where a success could complete a minimum or a rule of the user's own is asked.
//! None of it depends on how many calls a window holds.
//!
//! The clock is read once for an outcome if a rule looks at a window of time, and for admission and outcome
//! if a rule or [`Config::slow_after`] asks how long calls take. A rule that asks also has calls in flight
//! counted by when they began: one more compare-and-swap when a call begins, and where it ends later than in the same
//! sixteenth of the shortest threshold one more at its end for each different threshold; and half
//! a KiB. A rejection while open reads the clock once and takes no lock. A window of `n` calls takes `n` bits,
//! a breaker with the default rules 2 KiB at most, and once threads have got in each other's way 256 bytes more for each
//! core, 4 KiB at most; those of a [`KeyedBreaker`] have no such room. `cargo compare breaker` measures all of it
//! beside others.
//! Only a call that was admitted before its service was ready, and has to wait for that, puts a timer on the
//! heap.
//!
//! # What a rejection says
//!
//! [`Rejected::retry_after`](buttress_core::reject::Rejected::retry_after) is the header `Retry-After` over
//! HTTP, in whole seconds, and `grpc-retry-pushback-ms` over gRPC; both are rounded up, and are at least 1.
//!
//! | reason | when to come back |
//! |---|---|
//! | `circuit_open` | what is left of the open time: a call then is admitted, if no other took the probe's place |
//! | `probes_busy` | when a probe's lease runs out: its place is free then at the latest, mostly sooner |
//! | `probing` | what is left until the probe that is under way, or due next, has met its deadline |
//! | `ramping` | when a call passes for certain, if none has until then |
//! | `forced_open` | nobody knows its end: the first open time, as a pause between two questions |
//! | `not_ready` | nothing: the service was not ready within [`Config::ready_deadline`], which says nothing of later |
//!
//! # Choosing rules
//!
//! [`choosing_rules`] has the measured consequences of each rule; [`Config::for_http_upstream`],
//! [`Config::for_database`] and [`Config::for_third_party_api`] are presets whose numbers have reasons.
//!
//! A rate with a minimum of calls is the rule to start with. With few calls a minute a rate over time
//! never sees its minimum: add [`Rule::ConsecutiveFailures`] or look at the last calls instead. A
//! window of calls remembers a quiet night's failures in the morning; a window of time does not.
//!
//! [`Rule::SlowRate`] sees what no rule about failures sees in time: a dependency that hangs. With a threshold
//! of 1 s and a deadline of 30 s it opens as soon as half of the calls in its window have waited for 1 s, and not
//! after 30. Set the threshold to what a healthy answer never takes. With
//! [`Rule::FailureOrSlowRate`] a dependency that fails a third of its calls and delays another third is seen
//! as one that serves a third; either rate alone stays below one half. [`Rule::Timeouts`] is for one whose
//! failures are part of its answers, and whose silence is not.
//!
//! [`Rule::Adaptive`] is for a dependency that never is quite well: if a tenth of its answers are failures on a
//! good day, a fixed rate is either blind or open for ever. Until it knows what is usual its ceiling holds; what
//! changes for good is learned in the end. It needs traffic: at three standard deviations it
//! takes 13 failures of 20 calls to prove more than 30 %, and 80 of 200. A deployment that doubles the
//! failures is not seen by a factor of three.
//!
//! [`Config::slow_after`] marks calls as slow in counts, and a slow probe opens the circuit again; it is the
//! shortest threshold of the rules unless it is set.
//! A probe and a call of the ramp are slow when that time is over, whether they have ended or not. Where no
//! threshold is set, a probe that hangs gives its place to another call at its
//! [deadline](Settings::probe_deadline) and does not open the circuit by itself.
//!
//! # From open back to closed
//!
//! After the open time ([`Settings::open_for`]) a few calls probe: two in a row by default, or a rate of
//! several ([`Probing`]). Then traffic rises by the steps of a [`Ramp`], by default 5, 25 and 50 % for 2 s
//! and 10 successes each, so that a dependency that has just come up is not met by everybody at once. A
//! call that comes when none has passed for a fifth of a second passes in any case, so few calls a second
//! are not held up. Three bad calls in a row, or four of ten, open the circuit again. Where that is not
//! wanted, [`Settings::ramp`] takes `None`: a dependency that needs no warming up is back at once.
//!
//! To try rules on live traffic, start with [`State::Observing`] ([`Config::start`]) and look at the events.
//!
//! # One breaker or many
//!
//! | what is guarded | use |
//! |---|---|
//! | one dependency | [`Breaker`]: all services, clones and connections of its layer share it |
//! | a few that the program names | [`Registry`]: made where they are first asked for, listed in one place |
//! | as many as clients name: hosts, routes, tenants | [`KeyedBreaker`]: capped, and idle ones go |
//!
//! # Where in the stack
//!
//! Outside what is classified (timeouts, so that a hang is a failure; the client), inside what makes
//! new attempts (retries ask again and are refused at once) and inside load shedding and rate limits,
//! so that what they refuse is not counted. One breaker guards one dependency: a route's pool, a
//! database, somebody's API.
//!
//! # When the request is dropped
//!
//! Its call is `Abandoned`: neither a failure nor a success, and a probe's place is free again. A
//! panic in the guarded service is a failure, and passes on.
//!
//! # Features
//!
//! | feature | what it adds |
//! |---|---|
//! | `http` (default) | `BreakerLayer<Http>`: rejections become responses, outcomes end with the body |
//! | `serde` | [`SavedBreaker`] can be written down, in any format |
#![cfg_attr(docsrs, feature(doc_cfg))]

mod breaker;
mod call;
pub mod choosing_rules;
mod config;
pub mod fallback;
mod gate;
mod handle;
mod hot;
mod inflight;
mod inner;
pub mod keyed;
mod lanes;
mod layer;
#[cfg(all(loom, test))]
mod loom_tests;
mod machine;
mod metrics;
mod permit;
mod presets;
mod prober;
mod readying;
mod refusal;
mod registry;
mod rejections;
mod rules;
mod saved;
mod service;
mod shared;
mod sync;
mod thread;
mod waiters;

#[cfg(feature = "http")]
pub mod http;
pub mod plain;

pub use breaker::Breaker;
pub use call::Call;
pub use config::Config;
pub use fallback::{Fallback, FallbackLayer, FallbackService};
pub use handle::{BreakerHandle, Event, Snapshot};
pub use keyed::{KeyedBreaker, KeyedBreakerLayer, KeyedConfig, KeyedHandle};
pub use layer::BreakerLayer;
pub use machine::{Calls, TransitionCount};
pub use permit::Permit;
pub use plain::BreakerError;
pub use prober::ProbeFn;
pub use registry::Registry;
pub use rules::{CustomRule, Evidence, Rule, Trip, TripRule, Window, WindowCounts};
pub use saved::SavedBreaker;
pub use service::{BreakerService, Guarding};

/// What the circuit under a breaker is set to, and the states it has.
pub use buttress_core::circuit::{
    Backoff, HalfOpenLimit, HealthyRun, IllegalTransition, Jitter, Probing, Ramp, Settings, State,
    Step,
};

/// How much a [`KeyedBreaker`] keeps, and for how long.
pub use buttress_core::bounded::Limits;
