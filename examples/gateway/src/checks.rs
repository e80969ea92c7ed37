//! Endpoints are asked how they are, through the clients that requests take.

use std::convert::Infallible;
use std::error::Error;
use std::fmt::Debug;

use buttress::core::config::ConfigError;
use buttress::core::spawn::Spawn;
use buttress::route::RouterHandle;
use buttress::route::check::{CheckError, TcpCheck};
use http::{Request, Response};
use http_body::Body;
use tower_service::Service;

use crate::body::RequestBody;
use crate::config::PoolCheck;
use crate::settings;

/// A client of an endpoint, through which that can be checked.
pub(crate) trait Client: Clone + Debug + Send + Sync + Sized + 'static {
    /// Asks the endpoints of a pool from now on, in a task on `spawn`. Where that runs nothing nobody is asked.
    fn check(
        pool: &RouterHandle<Self>,
        check: &PoolCheck,
        spawn: &Spawn,
    ) -> Result<(), ConfigError>;
}

impl<O, R> Client for O
where
    O: Service<Request<RequestBody>, Response = Response<R>, Error = Infallible>,
    O: Clone + Debug + Send + Sync + 'static,
    O::Future: Send,
    R: Body + Send,
    R::Data: Send,
    R::Error: Into<Box<dyn Error + Send + Sync>> + Send,
{
    fn check(
        pool: &RouterHandle<Self>,
        check: &PoolCheck,
        spawn: &Spawn,
    ) -> Result<(), ConfigError> {
        let checks = settings::checks(check);
        let begun = match settings::http_check(&check.kind)? {
            Some(http) => pool.check(http, checks, spawn),
            None => pool.check(TcpCheck::new(), checks, spawn),
        };
        match begun {
            Err(CheckError::Config(refused)) => Err(refused),
            _ => Ok(()),
        }
    }
}
