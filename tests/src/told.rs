//! What a whole process says.

use std::sync::LazyLock;
use std::time::Duration;

use buttress::telemetry::{Config, Format, Guard};
use buttress_gateway::stack::Seams;
use buttress_testing::collector::{Collector, attribute};
use opentelemetry_proto::tonic::trace::v1::Span;

use crate::{Lines, Stand};

/// Longer than the last spans take to leave the process.
const PATIENCE: Duration = Duration::from_secs(30);

/// All lines of this process, at the most talkative level, and all its spans.
#[derive(Debug)]
pub struct Told {
    /// What it logs.
    pub lines: Lines,
    /// Where its spans go.
    pub collector: Collector,
    guard: Guard,
}

static TOLD: LazyLock<Told> = LazyLock::new(|| {
    let (lines, collector) = (Lines::default(), Collector::default());
    let writer = lines.clone();
    let config = Config::new("told")
        .format(Format::Json)
        .filter("trace")
        .repeats(None)
        .writer(move || writer.clone())
        .otlp(format!("http://{}", collector.listen_on_a_thread()));
    let guard = buttress::telemetry::init(config).unwrap();
    Told {
        lines,
        collector,
        guard,
    }
});

impl Told {
    /// Of this process, from the first call on.
    pub fn of_this_process() -> &'static Self {
        &TOLD
    }

    /// A gateway whose level of the log is that of this process.
    pub async fn stand(&self, config: &str) -> Stand {
        let seams = Seams {
            logs: Some(self.guard.logs()),
            ..Seams::default()
        };
        Stand::with(seams, config).await
    }

    /// Every span that has ended.
    pub async fn spans(&self) -> Vec<Span> {
        assert!(self.guard.flush(PATIENCE).await);
        self.collector.spans()
    }

    /// The spans of the request of this ID.
    pub async fn spans_of(&self, id: &str) -> Vec<Span> {
        let mut spans = self.spans().await;
        spans.retain(|span| attribute(span, "correlation_id").as_deref() == Some(id));
        spans
    }
}
