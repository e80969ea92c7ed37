//! One exchange under way: counted in flight until it ends, recorded once when it does.

use std::sync::Arc;

use buttress_core::classify::Head;
use buttress_core::clock::Instant;
use buttress_core::outcome::Outcome;
use buttress_core::reject::Rejected;
use buttress_core::settle::Settle;
use http::StatusCode;

use crate::config::Exchange;
use crate::series::{Ending, Kind, Route};

/// An exchange that is being timed. It is recorded when it ends, however it does.
#[derive(Debug)]
pub struct Recording {
    route: Arc<Route>,
    kind: Kind,
    started: Instant,
    status: Option<StatusCode>,
    rejected: Option<&'static str>,
}

impl Recording {
    /// An exchange of `kind` on `route` begins.
    pub(crate) fn start(route: Arc<Route>, kind: Kind) -> Self {
        let started = route.shared().clock.now();
        route.group(kind).enter();
        Self {
            route,
            kind,
            started,
            status: None,
            rejected: None,
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
        let shared = self.route.shared();
        let now = shared.clock.now();
        let duration = now.saturating_since(self.started);
        let ending = Ending::of(self.kind, outcome, self.status, self.rejected);
        self.route.record(self.kind, ending, now, duration);
        if let Some(observer) = &shared.observer {
            observer.show(&Exchange {
                route: Some(&**self.route.name()).filter(|name| !name.is_empty()),
                method: self.kind.method(),
                status: self.status,
                outcome,
                error_type: ending.error_type(),
                duration,
            });
        }
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        self.route.group(self.kind).leave();
    }
}
