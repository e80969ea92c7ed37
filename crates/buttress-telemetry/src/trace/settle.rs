//! What a span is told at the end.

use std::borrow::Cow;

use buttress_core::classify::Head;
use buttress_core::decision::{Guarded, Picked};
use buttress_core::outcome::{FailureKind, Outcome};
use buttress_core::reject::Rejected;
use buttress_core::settle::Settle;
use http::Extensions;
use tracing::Span;

use super::current::Exchange;

/// Ends the span of an exchange when the exchange ends.
#[derive(Debug)]
pub struct SpanEnd {
    pub(super) exchange: Exchange,
    pub(super) side: Side,
    pub(super) status: Option<u16>,
    pub(super) refused: Option<&'static str>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Server,
    Client,
}

impl SpanEnd {
    pub(super) const fn new(exchange: Exchange, side: Side) -> Self {
        Self {
            exchange,
            side,
            status: None,
            refused: None,
        }
    }

    /// The value of `error.type`: a closed set.
    fn error_type(&self, outcome: Outcome) -> Option<Cow<'static, str>> {
        let from = match self.side {
            Side::Server => 500,
            Side::Client => 400,
        };
        let by_status = || self.status.filter(|&status| status >= from);
        let named = match outcome {
            Outcome::Failure(FailureKind::Deadline) => "timeout",
            Outcome::Failure(FailureKind::Connect | FailureKind::Transport) => "connection",
            Outcome::Failure(FailureKind::Body) => "body",
            Outcome::Failure(FailureKind::Panic) => "panic",
            // The caller's own choice is no error of what it called.
            Outcome::Abandoned if self.side == Side::Client => return None,
            Outcome::Abandoned => "client_disconnect",
            _ if self.refused.is_some() => return self.refused.map(Cow::Borrowed),
            _ => match by_status() {
                Some(status) => return Some(status.to_string().into()),
                None if outcome.is_failure() => "_OTHER",
                None => return None,
            },
        };
        Some(named.into())
    }
}

impl Settle for SpanEnd {
    const AT_HEAD: bool = false;

    fn head(&mut self, head: &Head<'_>) {
        self.status = Some(head.status.as_u16());
        self.refused = head
            .extensions
            .get()
            .map(|rejected: &Rejected| rejected.reason);
        if let Some(span) = &self.exchange.about().span {
            span.record("http.response.status_code", i64::from(head.status.as_u16()));
            decisions(span, head.extensions);
        }
    }

    fn settle(self, outcome: Outcome) {
        let Some(span) = &self.exchange.about().span else {
            return;
        };
        span.record("buttress.outcome", outcome.as_str());
        if let Some(error) = self.error_type(outcome) {
            span.record("error.type", error.as_ref());
            span.record("otel.status_code", "ERROR");
        }
    }
}

/// What the layers further in say that they decided about the request.
fn decisions(span: &Span, said: &Extensions) {
    if let Some(picked) = said.get::<Picked>() {
        span.record("buttress.pool", &*picked.pool);
        span.record("buttress.endpoint", &*picked.endpoint);
        span.record("buttress.probe", picked.probe.then_some(true));
    }
    if let Some(guarded) = said.get::<Guarded>() {
        span.record("buttress.breaker", &*guarded.breaker);
        span.record("buttress.admission", guarded.admission.as_str());
        if let Some(verdict) = &guarded.verdict {
            span.record("buttress.verdict", verdict.to_string());
        }
    }
    if let Some(rejected) = said.get::<Rejected>() {
        span.record("buttress.rejected.by", rejected.by);
        span.record("buttress.rejected.reason", rejected.reason);
    }
}

#[cfg(test)]
mod tests {
    use super::super::current::About;
    use super::*;

    fn error(side: Side, status: Option<u16>, outcome: Outcome) -> Option<String> {
        let mut end = SpanEnd::new(Exchange::new(About::default()), side);
        end.status = status;
        end.error_type(outcome).map(Cow::into_owned)
    }

    #[test]
    fn a_status_is_an_error_from_500_for_the_server_and_from_400_for_the_client() {
        let cases = [
            (Side::Server, 404, None),
            (Side::Server, 500, Some("500")),
            (Side::Client, 302, None),
            (Side::Client, 404, Some("404")),
        ];
        for (side, status, expected) in cases {
            let found = error(side, Some(status), Outcome::Success);
            assert_eq!(found.as_deref(), expected);
        }
    }

    #[test]
    fn who_left_decides_whether_leaving_is_an_error() {
        let left = |side| error(side, Some(200), Outcome::Abandoned);
        assert_eq!(left(Side::Server).as_deref(), Some("client_disconnect"));
        assert_eq!(left(Side::Client), None);
    }

    #[test]
    fn a_failure_has_a_name_of_a_closed_set() {
        let named = |kind| error(Side::Server, None, Outcome::Failure(kind)).unwrap();
        assert_eq!(named(FailureKind::Deadline), "timeout");
        assert_eq!(named(FailureKind::Transport), "connection");
        assert_eq!(named(FailureKind::Panic), "panic");
        assert_eq!(named(FailureKind::Answer), "_OTHER");
    }
}
