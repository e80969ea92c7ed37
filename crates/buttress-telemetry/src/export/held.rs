//! What is held of requests that the head sampler said no to, until they have shown what they are.

use std::collections::{BTreeMap, VecDeque};

/// How many decisions are remembered for what ends after its request.
const REMEMBERED: usize = 1024;

/// What a trace costs before it holds anything, in bytes: its places in the map and in the order.
const OF_A_TRACE: usize = 256;

/// Holds spans of traces until all requests of the trace that this process serves have ended.
///
/// Bounded: over either limit the trace that has waited longest is decided by what it has shown so far.
#[derive(Debug)]
pub(crate) struct Held<S> {
    limits: Limits,
    traces: BTreeMap<u128, Trace<S>>,
    /// Oldest first; what is no longer held is skipped when its turn comes.
    order: VecDeque<(u128, u64)>,
    begun: u64,
    spans: usize,
    bytes: usize,
    decided: Decided,
}

/// How much may be held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    pub(crate) spans: usize,
    pub(crate) bytes: usize,
}

#[derive(Debug)]
struct Trace<S> {
    serial: u64,
    /// Requests of it that this process is serving.
    open: usize,
    keep: bool,
    spans: Vec<S>,
    bytes: usize,
}

/// A span that has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ended {
    pub(crate) trace: u128,
    /// Whether it is the request itself, as this process sees it.
    pub(crate) is_root: bool,
    /// Whether it is a reason to keep the trace.
    pub(crate) keep: bool,
    pub(crate) bytes: usize,
}

/// What becomes of spans.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Result<S> {
    /// These are to be exported.
    pub(crate) keep: Vec<S>,
    /// So many are not.
    pub(crate) drop: u64,
    /// So many were let go before their request had ended.
    pub(crate) evicted: u64,
}

impl<S> Default for Result<S> {
    fn default() -> Self {
        Self {
            keep: Vec::new(),
            drop: 0,
            evicted: 0,
        }
    }
}

impl<S> Held<S> {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            limits,
            traces: BTreeMap::new(),
            order: VecDeque::new(),
            begun: 0,
            spans: 0,
            bytes: 0,
            decided: Decided::default(),
        }
    }

    /// A request of `trace` has begun.
    pub(crate) fn begin(&mut self, trace: u128) -> Result<S> {
        if let Some(held) = self.traces.get_mut(&trace) {
            held.open = held.open.saturating_add(1);
            return Result::default();
        }
        let serial = self.begun;
        self.begun = self.begun.wrapping_add(1);
        let held = Trace {
            serial,
            open: 1,
            keep: self.decided.get(trace) == Some(true),
            spans: Vec::new(),
            bytes: OF_A_TRACE,
        };
        self.bytes = self.bytes.saturating_add(held.bytes);
        self.traces.insert(trace, held);
        self.order.push_back((trace, serial));
        self.keep_to_limits()
    }

    /// `span` has ended.
    pub(crate) fn end(&mut self, ended: Ended, span: S) -> Result<S> {
        let Some(held) = self.traces.get_mut(&ended.trace) else {
            return self.late(ended, span);
        };
        held.keep |= ended.keep;
        held.spans.push(span);
        held.bytes = held.bytes.saturating_add(ended.bytes);
        self.spans = self.spans.saturating_add(1);
        self.bytes = self.bytes.saturating_add(ended.bytes);
        if ended.is_root {
            held.open = held.open.saturating_sub(1);
            if held.open == 0 {
                return self.decide(ended.trace);
            }
        }
        self.keep_to_limits()
    }

    /// Goes by what was decided; where that is forgotten the span speaks for itself.
    fn late(&mut self, ended: Ended, span: S) -> Result<S> {
        let known = self.decided.get(ended.trace);
        if known == Some(true) || ended.keep {
            self.decided.set(ended.trace, true);
            return Result {
                keep: vec![span],
                ..Result::default()
            };
        }
        Result {
            drop: 1,
            ..Result::default()
        }
    }

    fn decide(&mut self, trace: u128) -> Result<S> {
        let Some(held) = self.take(trace) else {
            return Result::default();
        };
        self.decided.set(trace, held.keep);
        if held.keep {
            return Result {
                keep: held.spans,
                ..Result::default()
            };
        }
        Result {
            drop: held.spans.len() as u64,
            ..Result::default()
        }
    }

    fn take(&mut self, trace: u128) -> Option<Trace<S>> {
        let held = self.traces.remove(&trace)?;
        self.spans = self.spans.saturating_sub(held.spans.len());
        self.bytes = self.bytes.saturating_sub(held.bytes);
        // Those at the front that have been decided; each is pushed once and popped once.
        while let Some(&(oldest, serial)) = self.order.front() {
            if self.is_held(oldest, serial) {
                break;
            }
            self.order.pop_front();
        }
        if self.order.len() > 2 * self.traces.len() + REMEMBERED {
            let traces = &self.traces;
            self.order
                .retain(|(trace, serial)| traces.get(trace).is_some_and(|it| it.serial == *serial));
        }
        Some(held)
    }

    fn is_held(&self, trace: u128, serial: u64) -> bool {
        let held = self.traces.get(&trace);
        held.is_some_and(|held| held.serial == serial)
    }

    /// Lets go of what has waited longest until the rest is within its limits.
    fn keep_to_limits(&mut self) -> Result<S> {
        let mut result = Result::default();
        while self.spans > self.limits.spans || self.bytes > self.limits.bytes {
            let Some((trace, serial)) = self.order.pop_front() else {
                break;
            };
            if !self.is_held(trace, serial) {
                continue;
            }
            let Some(held) = self.take(trace) else {
                continue;
            };
            if held.keep {
                self.decided.set(trace, true);
                result.keep.extend(held.spans);
            } else {
                result.evicted = result.evicted.saturating_add(held.spans.len() as u64);
            }
        }
        result
    }
}

