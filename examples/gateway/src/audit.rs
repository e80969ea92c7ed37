//! The audit records of a gateway: what of it was changed, by whom and why.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use buttress::breaker;
use buttress::core::verdict::{Action, By, Verdict};
use buttress::route::discover::{DiscoveryChange, DiscoveryEvent};
use buttress::route::{self, Change, split};
use buttress::telemetry::audit::{self, Audit, Kind, Record};
use serde_json::json;

use crate::config::Config;
use crate::telemetry;

/// How long the last records may take to be written.
const FLUSH: Duration = Duration::from_secs(5);

/// A file for audit records could not be opened.
#[derive(Debug)]
pub struct AuditError {
    path: PathBuf,
    error: io::Error,
}

impl fmt::Display for AuditError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (path, error) = (self.path.display(), &self.error);
        write!(f, "audit.path: {path} cannot be written: {error}")
    }
}

impl std::error::Error for AuditError {}

/// Opens the file that the configuration names, if it does, and says what is in force.
pub fn open(config: &Config) -> Result<Option<Audit>, AuditError> {
    let Some(path) = &config.audit.path else {
        return Ok(None);
    };
    let mut told = audit::Config::new(path);
    told.max_bytes = config.audit.max_size;
    told.keep = config.audit.keep;
    told.sync = config.audit.sync;
    told.redaction = telemetry::redaction(&config.log);
    let audit = Audit::open(told).map_err(|error| AuditError {
        path: path.clone(),
        error,
    })?;
    audit.record(in_force(config));
    Ok(Some(audit))
}

/// Waits, off the workers, until what was recorded is written.
pub async fn flush(audit: Option<Audit>) {
    let Some(audit) = audit else {
        return;
    };
    let flushed = tokio::task::spawn_blocking(move || audit.flush(FLUSH)).await;
    if !flushed.unwrap_or(false) {
        tracing::warn!("audit records were not written in time");
    }
}

fn in_force(config: &Config) -> Record {
    let routes: Vec<_> = config.routes.iter().map(|route| &route.name).collect();
    let pools: serde_json::Map<_, _> = config
        .pools
        .iter()
        .map(|pool| {
            let endpoints: Vec<_> = pool.endpoints.iter().map(|it| &it.address).collect();
            (pool.name.clone(), json!(endpoints))
        })
        .collect();
    let after = json!({
        "listen": config.listen.address.to_string(),
        "admin": config.admin.address.to_string(),
        "log_level": config.log.level.as_str(),
        "routes": routes,
        "pools": pools,
    });
    Record::new(Kind::Configuration, "gateway")
        .who("whoever started the process")
        .why("started")
        .change(serde_json::Value::Null, after)
}

/// The record of a breaker's change of state, if it is one.
pub(crate) fn of_breaker(event: &breaker::Event) -> Option<Record> {
    let changed = event.transition?;
    let subject = format!("breaker {}", event.name);
    let states = (changed.from.as_str(), changed.to.as_str());
    Some(of_verdict(subject, &event.verdict, states))
}

/// The record of an endpoint's change of state, if it is one.
pub(crate) fn of_endpoint(event: &route::Event) -> Option<Record> {
    let Change::Transition { from, to } = event.change else {
        return None;
    };
    let subject = format!("endpoint {} of pool {}", event.endpoint, event.pool);
    Some(of_verdict(
        subject,
        &event.verdict,
        (from.as_str(), to.as_str()),
    ))
}

/// The record of a change of a canary's share.
pub(crate) fn of_split(event: &split::Event) -> Record {
    let subject = format!("split {}", event.split);
    let shares = (event.from.to_string(), event.to.to_string());
    of_verdict(subject, &event.verdict, (&shares.0, &shares.1))
}

/// The record of a change of a pool's endpoints, if it is one.
pub(crate) fn of_discovery(event: &DiscoveryEvent) -> Option<Record> {
    let DiscoveryChange::Updated {
        joined,
        left,
        endpoints,
    } = event.change
    else {
        return None;
    };
    let before = (endpoints + left).saturating_sub(joined);
    let record = Record::new(
        Kind::Configuration,
        format!("endpoints of pool {}", event.pool),
    );
    let record = record
        .who(format!("source {}", event.source))
        .why(format!("{joined} joined, {left} left"));
    Some(record.change(before, endpoints))
}

/// What was missed between two events.
pub(crate) fn of_gap(subject: &str, lost: u64) -> Record {
    Record::new(Kind::Gap, subject).who("gateway").why(format!(
        "{lost} changes came faster than they were recorded"
    ))
}

fn of_verdict(subject: String, verdict: &Verdict, (from, to): (&str, &str)) -> Record {
    let record = match (&verdict.action, verdict.by.as_deref()) {
        (Action::Forced, Some(By { who, why, .. })) => Record::new(Kind::Override, subject)
            .who(who.as_str())
            .why(why.as_str()),
        (Action::Forced, None) => Record::new(Kind::Override, subject)
            .who("by hand")
            .why(verdict.to_string()),
        _ => Record::new(Kind::Transition, subject)
            .who(format!("rule {}", verdict.rule))
            .why(verdict.to_string()),
    };
    record.change(from, to)
}
