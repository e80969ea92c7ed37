//! One exchange under way: counted in flight until it ends, recorded once when it does.

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
use crate::series::{Counted, Ending, Series, Shared, Switches, UnderWay};
use crate::waiting::Readying;

/// An exchange that is being timed. It is recorded when it ends, however it does.
///
/// It is moved from future to body, so it is kept small.
#[derive(Debug)]
pub struct Recording {
    /// Counts it in flight.
    group: UnderWay,
    started: Instant,
    /// When the head of the response came, if that matters; before that, when it began.
    head: Instant,
    /// What most exchanges have nothing of.
    aside: Option<Box<Aside>>,
    status: Option<StatusCode>,
    /// The head has come, and is yet to be recorded.
    head_due: bool,
    stream: bool,
}

#[derive(Debug, Default)]
struct Aside {
    /// What its caller waited, until that is recorded.
    waited: Duration,
    /// What is waited inside the future.
    readying: Readying,
    rejected: Option<&'static str>,
    /// The request's trace, if it is sampled.
    trace: Option<Sampled>,
    /// How many bytes of the response's body have passed, if they are counted.
    sent: Option<u64>,
    /// Where those of the request's are counted, if they are.
    received: Option<Passed>,
}

impl Recording {
    /// An exchange of `group` begins, whose caller has `waited`, in `trace` if that is sampled.
    #[inline]
    pub(crate) fn start(group: &Counted, waited: Duration, trace: Option<Sampled>) -> Self {
        let started = group.shared().clock.now();
        let mut recording = Self {
            group: group.begin(),
            started,
            head: started,
            aside: None,
            status: None,
            head_due: false,
            stream: false,
        };
        if trace.is_some() || !waited.is_zero() {
            recording.keep(waited, trace);
        }
        recording
    }

    #[cold]
    fn keep(&mut self, waited: Duration, trace: Option<Sampled>) {
        let aside = self.aside();
        (aside.waited, aside.trace) = (waited, trace);
    }

    /// The request's body is counted here.
    pub(crate) fn count_request(&mut self, received: Passed) {
        self.aside().received = Some(received);
    }

    fn is_readying(&self) -> bool {
        let aside = self.aside.as_ref();
        aside.is_some_and(|aside| aside.readying.is_open())
    }

    #[cold]
    fn aside(&mut self) -> &mut Aside {
        self.aside.get_or_insert_default()
    }

    fn shared(&self) -> &Shared {
        self.group.shared()
    }

    fn ending(&self, outcome: Outcome) -> Ending {
        let rejected = self.aside.as_ref().and_then(|aside| aside.rejected);
        Ending::of(self.group.party(), outcome, self.status, rejected)
    }

    /// What callers see of a long-lived stream is how soon it begins.
    fn seen(&self, now: Instant) -> Duration {
        let end = if self.stream { self.head } else { now };
        end.saturating_since(self.started)
    }

    /// Records the time to a head that began well, as that of a success: whatever becomes of its body
    /// may take hours. Whether there is room for that.
    fn record_answer(&self) -> bool {
        let ending = self.ending(Outcome::Success);
        let mut found = None;
        let series = self.group.own_series(ending, self.head, &mut found);
        series.inspect(|series| self.record_head(series)).is_some()
    }

    /// Records the time to the head.
    fn record_head(&self, series: &Series) {
        let duration = self.head.saturating_since(self.started);
        series
            .head
            .record(&self.shared().in_force, self.head, duration);
    }

    /// The exchange ends in `outcome`. Called once.
    fn end(&mut self, outcome: Outcome) {
        let switches = self.group.switches();
        let now = self.shared().clock.now();
        if self.aside.is_some() {
            self.record_waiting(now);
        }
        let ending = self.ending(outcome);
        self.record(ending, now, switches);
        if switches.has(Switches::OBSERVED) {
            self.show(outcome, &ending, now);
        }
    }

