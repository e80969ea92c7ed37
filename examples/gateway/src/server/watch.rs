//! When a connection has been silent for too long: a state machine without I/O.
//!
//! hyper's own header timer runs from the end of one response to the whole head of the next, so
//! it cannot tell an idle connection from a trickled head; it does not cover the bytes by which
//! the protocol is told, HTTP/2, or a client that takes nothing of its response. This does, with
//! one timer per connection that is touched once per request.

use tokio::time::Instant;

use super::ConnectionLimits;
use super::activity::{Seen, TURNS};

/// Watches one connection.
#[derive(Debug)]
pub(super) struct Watch {
    limits: ConnectionLimits,
    last: Seen,
    state: State,
    deadline: Instant,
    turn: u32,
    /// While exchanges are in flight over HTTP/2, where each waits for itself.
    turn_ends: Option<Instant>,
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
    /// The socket takes no more of what there is to write.
    Blocked,
    /// One of many exchanges waits for the client.
    Overdue,
}

impl Watch {
    pub(super) fn new(limits: ConnectionLimits, now: Instant) -> Self {
        let deadline = now + limits.header;
        Self {
            limits,
            last: Seen::default(),
            state: State::Opening,
            deadline,
            turn: 0,
            turn_ends: None,
        }
    }

    /// Whether a look at the counters says anything new.
    pub(super) fn is_news(&self, seen: &Seen) -> bool {
        *seen != self.last
    }

    /// Takes note of what was seen.
    ///
    /// `now` is asked only where a deadline begins. None does while the service is waited for: that
    /// wait has an end of its own, in the timeouts towards upstreams.
    pub(super) fn observe(&mut self, seen: Seen, mut now: impl FnMut() -> Instant) {
        let last = std::mem::replace(&mut self.last, seen);
        if seen.blocked {
            // What is read says nothing of what the client takes.
            if self.state != State::Blocked || seen.writes != last.writes {
                self.enter(State::Blocked, now() + self.limits.write);
            }
        } else if seen.in_flight() > 0 {
            self.state = State::Busy;
        } else if (self.was_at_work() || seen.ended != last.ended) && seen.goes_on {
            // It came while the one before was worked on.
            self.enter(State::Head, now() + self.limits.header);
        } else if self.was_at_work() || seen.ended != last.ended {
            self.enter(State::Idle, now() + self.limits.idle);
        } else if self.state == State::Opening && seen.http2 && !last.http2 {
            // The preface is complete: from here on it is a connection waiting for work.
            self.enter(State::Idle, now() + self.limits.idle);
        } else if self.state == State::Idle && seen.reads != last.reads && !seen.http2 {
            self.enter(State::Head, now() + self.limits.header);
        }
        if seen.in_flight() == 0 {
            self.turn_ends = None;
        } else if seen.http2 && self.turn_ends.is_none() {
            self.turn_ends = Some(self.end_of_turn(now()));
        }
    }

    fn enter(&mut self, state: State, deadline: Instant) {
        self.state = state;
        self.deadline = deadline;
    }

    const fn was_at_work(&self) -> bool {
        matches!(self.state, State::Busy | State::Blocked)
    }

    fn end_of_turn(&self, now: Instant) -> Instant {
        now + self.limits.write / TURNS
    }

    /// Whether the connection has to end now. If not, [`Watch::turn`] may be another.
    pub(super) fn has_expired(&mut self, now: Instant) -> bool {
        if self.turn_ends.is_some_and(|ends| ends <= now) {
            if self.last.overdue > 0 {
                self.state = State::Overdue;
                return true;
            }
            // One turn, however late it is: nobody could take anything while nobody looked.
            self.turn = self.turn.wrapping_add(1);
            self.turn_ends = Some(self.end_of_turn(now));
        }
        if now < self.deadline {
            return false;
        }
        if self.state == State::Busy {
            self.deadline = now + self.limits.write;
            return false;
        }
        true
    }

    /// The turn in which exchanges are to be counted from now on.
    pub(super) const fn turn(&self) -> u32 {
        self.turn
    }

    /// When to look again at the latest.
    pub(super) fn deadline(&self) -> Instant {
        self.turn_ends
            .map_or(self.deadline, |ends| ends.min(self.deadline))
    }

    /// Whether nothing would be lost if no further head were read.
    pub(super) const fn expects_no_head(&self) -> bool {
        !matches!(self.state, State::Opening | State::Head)
    }

    /// Whether a head has begun, the first or a later one.
    pub(super) const fn has_part_of_a_head(&self) -> bool {
        match self.state {
            State::Opening => self.last.reads > 0,
            State::Head => true,
            State::Idle | State::Busy | State::Blocked | State::Overdue => false,
        }
    }

