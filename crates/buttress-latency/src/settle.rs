//! One exchange under way: counted in flight until it ends, recorded once when it does.

use std::sync::Arc;

use buttress_core::classify::Head;
use buttress_core::clock::Instant;
use buttress_core::outcome::Outcome;
use buttress_core::reject::Rejected;
use buttress_core::settle::Settle;
use http::StatusCode;

use crate::config::Exchange;
use crate::recorder::Sampled;
use crate::series::{Ending, Group};

/// An exchange that is being timed. It is recorded when it ends, however it does.
#[derive(Debug)]
pub struct Recording {
    /// Counts it in flight.
    group: Arc<Group>,
    started: Instant,
    status: Option<StatusCode>,
    rejected: Option<&'static str>,
    /// The request's trace, if it is sampled.
    trace: Option<Sampled>,
}

impl Recording {
    /// An exchange of `group` begins, in `trace` if that is sampled.
    #[inline]
    pub(crate) fn start(group: &Arc<Group>, trace: Option<Sampled>) -> Self {
        Self {
            group: Arc::clone(group),
            started: group.shared().clock.now(),
            status: None,
            rejected: None,
            trace,
        }
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
    }

    fn settle(self, outcome: Outcome) {
        let shared = self.group.shared();
        let now = shared.clock.now();
        let duration = now.saturating_since(self.started);
        let kind = self.group.kind();
        let ending = Ending::of(kind, outcome, self.status, self.rejected);
        self.group.record(ending, now, duration, self.trace);
        if let Some(observer) = &shared.observer {
            observer.show(&Exchange {
                route: Some(&**self.group.route()).filter(|name| !name.is_empty()),
                method: kind.method(),
                status: self.status,
                outcome,
                error_type: ending.error_type(),
                duration,
            });
        }
    }
}