    #[inline]
    fn record(&self, ending: Ending, now: Instant, switches: Switches) {
        if switches.has(Switches::OBJECTIVES) {
            self.group.judge(&ending, now, self.seen(now));
        }
        let ended = switches.has(Switches::END) && !self.stream;
        if !(ended || self.stream || self.head_due || self.aside.is_some()) {
            return;
        }
        let mut found = None;
        let series = self.group.series(ending, now, &mut found);
        if ended {
            let trace = self.aside.as_ref().and_then(|aside| aside.trace);
            let duration = now.saturating_since(self.started);
            let clock = &self.shared().clock;
            series.rolling.record_in(trace, now, duration, clock);
        }
        if self.head_due {
            self.record_head(series);
        }
        if self.stream {
            self.record_stream(series, now);
        }
        if let Some(aside) = &self.aside {
            aside.record_sizes(series);
        }
    }

    #[cold]
    fn record_stream(&self, series: &Series, now: Instant) {
        let lasted = now.saturating_since(self.started);
        series.stream.record(&self.shared().in_force, now, lasted);
    }

    /// Records what the caller waited, once.
    #[cold]
    fn record_waiting(&mut self, now: Instant) {
        if let Some(aside) = &mut self.aside {
            let before = std::mem::take(&mut aside.waited);
            let waited = before.saturating_add(aside.readying.take(now));
            if !waited.is_zero() {
                self.group.waited(now, waited);
            }
        }
    }

    #[cold]
    fn show(&self, outcome: Outcome, ending: &Ending, now: Instant) {
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
    const WAITS: bool = true;

    #[cold]
    fn readying(&mut self, waits: (u32, u32)) {
        if self.group.switches().has(Switches::WAITING) {
            let now = self.shared().clock.now();
            self.aside().readying.told(waits, now);
        }
    }

    // Inlined, for the head is in registers where it is judged.
    #[inline]
    fn head(&mut self, head: &Head<'_>) {
        self.status = Some(head.status);
        // A refusal of our own is an error by its status, or one of gRPC.
        if (head.grpc || !head.status.is_success())
            && let Some(rejected) = head.extensions.get::<Rejected>()
        {
            self.aside().rejected = Some(rejected.reason);
        }
        let switches = self.group.switches();
        if switches.has(Switches::RESPONSE_SIZES) {
            self.aside().sent = Some(0);
        }
        self.stream = is_stream(head, switches);
        self.head_due = switches.has(Switches::HEAD);
        // A wait that has not ended by now does so with the head.
        if self.head_due || self.stream || self.is_readying() {
            let now = self.shared().clock.now();
            self.head = now;
            self.record_waiting(now);
        }
    }

    #[inline]
    fn answered(&mut self) {
        if self.head_due {
            self.head_due = !self.record_answer();
        }
    }

    #[inline]
    fn data(&mut self, bytes: u64) {
        if let Some(aside) = &mut self.aside
            && let Some(sent) = &mut aside.sent
        {
            *sent = sent.saturating_add(bytes);
        }
    }

    fn settle(mut self, outcome: Outcome) {
        self.end(outcome);
    }

    #[inline]
    fn settle_in(place: &mut Option<Self>, outcome: Outcome) {
        if let Some(recording) = place {
            recording.end(outcome);
            *place = None;
        }
    }
}

impl Aside {
    fn record_sizes(&self, series: &Series) {
        if let Some(sent) = self.sent {
            series.response_sizes.record(sent);
        }
        if let Some(received) = &self.received {
            series.request_sizes.record(received.bytes());
        }
    }
}

/// Whether what follows this head lasts until somebody has had enough of it.
#[inline]
fn is_stream(head: &Head<'_>, switches: Switches) -> bool {
    let long_lived = head.event_stream || switches.has(Switches::STREAMING);
    (long_lived && head.status.is_success()) || head.status == StatusCode::SWITCHING_PROTOCOLS
}
