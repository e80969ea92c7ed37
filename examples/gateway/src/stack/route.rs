//! The stack of one route, over the pool that it leads to and those that take copies or a share.

use std::sync::Arc;

use buttress::breaker::Breaker;
use buttress::core::config::ConfigError;
use buttress::latency::LatencyLayer;
use buttress::route::mirror::MirrorLayer;
use buttress::route::split::SplitLayer;
use tower_layer::Layer as _;

use super::{Build, PoolStack, RouteStack};
use crate::config::{Pool, Route};
use crate::fork::Fork;
use crate::rooms::{RouteRoom, RouteSplit};
use crate::settings;
use crate::upgrade::Tunnels;

/// What splits a route's requests, and its room.
type Canary<O> = (SplitLayer<PoolStack<O>>, RouteSplit);

impl Build {
    pub(super) fn route<O>(
        &self,
        route: &Route,
        named: &[Pool],
        pools: &[PoolStack<O>],
    ) -> Result<(RouteStack<O>, RouteRoom), ConfigError> {
        let pool = pools.get(route.pool);
        let pool = pool.ok_or_else(|| ConfigError::new("route.pool", "there is no such pool"))?;
        let config = settings::breaker(&route.breaker)
            .explained(self.observed)
            .clock(self.clock.clone())
            .rng(self.rng.clone());
        let breaker = Breaker::new(route.name.as_str(), config)?;
        let shadow = route.mirror.and_then(|mirror| pools.get(mirror.pool));
        let mirror = settings::mirror(route)
            .clock(self.clock.clone())
            .rng(self.rng.clone());
        // Without one nothing is copied, and that is all it costs to ask.
        let mirror = MirrorLayer::new(mirror, shadow.unwrap_or(pool).clone(), self.spawn.clone())?;
        let (guard, time) = (
            breaker.layer(),
            LatencyLayer::new(self.latency.clone()).route(&route.name),
        );
        let (service, split) = match self.split(route, named, pools)? {
            None => {
                let guarded = guard.layer(mirror.layer(pool.clone()));
                (Fork::Whole(time.layer(guarded)), None)
            }
            Some((layer, room)) => {
                let guarded = guard.layer(mirror.layer(layer.layer(pool.clone())));
                (Fork::Split(time.layer(guarded)), Some(room))
            }
        };
        let room = RouteRoom {
            name: Arc::clone(breaker.name()),
            pool: (named.get(route.pool)).map_or_else(Arc::default, |it| it.name.as_str().into()),
            breaker: breaker.handle(),
            mirror: shadow.map(|_| mirror.handle()),
            split,
            tunnels: (route.upgrade.as_ref()).map(|_| Tunnels::new(&route.name)),
        };
        Ok((service, room))
    }

    /// The canary of a route that has one.
    fn split<O>(
        &self,
        route: &Route,
        named: &[Pool],
        pools: &[PoolStack<O>],
    ) -> Result<Option<Canary<O>>, ConfigError> {
        let Some(split) = &route.split else {
            return Ok(None);
        };
        let canary = named.get(split.canary).zip(pools.get(split.canary));
        let missing = || ConfigError::new("route.split.canary", "there is no such pool");
        let (canary, stack) = canary.ok_or_else(missing)?;
        let config = settings::split(&route.name, split)
            .clock(self.clock.clone())
            .rng(self.rng.clone());
        let layer = SplitLayer::new(config, stack.clone())?;
        let room = RouteSplit {
            canary: canary.name.as_str().into(),
            handle: layer.handle(),
        };
        Ok(Some((layer, room)))
    }
}
