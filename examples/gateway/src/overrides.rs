//! Breakers and endpoints, taken in hand while the gateway runs.

use std::sync::Arc;

use buttress::admin::{Admin, Change};
use buttress::breaker::BreakerHandle;
use buttress::core::circuit::State;
use buttress::core::verdict::By;

use crate::rooms::{PoolView, Rooms};

/// What a breaker can be told to be: closed again, or held in a state until then.
const BREAKER: [State; 4] = [
    State::Closed,
    State::ForcedOpen,
    State::ForcedClosed,
    State::Observing,
];

/// What an endpoint can be told to be, by the names of its states.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// In again, whatever kept it out.
    Active,
    /// Out until it is told otherwise.
    ForcedOut,
    /// Out for good.
    Draining,
}

impl Told {
    const ALL: [(&'static str, Self); 3] = [
        ("active", Self::Active),
        ("forced_out", Self::ForcedOut),
        ("draining", Self::Draining),
    ];
}

/// Lets `admin` change each breaker, as `breaker.ROUTE`, and each endpoint, as `endpoint.POOL.ENDPOINT`. Whoever
/// does so, and why, stands in the verdict, and so in the log and in the audit record.
pub fn offered_by(rooms: &Rooms, admin: Admin) -> Admin {
    let admin = rooms.routes.iter().fold(admin, |admin, route| {
        let (read, write) = (route.breaker.clone(), route.breaker.clone());
        admin.setting(
            format!("breaker.{}", route.name),
            move || read.snapshot().state.as_str().to_owned(),
            move |change| set_breaker(&write, change),
        )
    });
    let pools = rooms.pools.iter();
    let endpoints = pools.flat_map(|pool| {
        let all = pool.router.snapshot().endpoints.into_iter();
        all.map(move |endpoint| (pool, endpoint.id))
    });
    endpoints.fold(admin, |admin, (pool, id)| {
        let (read, write) = (Arc::clone(&pool.router), Arc::clone(&pool.router));
        let (read_id, name) = (Arc::clone(&id), format!("endpoint.{}.{id}", pool.name));
        admin.setting(
            name,
            move || {
                let state = read.state(&read_id);
                state.map_or_else(String::new, |state| state.as_str().to_owned())
            },
            move |change| set_endpoint(&*write, &id, change),
        )
    })
}

fn set_breaker(breaker: &BreakerHandle, change: &Change) -> Result<(), String> {
    let mut known = BREAKER.into_iter();
    let Some(to) = known.find(|state| state.as_str() == change.value) else {
        return Err(unknown(change, BREAKER.map(State::as_str)));
    };
    let set = breaker.on_behalf_of(by(change)).transition_to(to);
    set.map(|_changed| ()).map_err(|error| error.to_string())
}

fn set_endpoint(pool: &dyn PoolView, id: &str, change: &Change) -> Result<(), String> {
    let mut known = Told::ALL.into_iter();
    let Some((_, told)) = known.find(|(name, _)| *name == change.value) else {
        return Err(unknown(change, Told::ALL.map(|(name, _)| name)));
    };
    if pool.tell(id, told, by(change)) {
        Ok(())
    } else {
        Err(format!("the pool has no endpoint {id}"))
    }
}

fn by(change: &Change) -> By {
    let who = change.peer.map(|peer| peer.to_string());
    let who = who.unwrap_or_else(|| "unknown".to_owned());
    By::new(who, change.why.as_str())
}

fn unknown<const N: usize>(change: &Change, known: [&str; N]) -> String {
    format!("{:?} is none of: {}", change.value, known.join(", "))
}
