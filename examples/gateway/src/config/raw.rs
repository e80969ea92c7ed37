//! The file as it is written: every key optional, every value with its place.

use serde::Deserialize;
use serde_spanned::Spanned;

type Text = Option<Spanned<String>>;
type Texts = Option<Vec<Spanned<String>>>;
type Time = Option<Spanned<TimeText>>;
type Number = Option<Spanned<i64>>;
type Real = Option<Spanned<f64>>;

/// How long, as it is written: a choice of one, so that what is no text at all is told in these words.
#[derive(Debug, Deserialize)]
#[serde(
    untagged,
    expecting = "is no time; write a number and its unit in quotes, such as \"10s\""
)]
pub(super) enum TimeText {
    Text(String),
}

impl TimeText {
    pub(super) fn as_str(&self) -> &str {
        let Self::Text(text) = self;
        text
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct File {
    pub(super) listen: Listen,
    pub(super) admin: Admin,
    pub(super) log: Log,
    pub(super) audit: Audit,
    pub(super) trace: Trace,
    pub(super) metrics: Metrics,
    pub(super) forwarded: Forwarded,
    pub(super) correlation: Correlation,
    pub(super) pool: Vec<Spanned<Pool>>,
    pub(super) route: Vec<Spanned<Route>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Listen {
    pub(super) address: Text,
    pub(super) max_connections: Number,
    pub(super) header_timeout: Time,
    pub(super) idle_timeout: Time,
    pub(super) body_timeout: Time,
    pub(super) write_timeout: Time,
    pub(super) max_request_body: Option<Spanned<toml::Value>>,
    pub(super) lame_duck: Time,
    pub(super) drain_deadline: Time,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Admin {
    pub(super) address: Text,
    pub(super) changes: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[expect(
    clippy::struct_field_names,
    reason = "the field is named as the key is"
)]
pub(super) struct Log {
    pub(super) format: Text,
    pub(super) level: Text,
    pub(super) access_log: Option<bool>,
    pub(super) repeats: Option<bool>,
    pub(super) redact: Texts,
    pub(super) secret_names: Texts,
    pub(super) show_headers: Texts,
    pub(super) show_query: Texts,
    pub(super) show_path: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Audit {
    pub(super) path: Text,
    pub(super) max_size: Option<Spanned<toml::Value>>,
    pub(super) keep: Number,
    pub(super) sync: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Trace {
    pub(super) otlp_endpoint: Text,
    pub(super) sample_ratio: Real,
    pub(super) keep_failed: Option<bool>,
    pub(super) keep_slower_than: Time,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Metrics {
    pub(super) otlp_endpoint: Text,
    pub(super) push_every: Time,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Forwarded {
    pub(super) host: Text,
    pub(super) x_forwarded: Text,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Correlation {
    pub(super) trust: Option<Spanned<toml::Value>>,
    pub(super) hosts: Option<Spanned<Vec<String>>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Pool {
    pub(super) name: Text,
    pub(super) protocol: Text,
    pub(super) connect_timeout: Time,
    pub(super) head_timeout: Time,
    pub(super) body_idle_timeout: Time,
    pub(super) keep_alive: Time,
    pub(super) pick: Text,
    pub(super) affinity: Text,
    pub(super) load_bound: Real,
    pub(super) noise_band: Real,
    pub(super) remember: Time,
    pub(super) locality: Text,
    pub(super) reported_load: Option<bool>,
    pub(super) endpoints: Option<Spanned<Vec<Spanned<Endpoint>>>>,
    pub(super) discover: Option<Spanned<Discover>>,
    pub(super) health: Health,
    pub(super) check: Option<Spanned<Check>>,
    pub(super) failover: Failover,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Discover {
    pub(super) file: Text,
    pub(super) every: Time,
    pub(super) dns: Text,
    pub(super) port: Number,
    pub(super) srv: Text,
    pub(super) resolvers: Option<Spanned<Vec<Spanned<String>>>>,
}

/// An endpoint is an address alone, or a table where it needs more.
#[derive(Debug, Deserialize)]
#[serde(
    untagged,
    expecting = "an endpoint is \"host:port\" or { address = \"host:port\" }, perhaps with weight, priority (numbers) and locality (text)"
)]
pub(super) enum Endpoint {
    Address(String),
    Weighted(WeightedEndpoint),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WeightedEndpoint {
    pub(super) address: String,
    #[serde(default)]
    pub(super) weight: Option<i64>,
    #[serde(default)]
    pub(super) priority: Option<i64>,
    #[serde(default)]
    pub(super) locality: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Health {
    pub(super) consecutive_failures: Number,
    pub(super) failure_rate: PeerRate,
    pub(super) slow_rate: SlowRate,
    pub(super) failure_weights: FailureWeights,
    pub(super) probe_by_copies: Option<bool>,
    pub(super) open_for: Time,
    pub(super) max_ejected: Real,
    pub(super) decay: Time,
    pub(super) overprovisioning: Real,
    pub(super) fail_closed: Option<bool>,
}

/// The rate of an endpoint that fails, on its own and beside its peers.
#[derive(Debug, Default, Deserialize)]
#[serde(
    deny_unknown_fields,
    default,
    expecting = "a table such as { ratio = 0.5 }"
)]
pub(super) struct PeerRate {
    pub(super) ratio: Real,
    pub(super) min_calls: Number,
    pub(super) window: Time,
    pub(super) above_peers: Real,
}

/// The rate of answers that are late beside those of peers.
#[derive(Debug, Default, Deserialize)]
#[serde(
    deny_unknown_fields,
    default,
    expecting = "a table such as { times = 4 }"
)]
pub(super) struct SlowRate {
    pub(super) times: Real,
    pub(super) above_peers: Real,
    pub(super) min_calls: Number,
    pub(super) window: Time,
}

/// How many failures in a row one of each kind counts for; what weighs 0 is seen by no rule.
#[derive(Debug, Default, Deserialize)]
#[serde(
    deny_unknown_fields,
    default,
    expecting = "a table such as { connect = 2 }"
)]
pub(super) struct FailureWeights {
    pub(super) connect: Number,
    pub(super) transport: Number,
    pub(super) deadline: Number,
    pub(super) answer: Number,
    pub(super) overloaded: Number,
    pub(super) body: Number,
    pub(super) panic: Number,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Check {
    pub(super) kind: Text,
    pub(super) path: Text,
    pub(super) statuses: Option<Vec<Spanned<i64>>>,
    pub(super) body_contains: Text,
    pub(super) interval: Time,
    pub(super) suspect_interval: Time,
    pub(super) timeout: Time,
    pub(super) rise: Number,
    pub(super) fall: Number,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Failover {
    pub(super) enabled: Option<bool>,
    pub(super) attempts: Number,
    pub(super) within: Time,
    pub(super) statuses: Option<Vec<Spanned<i64>>>,
    pub(super) max_body: Option<Spanned<toml::Value>>,
    pub(super) idempotency_key: Option<bool>,
    pub(super) budget: Real,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Route {
    pub(super) name: Text,
    pub(super) host: Text,
    pub(super) path_prefix: Text,
    pub(super) pool: Text,
    pub(super) upgrade: Option<Spanned<Vec<Spanned<String>>>>,
    pub(super) upgrade_idle: Time,
    pub(super) breaker: Breaker,
    pub(super) mirror: Option<Spanned<Mirror>>,
    pub(super) split: Option<Spanned<Split>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Mirror {
    pub(super) pool: Text,
    pub(super) share: Real,
    pub(super) max_in_flight: Number,
    pub(super) timeout: Time,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Split {
    pub(super) canary: Text,
    pub(super) key: Text,
    pub(super) steps: Option<Spanned<Vec<f64>>>,
    pub(super) step_for: Time,
    pub(super) min_calls: Number,
    pub(super) window: Time,
    pub(super) significance: Real,
    pub(super) above: Real,
    pub(super) min_failures: Number,
    pub(super) late_after: Time,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Breaker {
    pub(super) consecutive_failures: Number,
    pub(super) failure_rate: Option<Spanned<FailureRate>>,
    pub(super) open_for: Time,
    pub(super) probes: Number,
    pub(super) ramp: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct FailureRate {
    pub(super) ratio: Real,
    pub(super) min_calls: Number,
    pub(super) window: Time,
}
