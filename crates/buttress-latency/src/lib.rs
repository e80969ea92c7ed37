//! buttress-latency
#![cfg_attr(docsrs, feature(doc_cfg))]

mod bucket;
mod quantile;
mod recorder;
mod snapshot;
mod window;

pub use bucket::CLASSIC_BOUNDS;
pub use quantile::{Estimate, PERCENTILES, Quantile};
pub use recorder::Recorder;
pub use snapshot::Snapshot;
pub use window::{RollingRecorder, WindowSnapshot, Windows};
