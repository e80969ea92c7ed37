//! One exchange under way: counted in flight until it ends, recorded once when it does.

use std::sync::Arc;
use std::time::Duration;

use buttress_core::classify::Head;
use buttress_core::clock::Instant;
use buttress_core::outcome::Outcome;
use buttress_core::reject::Rejected;
use buttress_core::settle::Settle;
use http::StatusCode;

use crate::config::Exchange;
use crate::recorder::Sampled;
use crate::request_body::Passed;
use crate::series::{Ending, Group, Series, Shared, Switches};

/// An exchange that is being timed. It is recorded when it ends, however it does.
#[derive(Debug)]
pub struct Recording {
    /// Counts it in flight.
    group: Arc<Group>,
    started: Instant,
    /// What its caller waited, in nanoseconds, until that is recorded.
    waited: u64,
    status: Option<StatusCode>,
    rejected: Option<&'static str>,
    /// The request's trace, if it is sampled.
    trace: Option<Sampled>,
    /// When the head of the response came, if that matters; before that, when it began.
    head: Instant,
    /// The head has come, and is yet to be recorded.
    head_due: bool,
    stream: bool,
    /// How many bytes of the response's body have passed.
    sent: u64,
    /// What has passed of the request's, if that is counted.
    received: Option<Passed>,
}

impl Recording {
    /// An exchange of `group` begins, whose caller has `waited`, in `trace` if that is sampled.
    #[inline]
    pub(crate) fn start(group: &Arc<Group>, waited: Duration, trace: Option<Sampled>) -> Self {
        let started = group.shared().clock.now();
        Self {
            group: Arc::clone(group),
            started,
            waited: u64::try_from(waited.as_nanos()).unwrap_or(u64::MAX),
            status: None,
            rejected: None,
            trace,
            head: started,
            head_due: false,
            stream: false,
            sent: 0,
            received: None,
        }
    }

    /// The request's body is counted here.
    #[inline]
    pub(crate) fn count_request(&mut self, received: Option<Passed>) {
        self.received = received;
    }

    fn shared(&self) -> &Shared {
        self.group.shared()
    }

    fn ending(&self, outcome: Outcome) -> Ending {
        Ending::of(self.group.party(), outcome, self.status, self.rejected)
    }

    /// What callers see of a long-lived stream is how soon it begins.
    fn seen(&self, now: Instant) -> Duration {
        let end = if self.stream { self.head } else { now };
        end.saturating_since(self.started)
    }

    /// Records the time to the head.
    fn record_head(&self, series: &Series) {
        let duration = self.head.saturating_since(self.started);
        series
            .head
            .record(&self.shared().in_force, self.head, duration);
    }

    fn record(&self, ending: Ending, now: Instant) {
        self.group.judge(&ending, now, self.seen(now));
        let switches = self.group.switches();
        let ended = switches.has(Switches::END) && !self.stream;
        let sized = switches.has(Switches::RESPONSE_SIZES) && self.status.is_some();
        if !(ended || self.stream || self.head_due || sized || self.received.is_some()) {
            return;
        }
        let duration = now.saturating_since(self.started);
        self.group.with_series(ending, now, |series| {
            if ended {
                let clock = &self.shared().clock;
                let rolling = &series.rolling;
                rolling.record_in(self.trace, now, duration, clock);
            }
            if self.head_due {
                self.record_head(series);
            }
            if self.stream {
                let in_force = &self.shared().in_force;
                series.stream.record(in_force, now, duration);
            }
            if sized {
                series.response_sizes.record(self.sent);
            }
            if let Some(received) = &self.received {
                series.request_sizes.record(received.bytes());
            }
        });
    }

    /// Records what the caller waited, once.
    #[inline]
    fn record_waiting(&mut self, now: Instant) {
        if self.waited > 0 {
            self.group.waited(now, Duration::from_nanos(self.waited));
            self.waited = 0;
        }
    }

    #[inline]
    fn show(&self, outcome: Outcome, ending: &Ending, now: Instant) {
        if !self.group.switches().has(Switches::OBSERVED) {
            return;
        }
        // Its own: while it runs, the configuration may change.
        let observer = self.shared().in_force.get().config.observer.clone();
        let Some(observer) = observer else { return };
        observer.show(&Exchange {
            route: Some(&**self.group.route()).filter(|name| !name.is_empty()),
            method: self.group.kind().method(),
            status: self.status,
            outcome,
            error_type: ending.error_type(),
            duration: now.saturating_since(self.started),
        });
    }
}

impl Settle for Recording {
    const AT_HEAD: bool = false;

    fn head(&mut self, head: &Head<'_>) {
        self.status = Some(head.status);
        // A refusal of our own is an error by its status, or one of gRPC.
        if head.grpc || !head.status.is_success() {
            self.rejected = head
                .extensions
                .get::<Rejected>()
                .map(|rejected| rejected.reason);
        }
        let switches = self.group.switches();
        self.stream = is_stream(head, switches);
        self.head_due = switches.has(Switches::HEAD);
        if self.head_due || self.stream {
            let now = self.shared().clock.now();
            self.head = now;
            self.record_waiting(now);
        }
    }

    fn answered(&mut self) {
        // As a success of its status, whatever becomes of the body: it may take hours to end.
        if self.head_due {
            let ending = self.ending(Outcome::Success);
            let record = |series: &Series| self.record_head(series);
            self.head_due = !self.group.with_own_series(ending, self.head, record);
        }
    }

    #[inline]
    fn data(&mut self, bytes: u64) {
        self.sent = self.sent.saturating_add(bytes);
    }

    fn settle(mut self, outcome: Outcome) {
        let now = self.shared().clock.now();
        self.record_waiting(now);
        let ending = self.ending(outcome);
        self.record(ending, now);
        self.show(outcome, &ending, now);
    }
}

/// Whether what follows this head lasts until somebody has had enough of it.
#[inline]
fn is_stream(head: &Head<'_>, switches: Switches) -> bool {
    let long_lived = head.event_stream || switches.has(Switches::STREAMING);
    (long_lived && head.status.is_success()) || head.status == StatusCode::SWITCHING_PROTOCOLS
}
