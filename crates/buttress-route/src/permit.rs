//! What a request holds of its endpoint, and gives back once.

use std::sync::Arc;
use std::time::Duration;

use buttress_core::circuit::Ticket;
use buttress_core::classify::Head;
use buttress_core::clock::{Clock, Instant};
use buttress_core::outcome::Outcome;
use buttress_core::settle::Settle;
use http::header::RETRY_AFTER;
use http::{HeaderMap, StatusCode};

use crate::slot::Slot;
use crate::state::Call;

/// [`Permit::silent_after`] of a body that comes, or has not said how long it is.
const FLOWS: u32 = u32::MAX;
/// A body that has been silent for so long stalls: whoever leaves it has waited in vain, and a copy of a request says
/// nothing good of the endpoint. A shorter silence is a pause of a body that is paced.
const STALL: Duration = Duration::from_millis(500);

/// A request's place at its endpoint. Given back with the outcome on every exit there is.
///
/// Every layer outside moves it about with the response's body, so it is kept small.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is true or not whatever the others are"
)]
#[derive(Debug)]
pub struct Permit {
    slot: Arc<Slot>,
    ticket: Ticket,
    picked_at: Instant,
    /// When the head of the answer came; [`Instant::NEVER`] if it has not.
    heard_at: Instant,
    /// Milliseconds from then to when the body, which had said how long it is, fell silent; [`FLOWS`] if it has not.
    silent_after: u32,
    /// Seconds for which the upstream asked to be left alone; mostly 0, which asks for nothing.
    asked: u32,
    called: bool,
    /// The answer is that of a limit.
    limited: bool,
    /// The answer has begun, and well.
    answered: bool,
    /// The answer ended a silence of which others speak as well, and that is not told yet.
    ended_silence: bool,
    /// Nobody waits for the answer.
    copy: bool,
    /// Somebody does, of a probe that should have been a copy.
    in_place_of_copy: bool,
}

impl Permit {
    pub(crate) const fn new(slot: Arc<Slot>, ticket: Ticket, picked_at: Instant) -> Self {
        Self {
            slot,
            ticket,
            picked_at,
            heard_at: Instant::NEVER,
            silent_after: FLOWS,
            asked: 0,
            called: true,
            limited: false,
            answered: false,
            ended_silence: false,
            copy: false,
            in_place_of_copy: false,
        }
    }

    /// The endpoint never became ready.
    pub(crate) const fn never_called(&mut self) {
        self.called = false;
    }

    /// The request is a copy, whose answer is read as far as it says anything.
    pub(crate) const fn is_of_a_copy(&mut self) {
        self.copy = true;
    }

    /// The request is a user's, because there was none to copy, or nobody who runs copies.
    pub(crate) const fn is_in_place_of_a_copy(&mut self) {
        self.in_place_of_copy = true;
    }

    pub(crate) fn endpoint(&self) -> &Arc<str> {
        self.slot.id()
    }

    /// The call has ended. To be said once.
    pub(crate) fn end(&self, outcome: Outcome) {
        let now = self.slot.clock().now();
        let heard = self.heard_at != Instant::NEVER;
        if matches!(outcome, Outcome::Success | Outcome::Slow) {
            self.tell_of_silence(now);
        }
        let stalled = self.stalled(now);
        let outcome = match outcome {
            // Read as far as was wanted.
            Outcome::Abandoned if self.copy && self.answered && stalled.is_none() => {
                Outcome::Success
            }
            outcome => outcome,
        };
        let call = Call {
            ticket: &self.ticket,
            outcome,
            latency: heard.then(|| self.elapsed(self.heard_at)),
            took: self.elapsed(now),
            stalled,
            called: self.called,
            limited: self.limited,
            copy: self.copy,
            in_place_of_copy: self.in_place_of_copy,
            retry_after: (self.asked > 0).then(|| Duration::from_secs(self.asked.into())),
        };
        self.slot.settle(&call, now);
    }

    /// The endpoint has answered.
    pub(crate) fn heard(&mut self) {
        self.heard_at = self.slot.clock().now();
        self.ended_silence = self.slot.heard(self.heard_at);
    }

    /// The answer is good. Of what has no head it comes as the call ends.
    #[inline]
    fn tell_of_silence(&self, now: Instant) {
        let (ended_silence, at) = if self.heard_at == Instant::NEVER {
            (self.slot.heard(now), now)
        } else {
            (self.ended_silence, self.heard_at)
        };
        if ended_silence {
            self.slot.others_are_as_late(self.elapsed(at), now);
        }
    }

    pub(crate) fn clock(&self) -> &Clock {
        self.slot.clock()
    }

    /// For how long more of the body has been waited for, if it stalls.
    fn stalled(&self, now: Instant) -> Option<Duration> {
        let after = Duration::from_millis(self.silent_after.into());
        let since = self.heard_at.saturating_add(after);
        let silence = now.saturating_since(since);
        (self.silent_after != FLOWS && silence >= STALL).then_some(silence)
    }

    fn elapsed(&self, now: Instant) -> Duration {
        now.saturating_since(self.picked_at)
    }
}

impl Settle for Permit {
    fn answered(&mut self) {
        self.answered = true;
        // What comes of the body says nothing more of it, and may be long in coming.
        if std::mem::take(&mut self.ended_silence) {
            self.slot
                .others_are_as_late(self.elapsed(self.heard_at), self.heard_at);
        }
        if self.ticket.is_probe() {
            self.slot
                .probe_answered(&self.ticket, self.slot.clock().now());
        }
    }

    #[inline]
    fn data(&mut self, _: u64) {
        self.silent_after = FLOWS;
    }

    fn awaited(&mut self) {
        if self.silent_after == FLOWS {
            let heard_for = self.slot.clock().now().saturating_since(self.heard_at);
            let millis = u32::try_from(heard_for.as_millis()).unwrap_or(FLOWS);
            self.silent_after = millis.saturating_add(1).min(FLOWS - 1);
        }
    }

    #[inline]
    fn head(&mut self, head: &Head<'_>) {
        self.heard();
        if self.slot.heeds_reports() {
            self.slot.hear_report(head.headers, self.heard_at);
        }
        self.limited = head.status == StatusCode::TOO_MANY_REQUESTS;
        if self.limited || head.status == StatusCode::SERVICE_UNAVAILABLE {
            let seconds = head
                .headers
                .get(RETRY_AFTER)
                .and_then(|it| it.to_str().ok());
            let seconds = seconds.and_then(|it| it.trim().parse().ok());
            let seconds = seconds.map(|seconds: u64| u32::try_from(seconds).unwrap_or(u32::MAX));
            self.asked = seconds.unwrap_or(0);
        }
    }

    fn trailers(&mut self, trailers: &HeaderMap) {
        if self.slot.heeds_reports() {
            let now = self.slot.clock().now();
            self.slot.hear_report(trailers, now);
        }
    }

    fn settle(self, outcome: Outcome) {
        self.end(outcome);
    }
}
