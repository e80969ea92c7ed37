//! The exchange that this task is working on.

use std::sync::{Arc, OnceLock};

use buttress_core::trace_context::TraceContext;
use buttress_correlation::CorrelationId;
use http::{HeaderValue, Version};
use tracing::Span;

use super::{bridge, convention};

tokio::task_local! {
    static EXCHANGE: Exchange;
}

/// What is known of an exchange while it lasts. Made only where something reads it.
#[derive(Clone, Debug)]
pub(crate) struct Exchange(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    about: About,
    route: OnceLock<Box<str>>,
    outer: Option<Exchange>,
}

/// What is known of an exchange from its beginning.
#[derive(Debug, Default)]
pub(crate) struct About {
    /// The span, disabled where there is none.
    pub(crate) span: Option<Span>,
    /// The name of the method in the span's name.
    pub(crate) method: &'static str,
    pub(crate) correlation: Option<CorrelationId>,
    /// The trace it belongs to, recorded here or not.
    pub(crate) trace: Option<TraceContext>,
    /// The trusted headers it came with, where no span of our own replaces them.
    pub(crate) inbound: Option<Inbound>,
    /// The trusted baggage it came with.
    pub(crate) baggage: Option<HeaderValue>,
    /// Whether it is a request that is sent: what is found out inside is about somebody else's.
    pub(crate) is_sent: bool,
}

/// Trace headers to be passed on as they came.
#[derive(Clone, Debug)]
pub(crate) struct Inbound {
    pub(crate) parent: HeaderValue,
    pub(crate) state: Option<HeaderValue>,
}

impl Exchange {
    pub(crate) fn new(about: About) -> Self {
        Self(Arc::new(Inner {
            about,
            route: OnceLock::new(),
            outer: exchange(),
        }))
    }

    pub(crate) fn about(&self) -> &About {
        &self.0.about
    }

    pub(crate) fn route(&self) -> Option<&str> {
        self.0.route.get().map(AsRef::as_ref)
    }

    /// Makes this the current exchange, its span the current span and its ID the current ID, while
    /// `work` runs.
    pub(crate) fn enter<R>(&self, work: impl FnOnce() -> R) -> R {
        let about = self.about();
        EXCHANGE.sync_scope(self.clone(), || {
            with_id(about.correlation.as_ref(), || match &about.span {
                Some(span) => span.in_scope(work),
                None => work(),
            })
        })
    }

    /// The head of the answer came in `version`, which a client knows only then.
    pub(crate) fn answered(&self, version: Version) {
        let about = self.about();
        if let Some(span) = about.span.as_ref().filter(|_| about.is_sent) {
            span.record("network.protocol.version", convention::version(version));
        }
    }

    fn record_route(&self, route: &str) {
        if self.about().is_sent {
            return;
        }
        if self.0.route.set(route.into()).is_ok()
            && let Some(span) = &self.about().span
        {
            span.record("http.route", route);
            bridge::rename(span, format!("{} {route}", self.about().method));
        }
        if let Some(outer) = &self.0.outer {
            outer.record_route(route);
        }
    }

    /// The first of this exchange and those around it that `find` finds something in.
    fn first<T>(&self, find: impl Fn(&About) -> Option<T>) -> Option<T> {
        let mut exchange = Some(self);
        while let Some(this) = exchange {
            if let Some(found) = find(this.about()) {
                return Some(found);
            }
            exchange = this.0.outer.as_ref();
        }
        None
    }
}

/// Makes `id` the current one while `work` runs, unless one is current.
pub(crate) fn with_id<R>(id: Option<&CorrelationId>, work: impl FnOnce() -> R) -> R {
    match id {
        Some(id) if CorrelationId::with_current(|current| current.is_none()) => {
            id.clone().sync_scope(work)
        }
        _ => work(),
    }
}

/// Names the route of the request that is worked on here, as `/orders/{id}`: in the server's span
/// and in the access log. A route is one of a closed set, never the path. The first one counts;
/// where nobody asks it does nothing.
pub fn record_route(route: &str) {
    let _nobody = EXCHANGE.try_with(|exchange| exchange.record_route(route));
}

/// The trace of the line that is logged here: of the innermost span, or else of the exchange.
pub(crate) fn trace() -> Option<TraceContext> {
    bridge::active().or_else(|| {
        EXCHANGE
            .try_with(|exchange| exchange.about().trace)
            .ok()
            .flatten()
    })
}

/// The exchange that is worked on here.
pub(crate) fn exchange() -> Option<Exchange> {
    EXCHANGE.try_with(Clone::clone).ok()
}

/// The trusted headers that the exchange came with, if they are to be passed on.
pub(crate) fn inbound() -> Option<Inbound> {
    first(|about| about.inbound.clone())
}

/// The trusted baggage that the exchange came with.
pub(crate) fn baggage() -> Option<HeaderValue> {
    first(|about| about.baggage.clone())
}

fn first<T>(find: impl Fn(&About) -> Option<T>) -> Option<T> {
    EXCHANGE.try_with(|exchange| exchange.first(find)).ok()?
}
