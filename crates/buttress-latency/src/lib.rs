//! buttress-latency
#![cfg_attr(docsrs, feature(doc_cfg))]

mod bucket;

pub use bucket::CLASSIC_BOUNDS;
