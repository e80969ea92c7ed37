//! Metrics as a scraper reads them: one set of integers in the form that the scraper asks for.
//!
//! | form | asked for by | content type |
//! |---|---|---|
//! | [`Format::Text`] | `text/plain;version=0.0.4`, or anything that is not below | `text/plain; version=0.0.4; charset=utf-8` |
//! | [`Format::OpenMetrics`] | `application/openmetrics-text;version=1.0.0` | `application/openmetrics-text; version=1.0.0; charset=utf-8` |
//! | [`Format::Protobuf`] (feature `protobuf`) | `application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited` | the same |
//!
//! What each form carries of the same family:
//!
//! | kind | text | OpenMetrics | protobuf |
//! |---|---|---|---|
//! | counter | `…_total` | `…_total` of a family without the suffix | `…_total` |
//! | state set | a gauge for each state | `stateset` | a gauge for each state |
//! | histogram | classic buckets | classic buckets with exemplars | classic buckets with exemplars, and the native histogram of schema 6, in one family |
//!
//! Families of one name, of several rooms or of several instances of one, become one; the order is
//! that of the first of each. Counters and histograms of the same labels are added up, and what comes and goes
//! ([`Kind::UpDown`](buttress_core::metric::Kind::UpDown)); of gauges and states the first stays. What no page can carry is a bug of the room that made it and is left
//! out, because one such line would cost the whole page: a name that Prometheus does not allow, a
//! point of another kind than its family.
//!
//! # Exemplars
//!
//! A bucket shows the latest exemplar that falls into it, with the labels `trace_id` and `span_id`.
//!
//! # State sets
//!
//! `OpenMetrics` asks that the label with the state has the name of the metric. It stands there beside the
//! label that the other forms have, so that `breaker_state{state="open"}` selects the same in each.

mod accept;
mod classic;
mod lines;
mod merged;
#[cfg(any(feature = "otlp", feature = "protobuf"))]
mod native;
#[cfg(feature = "protobuf")]
mod protobuf;
mod sample;
mod sum;
mod text;

#[cfg(feature = "otlp")]
pub(crate) use merged::{Merged, merge};
#[cfg(any(feature = "otlp", feature = "protobuf"))]
pub(crate) use native::Native;
#[cfg(feature = "otlp")]
pub(crate) use sample::{Number, Sample, samples};

use buttress_core::metric::Family;
use http::HeaderMap;

use text::Dialect;

/// A form in which metrics are served.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Format {
    /// Prometheus text, version 0.0.4, which everything that reads metrics understands.
    #[default]
    Text,
    /// `OpenMetrics` text, version 1.0.0.
    OpenMetrics,
    /// Prometheus' protobuf, each family behind its length.
    #[cfg(feature = "protobuf")]
    #[cfg_attr(docsrs, doc(cfg(feature = "protobuf")))]
    Protobuf,
}

impl Format {
    /// The form that the `Accept` of `headers` prefers: the highest `q`, and of equals protobuf before
    /// `OpenMetrics` before text. Protobuf is given only to who names it, and a wildcard is answered
    /// in text. Who accepts none of them gets text as well, as from any exporter.
    ///
    /// ```
    /// use buttress_telemetry::exposition::Format;
    /// use http::{HeaderMap, HeaderValue, header::ACCEPT};
    ///
    /// let mut headers = HeaderMap::new();
    /// assert_eq!(Format::negotiate(&headers), Format::Text);
    /// headers.insert(ACCEPT, HeaderValue::from_static(
    ///     "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
    /// ));
    /// assert_eq!(Format::negotiate(&headers), Format::OpenMetrics);
    /// ```
    pub fn negotiate(headers: &HeaderMap) -> Self {
        accept::preferred(headers)
    }

    /// The `Content-Type` of a page in this form.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            #[cfg(feature = "protobuf")]
            Self::Protobuf => {
                "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; \
                 encoding=delimited"
            }
        }
    }

    /// Writes `families` as a page.
    pub fn encode(self, families: &[Family]) -> Vec<u8> {
        match self {
            Self::Text => text(families).into_bytes(),
            Self::OpenMetrics => text::encode(families, Dialect::OpenMetrics).into_bytes(),
            #[cfg(feature = "protobuf")]
            Self::Protobuf => protobuf::encode(families),
        }
    }
}

/// Writes `families` as a page of Prometheus text, which [`Format::Text`] gives as bytes.
pub fn text(families: &[Family]) -> String {
    text::encode(families, Dialect::Prometheus)
}
