//! What a source has said so far, for whoever reads.

use std::borrow::Cow;
use std::sync::{Arc, Mutex, PoisonError};

use buttress_core::clock::{Clock, Instant};
use buttress_core::events::{Events, Subscription};
use buttress_core::metric::{Collect, Family, Kind, Label, Value};

use super::source::SourceError;
use crate::background::Post;

/// A source at work for a pool: what came of it, and an end to it. Cheap to clone; dropping it ends
/// nothing.
#[derive(Clone, Debug)]
pub struct Discovery(pub(super) Arc<Record>);

#[derive(Debug)]
pub(super) struct Record {
    pool: Arc<str>,
    source: &'static str,
    clock: Clock,
    post: std::sync::Weak<Post>,
    told: Mutex<Told>,
    events: Events<DiscoveryEvent>,
}

#[derive(Debug, Default)]
struct Told {
    endpoints: usize,
    changed: u64,
    unchanged: u64,
    refused: u64,
    learned_at: Option<Instant>,
    problem: Option<SourceError>,
}

/// What a source has said so far.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DiscoverySnapshot {
    /// The pool's name.
    pub pool: Arc<str>,
    /// The source's.
    pub source: &'static str,
    /// How many endpoints it says there are.
    pub endpoints: usize,
    /// Answers that changed the pool.
    pub changed: u64,
    /// Answers that did not.
    pub unchanged: u64,
    /// Answers that failed or were not believed.
    pub refused: u64,
    /// When it last gave an answer that was believed.
    pub learned_at: Option<Instant>,
    /// What is wrong since then, if anything is.
    pub problem: Option<SourceError>,
}

/// A source said something new.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DiscoveryEvent {
    /// The pool's name.
    pub pool: Arc<str>,
    /// The source's.
    pub source: &'static str,
    /// When.
    pub at: Instant,
    /// What.
    pub change: DiscoveryChange,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DiscoveryChange {
    /// The pool has other endpoints from now on.
    Updated {
        /// So many are new.
        joined: usize,
        /// So many are gone.
        left: usize,
        /// So many there are.
        endpoints: usize,
    },
    /// The answer failed, or was refused, and the last set stays. Told once, until something else is
    /// wrong or nothing is.
    Refused(SourceError),
    /// After a refusal, an answer that was believed.
    Recovered,
}

impl Discovery {
    pub(super) fn new(
        pool: Arc<str>,
        source: &'static str,
        clock: Clock,
        post: &Arc<Post>,
    ) -> Self {
        Self(Arc::new(Record {
            pool,
            source,
            clock,
            post: Arc::downgrade(post),
            told: Mutex::default(),
            events: Events::new(),
        }))
    }

    /// What it has said so far.
    pub fn snapshot(&self) -> DiscoverySnapshot {
        let record = &*self.0;
        record.with_told(|told| DiscoverySnapshot {
            pool: Arc::clone(&record.pool),
            source: record.source,
            endpoints: told.endpoints,
            changed: told.changed,
            unchanged: told.unchanged,
            refused: told.refused,
            learned_at: told.learned_at,
            problem: told.problem.clone(),
        })
    }

    /// What it says, from now on.
    pub fn subscribe(&self) -> Subscription<DiscoveryEvent> {
        self.0.events.subscribe()
    }

    /// Ends whatever discovery is at work for the pool. The endpoints stay as they are.
    pub fn stop(&self) {
        if let Some(post) = self.0.post.upgrade() {
            post.end();
        }
    }
}

impl Record {
    /// An answer was believed, but for what is the `problem` with it; told with `joined` and `left` if it changed the
    /// pool.
    pub(super) fn learned(
        &self,
        change: Option<(usize, usize)>,
        endpoints: usize,
        problem: Option<SourceError>,
    ) {
        let now = self.clock.now();
        let recovered = self.with_told(|told| {
            told.endpoints = endpoints;
            told.learned_at = Some(now);
            match change {
                Some(_) => told.changed = told.changed.saturating_add(1),
                None => told.unchanged = told.unchanged.saturating_add(1),
            }
            problem.is_none() && told.problem.take().is_some()
        });
        if recovered {
            self.publish(now, DiscoveryChange::Recovered);
        }
        if let Some((joined, left)) = change {
            let change = DiscoveryChange::Updated {
                joined,
                left,
                endpoints,
            };
            self.publish(now, change);
        }
        if let Some(problem) = problem {
            self.refused(problem);
        }
    }

    /// An answer failed or was not believed, or a part of it.
    pub(super) fn refused(&self, problem: SourceError) {
        let news = self.with_told(|told| {
            told.refused = told.refused.saturating_add(1);
            let before = told.problem.replace(problem.clone());
            before.as_ref() != Some(&problem)
        });
        if news {
            self.publish(self.clock.now(), DiscoveryChange::Refused(problem));
        }
    }

    fn publish(&self, at: Instant, change: DiscoveryChange) {
        self.events.publish(|| DiscoveryEvent {
            pool: Arc::clone(&self.pool),
            source: self.source,
            at,
            change,
        });
    }

    fn with_told<T>(&self, with: impl FnOnce(&mut Told) -> T) -> T {
        with(&mut self.told.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Collect for Discovery {
    fn collect(&self, into: &mut Vec<Family>) {
        let now = self.snapshot();
        let labels = || -> Vec<Label> {
            let pool = ("pool", Cow::Owned(now.pool.to_string()));
            vec![pool, ("source", Cow::Borrowed(now.source))]
        };
        let help = "Answers of the source of a pool's endpoints, by what came of them; refused ones \
                    leave the endpoints as they are.";
        let mut answers = Family::new("buttress_discovery_answers", Kind::Counter, help);
        for (result, count) in [
            ("changed", now.changed),
            ("unchanged", now.unchanged),
            ("refused", now.refused),
        ] {
            let mut labels = labels();
            labels.push(("result", Cow::Borrowed(result)));
            answers.push(labels, Value::Counter(count));
        }
        let help = "Endpoints of the pool, as its source says.";
        let mut endpoints = Family::new("buttress_discovery_endpoints", Kind::Gauge, help);
        endpoints.push(labels(), Value::Gauge(now.endpoints as f64));
        let help = "Whether something is wrong with what the source said last: 1 or 0.";
        let mut failing = Family::new("buttress_discovery_failing", Kind::Gauge, help);
        let wrong = f64::from(u8::from(now.problem.is_some()));
        failing.push(labels(), Value::Gauge(wrong));
        into.extend([answers, endpoints, failing]);
    }
}
