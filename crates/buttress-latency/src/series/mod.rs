//! What durations are counted by: route, method, scheme, status and how the exchange ended.

mod ending;
mod found;
mod group;
mod kind;
mod registry;
mod route;

pub(crate) use ending::{Class, Ending, status_class};
pub(crate) use group::Group;
pub(crate) use kind::{Kind, Method, Scheme};
pub(crate) use registry::{Registry, Shared};
pub(crate) use route::Route;

use std::sync::Arc;

use buttress_core::clock::Instant;

use crate::window::{RollingRecorder, Windows};

/// The labels of a series.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    /// Empty where there is none.
    pub(crate) route: Arc<str>,
    pub(crate) kind: Kind,
    pub(crate) ending: Ending,
}

/// The durations of one set of labels.
#[derive(Debug)]
pub(crate) struct Series {
    pub(crate) key: Key,
    pub(crate) rolling: RollingRecorder,
}

impl Series {
    pub(crate) fn new(key: Key, windows: &Windows, now: Instant) -> Self {
        Self {
            key,
            rolling: RollingRecorder::new(windows, now),
        }
    }
}

// What `Bounded` asks of a key that is looked up by itself.
impl From<&Self> for Key {
    fn from(key: &Self) -> Self {
        key.clone()
    }
}
