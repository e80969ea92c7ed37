//! A breaker for each key: a host, a route, a tenant.

mod breakers;
mod handle;
mod host;
#[cfg(feature = "http")]
mod http;
mod key;
mod layer;
mod metrics;
mod plain;
mod remembered;
mod slot;

pub use breakers::{KeyedBreaker, KeyedConfig};
pub use handle::{KeyedHandle, KeyedSnapshot};
#[cfg(feature = "http")]
pub use host::ByHost;
pub use host::Host;
pub use key::{Key, KeyOf};
pub use layer::{KeyedBreakerLayer, KeyedBreakerService};