/// What was decided of late; the oldest is forgotten.
#[derive(Debug, Default)]
struct Decided {
    keep: BTreeMap<u128, bool>,
    order: VecDeque<u128>,
}

impl Decided {
    fn get(&self, trace: u128) -> Option<bool> {
        self.keep.get(&trace).copied()
    }

    fn set(&mut self, trace: u128, keep: bool) {
        if self.keep.insert(trace, keep).is_some() {
            return;
        }
        self.order.push_back(trace);
        if self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.keep.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PLENTY: Limits = Limits {
        spans: 1000,
        bytes: 1_000_000,
    };

    fn span(trace: u128) -> Ended {
        Ended {
            trace,
            is_root: false,
            keep: false,
            bytes: 100,
        }
    }

    fn root(trace: u128, keep: bool) -> Ended {
        Ended {
            is_root: true,
            keep,
            ..span(trace)
        }
    }

    #[test]
    fn a_request_that_gives_a_reason_is_kept_whole_and_another_is_not() {
        let mut held = Held::new(PLENTY);
        for trace in [1, 2] {
            held.begin(trace);
            assert_eq!(held.end(span(trace), "inner"), Result::default());
        }
        assert_eq!(held.end(root(1, true), "root").keep, ["inner", "root"]);
        let dropped = held.end(root(2, false), "root");
        assert_eq!((dropped.keep.len(), dropped.drop), (0, 2));
        assert_eq!((held.spans, held.bytes, held.traces.len()), (0, 0, 0));
    }

    #[test]
    fn a_reason_inside_keeps_the_request_though_it_ended_well() {
        let mut held = Held::new(PLENTY);
        held.begin(1);
        let failed = Ended {
            keep: true,
            ..span(1)
        };
        held.end(failed, "attempt");
        assert_eq!(held.end(root(1, false), "root").keep, ["attempt", "root"]);
    }

    #[test]
    fn what_ends_after_its_request_goes_where_that_went() {
        let mut held = Held::new(PLENTY);
        for (trace, keep) in [(1, true), (2, false)] {
            held.begin(trace);
            held.end(root(trace, keep), "root");
        }
        assert_eq!(held.end(span(1), "late").keep, ["late"]);
        assert_eq!(held.end(span(2), "late").drop, 1);
    }

    #[test]
    fn two_requests_of_one_trace_are_decided_together() {
        let mut held = Held::new(PLENTY);
        held.begin(1);
        held.begin(1);
        assert_eq!(held.end(root(1, false), "one"), Result::default());
        assert_eq!(held.end(root(1, true), "other").keep, ["one", "other"]);
    }

    #[test]
    fn over_the_limit_the_oldest_goes_by_what_it_has_shown() {
        let limits = Limits { spans: 2, ..PLENTY };
        let mut held = Held::new(limits);
        held.begin(1);
        held.begin(2);
        let failed = Ended {
            keep: true,
            ..span(1)
        };
        held.end(failed, "failed");
        held.end(span(2), "well");
        held.begin(3);
        assert_eq!(held.end(span(3), "next").keep, ["failed"]);
        let evicted = held.end(span(3), "more");
        assert_eq!((evicted.keep.len(), evicted.evicted), (0, 1));
        assert_eq!(held.end(root(1, false), "root").keep, ["root"]);
    }

    proptest! {
        #[test]
        fn whatever_happens_stays_within_the_limits_and_no_span_is_forgotten(
            events in proptest::collection::vec((0..8_u8, 0..40_u128, any::<bool>()), 0..400),
            spans in 1..20_usize,
            bytes in 1_000..6_000_usize,
        ) {
            let mut held = Held::new(Limits { spans, bytes });
            let (mut put, mut out) = (0_u64, 0_u64);
            for (event, trace, keep) in events {
                let result = match event {
                    0..3 => held.begin(trace),
                    3..6 => {
                        put += 1;
                        held.end(Ended { keep, ..span(trace) }, ())
                    }
                    _ => {
                        put += 1;
                        held.end(root(trace, keep), ())
                    }
                };
                out += result.keep.len() as u64 + result.drop + result.evicted;
                prop_assert!(held.spans <= spans && held.bytes <= bytes);
                let counted: usize = held.traces.values().map(|it| it.spans.len()).sum();
                let weighed: usize = held.traces.values().map(|it| it.bytes).sum();
                prop_assert_eq!((counted, weighed), (held.spans, held.bytes));
                prop_assert_eq!(put, out + held.spans as u64);
                prop_assert!(held.order.len() >= held.traces.len());
                prop_assert!(held.decided.order.len() <= REMEMBERED);
            }
        }
    }
}
