//! The stack of one pool: clients of its endpoints, those that are there at first and those that come later.

use std::sync::Arc;

use buttress::core::clock::Clock;
use buttress::core::config::ConfigError;
use buttress::correlation::Hosts;
use buttress::route::discover::{MakeEndpoint, Node};
use buttress::route::failover::FailoverLayer;
use buttress::route::{self, HealthRouter};
use http::Uri;
use http::uri::Authority;
use tower_layer::Layer as _;

use super::{Build, MakeClient, PoolStack, nothing};
use crate::checks::Client;
use crate::config::{Endpoint, Pool};
use crate::discovery;
use crate::rooms::PoolRoom;
use crate::settings;
use crate::timed::PoolTimes;
use crate::upgrade::Offers;
use crate::upstream::{Origin, OriginConfig};

impl Build {
    pub(super) fn pool<O>(
        &self,
        pool: &Pool,
        client: MakeClient<O>,
    ) -> Result<(PoolStack<O>, PoolRoom), ConfigError>
    where
        O: Client,
    {
        let config = settings::router(pool)
            .picked(self.observed)
            .clock(self.clock.clone())
            .rng(self.rng.clone());
        let times = PoolTimes::new(&pool.name);
        let clients = Clients {
            pool: pool.clone(),
            how: OriginConfig::of(pool, self.host),
            told: self.told.clone(),
            clock: self.clock.clone(),
            times: times.clone(),
            offers: self.offers.clone(),
            client,
        };
        let listed = |each: &Endpoint| clients.endpoint(each, &each.authority);
        let endpoints = pool.endpoints.iter().map(listed);
        let copies = if pool.health.probe_by_copies {
            self.spawn.clone()
        } else {
            nothing()
        };
        let router = HealthRouter::new(config, endpoints)?.hedged(copies);
        let handle = router.handle();
        if let Some(check) = &pool.check {
            O::check(&handle, check, &self.spawn)?;
        }
        let discovery = match &pool.discover {
            Some(from) => discovery::begin(&handle, from, clients, &self.spawn, self.rng.clone())?,
            None => None,
        };
        let failover = settings::failover(pool).clock(self.clock.clone());
        let failover = FailoverLayer::new(failover)?;
        let room = PoolRoom {
            name: pool.name.as_str().into(),
            spare: false,
            router: Arc::new(handle),
            failover: failover.handle(),
            times,
            upgrades: false,
            discovery,
        };
        Ok((failover.layer(router), room))
    }
}

/// Makes the clients of a pool's endpoints.
struct Clients<O> {
    pool: Pool,
    how: OriginConfig,
    /// The hosts that are told IDs.
    told: Hosts,
    clock: Clock,
    times: PoolTimes,
    offers: Offers,
    client: MakeClient<O>,
}

impl<O> Clients<O> {
    /// The endpoint that is spoken to as `called`.
    fn endpoint(&self, each: &Endpoint, called: &Authority) -> route::Endpoint<O> {
        let how = OriginConfig {
            told: self.is_told(called),
            ..self.how
        };
        let times = self.times.of(&each.address, &self.clock);
        let offers = self.offers.clone();
        let origin = Origin::called(called, &each.authority, how, times, offers);
        settings::endpoint(each, (self.client)(origin, &self.pool, each, called))
    }

    /// Whether an endpoint is told IDs and traces. Asked once: a request names it only at the end.
    fn is_told(&self, endpoint: &Authority) -> bool {
        let uri = Uri::builder()
            .scheme("http")
            .authority(endpoint.clone())
            .path_and_query("/");
        uri.build().is_ok_and(|uri| self.told.contain(&uri))
    }
}

impl<O: Client> MakeEndpoint<O> for Clients<O> {
    fn make(&self, node: &Node) -> route::Endpoint<O> {
        let found = discovery::endpoint(node);
        self.endpoint(&found, &self.pool.called(&found))
    }

    /// What the configuration or the file said at the start counts no longer; as whom it is spoken to stays.
    fn adopt(&self, known: route::Endpoint<O>) -> route::Endpoint<O> {
        known.weight(1).priority(0)
    }
}
