//! When a connection has been silent for too long: a state machine without I/O.
//!
//! hyper's own header timer runs from the end of one response to the whole head of the next, so
//! it cannot tell an idle connection from a trickled head; it does not cover the bytes by which
//! the protocol is told, HTTP/2, or a client that takes nothing of its response. This does, with
//! one timer per connection that is touched once per request.

use tokio::time::Instant;

use super::ConnectionLimits;
use super::activity::Seen;

/// Watches one connection.
#[derive(Debug)]
pub(super) struct Watch {
    limits: ConnectionLimits,
    last: Seen,
    state: State,
    deadline: Instant,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// No request yet.
    Opening,
    /// A later head has begun.
    Head,
    /// No request in flight.
    Idle,
    /// Requests in flight.
    Busy,
}

impl Watch {
    pub(super) fn new(limits: ConnectionLimits, now: Instant) -> Self {
        let deadline = now + limits.header;
        Self {
            limits,
            last: Seen::default(),
            state: State::Opening,
            deadline,
        }
    }

    /// Whether a look at the counters says anything new.
    pub(super) fn is_news(&self, seen: &Seen) -> bool {
        *seen != self.last
    }

    /// Takes note of what was seen, and gives the moment at which the connection has to end unless
    /// something new is seen until then.
    ///
    /// `now` is asked only where a deadline begins. None does while the service is waited for: see
    /// [`Watch::has_expired`].
    pub(super) fn observe(&mut self, seen: Seen, now: impl FnOnce() -> Instant) -> Instant {
        let last = std::mem::replace(&mut self.last, seen);
        if seen.in_flight() > 0 {
            self.state = State::Busy;
            if seen.waiting == 0 {
                self.deadline = now() + self.limits.write;
            }
        } else if self.state == State::Busy || seen.ended != last.ended {
            self.state = State::Idle;
            self.deadline = now() + self.limits.idle;
        } else if self.state == State::Opening && seen.http2 && !last.http2 {
            // The preface is complete: from here on it is a connection waiting for work.
            self.state = State::Idle;
            self.deadline = now() + self.limits.idle;
        } else if self.state == State::Idle && seen.reads != last.reads && !seen.http2 {
            self.state = State::Head;
            self.deadline = now() + self.limits.header;
        }
        self.deadline
    }

    /// Whether the connection has to end now.
    ///
    /// While the service is waited for it does not: that wait has an end of its own, in the
    /// timeouts towards upstreams.
    pub(super) fn has_expired(&mut self, now: Instant) -> bool {
        if now < self.deadline {
            return false;
        }
        if self.state == State::Busy && self.last.waiting > 0 {
            self.deadline = now + self.limits.write;
            return false;
        }
        true
    }

    /// When to look again at the latest.
    pub(super) const fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Whether nothing would be lost if no further head were read.
    pub(super) fn expects_no_head(&self) -> bool {
        matches!(self.state, State::Idle | State::Busy)
    }

    /// Whether a later head has begun.
    pub(super) fn has_part_of_a_head(&self) -> bool {
        self.state == State::Head
    }

    /// Why the connection ends, for the log.
    pub(super) const fn reason(&self) -> &'static str {
        match self.state {
            State::Opening | State::Head => "the head of a request did not come in time",
            State::Idle => "idle for too long",
            State::Busy => "the client takes nothing of its response",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::body::now;
    use std::time::Duration;

    const LIMITS: ConnectionLimits = ConnectionLimits {
        header: Duration::from_secs(10),
        idle: Duration::from_secs(60),
        write: Duration::from_secs(30),
    };

    struct Line {
        watch: Watch,
        seen: Seen,
        start: Instant,
    }

    impl Line {
        fn new() -> Self {
            let start = now();
            Self {
                watch: Watch::new(LIMITS, start),
                seen: Seen::default(),
                start,
            }
        }

        /// Something is seen at a second; tells at which second the connection would end.
        fn at(&mut self, second: u64, change: impl FnOnce(&mut Seen)) -> u64 {
            change(&mut self.seen);
            let now = self.start + Duration::from_secs(second);
            self.watch.observe(self.seen, || now);
            (self.watch.deadline() - self.start).as_secs()
        }

        fn expires_at(&mut self, second: u64) -> bool {
            self.watch
                .has_expired(self.start + Duration::from_secs(second))
        }
    }

    #[test]
    fn a_head_trickled_from_the_start_gains_nothing() {
        let mut line = Line::new();
        for second in 1..10 {
            assert_eq!(line.at(second, |seen| seen.reads += 1), 10);
            assert!(!line.expires_at(second));
        }
        assert!(line.expires_at(10));
    }

    #[test]
    fn a_later_head_is_timed_from_its_first_byte() {
        let mut line = Line::new();
        line.at(1, |seen| seen.started += 1);
        assert_eq!(line.at(2, |seen| seen.ended += 1), 62);
        assert_eq!(line.at(50, |seen| seen.reads += 1), 60);
        assert_eq!(line.at(55, |seen| seen.reads += 1), 60);
        assert!(line.expires_at(60));
    }

    #[test]
    fn an_idle_connection_ends_and_one_in_use_goes_on() {
        let mut line = Line::new();
        for second in 0..100 {
            line.at(second, |seen| seen.started += 1);
            assert_eq!(line.at(second, |seen| seen.ended += 1), second + 60);
        }
        assert!(!line.expires_at(158));
        assert!(line.expires_at(159));
    }

    #[test]
    fn waiting_for_the_service_is_not_the_clients_fault() {
        let mut line = Line::new();
        line.at(0, |seen| {
            seen.started += 1;
            seen.waiting += 1;
        });
        assert!(!line.expires_at(1000));
        line.at(1000, |seen| seen.waiting -= 1);
        assert!(!line.expires_at(1029));
        assert!(line.expires_at(1030));
    }

    #[test]
    fn a_client_that_takes_frames_goes_on() {
        let mut line = Line::new();
        line.at(0, |seen| seen.started += 1);
        for second in (0..300).step_by(29) {
            line.at(second, |seen| seen.taken += 1);
            assert!(!line.expires_at(second + 29));
        }
    }

    #[test]
    fn an_http_2_connection_may_idle_but_pings_do_not_keep_it() {
        let mut line = Line::new();
        assert_eq!(line.at(1, |seen| seen.http2 = true), 61);
        for second in 2..60 {
            assert_eq!(line.at(second, |seen| seen.reads += 1), 61);
        }
        assert!(line.expires_at(61));
    }

    #[test]
    fn counters_may_wrap() {
        let mut line = Line::new();
        line.seen.started = u32::MAX;
        line.seen.ended = u32::MAX;
        line.at(0, |_| ());
        line.at(1, |seen| seen.started = 0);
        assert_eq!(line.seen.in_flight(), 1);
        assert_eq!(line.at(2, |seen| seen.ended = 0), 62);
    }
}