    /// Why the connection ends, for the log.
    pub(super) const fn reason(&self) -> &'static str {
        match self.state {
            State::Opening | State::Head => "the head of a request did not come in time",
            State::Idle => "idle for too long",
            State::Busy | State::Blocked => "the client takes nothing of its response",
            State::Overdue => "the client takes nothing of one of its responses",
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
    fn a_later_head_that_began_during_the_exchange_before_is_timed_from_its_end() {
        for blocked in [false, true] {
            let mut line = Line::new();
            line.at(1, |seen| seen.started += 1);
            line.at(5, |seen| seen.blocked = blocked);
            let change = |seen: &mut Seen| {
                seen.blocked = false;
                seen.ended += 1;
                seen.reads += 1;
                seen.goes_on = true;
            };
            assert_eq!(line.at(20, change), 30);
            assert!(line.watch.has_part_of_a_head());
            assert!(line.expires_at(30));
        }
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
        for http2 in [false, true] {
            let mut line = Line::new();
            line.at(0, |seen| {
                seen.http2 = http2;
                seen.started += 1;
            });
            for second in 1..1000 {
                assert!(!line.expires_at(second));
            }
        }
    }

    #[test]
    fn a_client_whose_socket_takes_bytes_goes_on() {
        let mut line = Line::new();
        line.at(0, |seen| seen.started += 1);
        for second in (0..300).step_by(29) {
            line.at(second, |seen| {
                seen.writes += 1;
                seen.blocked = true;
            });
            assert!(!line.expires_at(second + 29));
        }
        assert!(line.expires_at(290 + 30));
    }

    #[test]
    fn what_a_client_sends_does_not_excuse_what_it_does_not_take() {
        let mut line = Line::new();
        line.at(0, |seen| seen.started += 1);
        line.at(1, |seen| seen.blocked = true);
        for second in 2..31 {
            assert_eq!(line.at(second, |seen| seen.reads += 1), 31);
            assert!(!line.expires_at(second));
        }
        assert!(line.expires_at(31));
    }

    #[test]
    fn the_rest_of_a_response_may_be_taken_slowly_after_its_body_ended() {
        let mut line = Line::new();
        line.at(0, |seen| seen.started += 1);
        line.at(1, |seen| {
            seen.ended += 1;
            seen.blocked = true;
        });
        assert_eq!(line.at(30, |seen| seen.writes += 1), 60);
        assert_eq!(line.at(31, |seen| seen.blocked = false), 91);
    }

    /// A line over HTTP/2 with requests in flight, of which one is held since the start; counts the
    /// turns as its activity would.
    fn seconds_until_overdue(mut during: impl FnMut(&mut Line, u64)) -> u64 {
        let mut line = Line::new();
        line.at(0, |seen| {
            seen.http2 = true;
            seen.started += 2;
        });
        for second in 1..100 {
            during(&mut line, second);
            line.seen.overdue = u32::from(line.watch.turn() >= TURNS);
            line.at(second, |_| ());
            if line.expires_at(second) {
                assert_eq!(line.watch.state, State::Overdue);
                return second;
            }
        }
        panic!("it is held for ever");
    }

    #[test]
    fn neither_pings_nor_other_responses_excuse_one_that_is_not_taken() {
        let quiet = seconds_until_overdue(|_, _| ());
        assert!((30..=40).contains(&quiet), "{quiet}");
        let pings = seconds_until_overdue(|line, _| line.seen.reads += 1);
        assert_eq!(pings, quiet);
        let siblings = seconds_until_overdue(|line, second| {
            line.seen.started += 1;
            line.seen.ended += 1;
            line.seen.writes += 1;
            line.seen.blocked = second.is_multiple_of(2);
        });
        assert_eq!(siblings, quiet);
    }

    #[test]
    fn a_late_look_ends_one_turn_only() {
        let mut line = Line::new();
        line.at(0, |seen| {
            seen.http2 = true;
            seen.started += 1;
        });
        assert!(!line.expires_at(1000));
        assert_eq!(line.watch.turn(), 1);
        assert!(line.watch.deadline() > line.start + Duration::from_secs(1000));
    }

    #[test]
    fn a_head_has_begun_with_its_first_byte() {
        let mut line = Line::new();
        assert!(!line.watch.has_part_of_a_head());
        line.at(1, |seen| seen.reads += 1);
        assert!(line.watch.has_part_of_a_head());
        line.at(1, |seen| seen.started += 1);
        line.at(2, |seen| seen.ended += 1);
        assert!(!line.watch.has_part_of_a_head() && line.watch.expects_no_head());
        line.at(3, |seen| seen.reads += 1);
        assert!(line.watch.has_part_of_a_head() && !line.watch.expects_no_head());
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
