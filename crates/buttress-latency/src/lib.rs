//! buttress-latency
#![cfg_attr(docsrs, feature(doc_cfg))]

mod bucket;
mod config;
mod handle;
mod layer;
mod metrics;
mod plain;
mod quantile;
mod recorder;
mod series;
mod service;
mod settle;
mod snapshot;
mod view;
mod window;

pub use bucket::CLASSIC_BOUNDS;
pub use config::{Config, Exchange};
pub use handle::LatencyHandle;
pub use layer::{LatencyLayer, RequestHead};
pub use plain::PlainFuture;
pub use quantile::{Estimate, PERCENTILES, Quantile};
pub use recorder::Recorder;
pub use service::{Latency, ResponseBody, ResponseFuture};
pub use settle::Recording;
pub use snapshot::Snapshot;
pub use view::{LatencySnapshot, Percentiles, RouteSnapshot, SeriesSnapshot};
pub use window::{RollingRecorder, WindowSnapshot, Windows};
