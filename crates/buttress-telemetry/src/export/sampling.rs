//! Which traces are exported.

use opentelemetry::Context;
use opentelemetry::KeyValue;
use opentelemetry::trace::{Link, SpanKind, TraceId};
use opentelemetry_sdk::trace::{Sampler, SamplingDecision, SamplingResult, ShouldSample};

use crate::config::{Otlp, Sampling};

/// The sampler that `otlp` asks for.
pub(super) fn sampler(otlp: &Otlp) -> Box<dyn ShouldSample> {
    let Sampling {
        ratio,
        parent_based,
    } = otlp.sampling;
    let share = Sampler::TraceIdRatioBased(ratio);
    let head = if parent_based {
        Sampler::ParentBased(Box::new(share))
    } else {
        share
    };
    if otlp.tail.is_some() {
        Box::new(Recording(head))
    } else {
        Box::new(head)
    }
}

/// Records what the head sampler says no to, without sampling it: it may yet be kept.
#[derive(Clone, Debug)]
struct Recording(Sampler);

impl ShouldSample for Recording {
    fn should_sample(
        &self,
        parent: Option<&Context>,
        trace_id: TraceId,
        name: &str,
        kind: &SpanKind,
        attributes: &[KeyValue],
        links: &[Link],
    ) -> SamplingResult {
        let head = &self.0;
        let mut result = head.should_sample(parent, trace_id, name, kind, attributes, links);
        if result.decision == SamplingDecision::Drop {
            result.decision = SamplingDecision::RecordOnly;
        }
        result
    }
}
