//! What durations are counted by: route, method, scheme, status and how the exchange ended.

mod counted;
mod ending;
mod found;
mod group;
mod kind;
mod live;
mod rare;
mod registry;
mod route;
mod switches;

pub(crate) use counted::{Counted, UnderWay};
pub(crate) use ending::{Class, Ending, status_class};
pub(crate) use group::Group;
pub(crate) use kind::{Kind, Method, Party, Scheme};
pub(crate) use live::{InForce, Live};
pub(crate) use rare::Rare;
pub(crate) use registry::{Registry, Shared};
pub(crate) use route::Route;
pub(crate) use switches::{LiveSwitches, Switches};

use std::sync::Arc;

use buttress_core::clock::Instant;

use crate::sizes::RareSizes;
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
    /// To the end of the exchange.
    pub(crate) rolling: RollingRecorder,
    /// To the head of the response.
    pub(crate) head: Rare,
    /// To the end of a long-lived stream.
    pub(crate) stream: Rare,
    pub(crate) request_sizes: RareSizes,
    pub(crate) response_sizes: RareSizes,
}

impl Series {
    pub(crate) fn new(key: Key, windows: &Windows, now: Instant) -> Self {
        Self {
            key,
            rolling: RollingRecorder::new(windows, now),
            head: Rare::default(),
            stream: Rare::default(),
            request_sizes: RareSizes::default(),
            response_sizes: RareSizes::default(),
        }
    }
}

impl Series {
    /// From `now` on with `windows`.
    pub(crate) fn fit(&self, windows: &Windows, now: Instant) {
        self.rolling.fit(windows, now);
        self.head.fit(windows, now);
        self.stream.fit(windows, now);
    }
}

// What `Bounded` asks of a key that is looked up by itself.
impl From<&Self> for Key {
    fn from(key: &Self) -> Self {
        key.clone()
    }
}
