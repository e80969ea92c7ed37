//! What is decided, written down: a log line for each verdict, an audit record for each change of
//! state, and the last verdict kept for a reader.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use buttress::core::events::{Received, Subscription};
use buttress::core::metric::{Collect, Family, Kind, Value};
use buttress::core::verdict::{Action, Verdict};
use buttress::route::discover::{DiscoveryChange, DiscoveryEvent};
use buttress::route::split;
use buttress::telemetry::audit::{Audit, Record};
use tokio::task::JoinSet;

use crate::audit;
use crate::rooms::Rooms;

/// Listens to every breaker, split and pool from when it is made until it is dropped.
#[derive(Debug)]
pub struct Journal {
    // Dropping the set ends the listeners.
    _listeners: JoinSet<()>,
    last: LastVerdict,
    dropped: Dropped,
}

/// How many verdicts came faster than they were written, as a metric; clones show the same.
#[derive(Clone, Debug, Default)]
pub struct Dropped(Arc<AtomicU64>);

/// The last verdict of all; clones show the same.
#[derive(Clone, Debug, Default)]
pub struct LastVerdict(Arc<Mutex<Option<Said>>>);

/// What was decided, and about what.
#[derive(Clone, Debug, PartialEq)]
pub struct Said {
    /// `breaker`, `split` or `endpoint`.
    pub room: &'static str,
    /// What that is called there.
    pub name: Arc<str>,
    /// Why, and what was done.
    pub verdict: Verdict,
}

impl Journal {
    /// Begins to listen, and to record where there is an `audit`. Has to be called inside a runtime.
    pub fn start(rooms: &Rooms, audit: Option<&Audit>) -> Self {
        let (last, dropped) = (LastVerdict::default(), Dropped::default());
        let mut listeners = JoinSet::new();
        for route in rooms.routes.iter() {
            let (events, last) = (route.breaker.subscribe(), last.clone());
            let recorder = Recorder::new(audit, format!("breaker {}", route.name), &dropped);
            listeners.spawn(listen(events, recorder, move |event: &buttress::breaker::Event| {
                let verdict = &event.verdict;
                if let Some(changed) = event.transition {
                    let (from, to) = (changed.from.as_str(), changed.to.as_str());
                    tracing::info!(breaker = %event.name, from, to, %verdict, "breaker changed state");
                } else {
                    tracing::info!(breaker = %event.name, %verdict, "breaker would have opened");
                }
                last.set("breaker", &event.name, verdict);
                audit::of_breaker(event)
            }));
        }
        let splits = rooms.routes.iter().filter_map(|route| route.split.as_ref());
        for split in splits {
            let (events, last) = (split.handle.subscribe(), last.clone());
            let route = split.handle.snapshot().split;
            let recorder = Recorder::new(audit, format!("split {route}"), &dropped);
            listeners.spawn(listen(events, recorder, move |event: &split::Event| {
                let split::Event {
                    split,
                    from,
                    to,
                    verdict,
                    ..
                } = event;
                if verdict.action == Action::RolledBack {
                    tracing::warn!(%split, from, to, %verdict, "canary rolled back");
                } else {
                    tracing::info!(%split, from, to, %verdict, "canary's share changed");
                }
                last.set("split", split, verdict);
                Some(audit::of_split(event))
            }));
        }
        for pool in rooms.pools.iter() {
            let (events, last) = (pool.router.subscribe(), last.clone());
            let recorder = Recorder::new(audit, format!("pool {}", pool.name), &dropped);
            listeners.spawn(listen(events, recorder, move |event: &buttress::route::Event| {
                let verdict = &event.verdict;
                tracing::info!(pool = %event.pool, endpoint = %event.endpoint, %verdict, "endpoint judged");
                last.set("endpoint", &event.endpoint, verdict);
                audit::of_endpoint(event)
            }));
        }
        let sources = rooms
            .pools
            .iter()
            .filter_map(|pool| pool.discovery.as_ref());
        for source in sources {
            let pool = source.snapshot().pool;
            let recorder = Recorder::new(audit, format!("endpoints of pool {pool}"), &dropped);
            listeners.spawn(listen(
                source.subscribe(),
                recorder,
                |event: &DiscoveryEvent| {
                    log_discovery(event);
                    audit::of_discovery(event)
                },
            ));
        }
        Self {
            _listeners: listeners,
            last,
            dropped,
        }
    }

    /// A count of what was dropped.
    pub fn dropped(&self) -> Dropped {
        self.dropped.clone()
    }

    /// A view of the last verdict.
    pub fn last(&self) -> LastVerdict {
        self.last.clone()
    }
}

impl LastVerdict {
    /// What was decided last, if anything was.
    pub fn said(&self) -> Option<Said> {
        self.lock().clone()
    }

    fn set(&self, room: &'static str, name: &Arc<str>, verdict: &Verdict) {
        *self.lock() = Some(Said {
            room,
            name: Arc::clone(name),
            verdict: verdict.clone(),
        });
    }

    fn lock(&self) -> MutexGuard<'_, Option<Said>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Display for LastVerdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.said() {
            Some(Said {
                room,
                name,
                verdict,
            }) => write!(f, "{room} {name}: {verdict}"),
            None => f.write_str("none yet"),
        }
    }
}

impl Collect for Dropped {
    fn collect(&self, into: &mut Vec<Family>) {
        let help =
            "Events that a subscriber was too slow to take. Above 0, what it shows has gaps.";
        let labels = vec![("subscriber", "journal".into())];
        let family = Family::new("buttress_events_dropped", Kind::Counter, help);
        into.push(family.with(labels, Value::Counter(self.0.load(Relaxed))));
    }
}

fn log_discovery(event: &DiscoveryEvent) {
    let (pool, source) = (&event.pool, event.source);
    match &event.change {
        DiscoveryChange::Updated {
            joined,
            left,
            endpoints,
        } => {
            tracing::info!(%pool, source, joined, left, endpoints, "endpoints changed");
        }
        DiscoveryChange::Refused(problem) => {
            tracing::warn!(%pool, source, %problem, "endpoints stay as they were");
        }
        _ => tracing::info!(%pool, source, "endpoints are believed again"),
    }
}

/// Where the changes of one room are recorded, and what it does not tell is counted.
struct Recorder {
    audit: Option<Audit>,
    room: String,
    dropped: Dropped,
}

impl Recorder {
    fn new(audit: Option<&Audit>, room: String, dropped: &Dropped) -> Self {
        Self {
            audit: audit.cloned(),
            room,
            dropped: dropped.clone(),
        }
    }

    fn record(&self, record: Option<Record>) {
        if let (Some(audit), Some(record)) = (&self.audit, record) {
            audit.record(record);
        }
    }

    fn lagged(&self, lost: u64) {
        self.dropped.0.fetch_add(lost, Relaxed);
        tracing::warn!(lost, "verdicts came faster than they were written");
        self.record(Some(audit::of_gap(&self.room, lost)));
    }
}

async fn listen<T: Clone>(
    mut events: Subscription<T>,
    recorder: Recorder,
    mut write: impl FnMut(&T) -> Option<Record>,
) {
    while let Some(received) = events.recv().await {
        match received {
            Received::Event(event) => recorder.record(write(&event)),
            Received::Lagged(lost) => recorder.lagged(lost),
        }
    }
}
