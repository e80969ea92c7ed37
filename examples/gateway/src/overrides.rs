//! Breakers, canaries and endpoints, taken in hand while the gateway runs.

use std::sync::Arc;

use buttress::admin::{Admin, Change, Setting};
use buttress::breaker::BreakerHandle;
use buttress::core::circuit::State;
use buttress::core::verdict::By;
use buttress::route::split::{SplitHandle, Stage};

use crate::rooms::{PoolRoom, PoolView, Rooms};

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

/// Lets `admin` change each breaker, as `breaker.ROUTE`, each canary's share, as `split.ROUTE`, and each endpoint, as
/// `endpoint.POOL.ENDPOINT`. Whoever does so, and why, stands in the verdict, and so in the log and in the audit record.
pub fn offered_by(rooms: &Rooms, admin: Admin) -> Admin {
    let admin = rooms.routes.iter().fold(admin, |admin, route| {
        let (read, write) = (route.breaker.clone(), route.breaker.clone());
        admin.setting(
            format!("breaker.{}", route.name),
            move || read.snapshot().state.as_str().to_owned(),
            move |change| set_breaker(&write, change),
        )
    });
    let splits = rooms.routes.iter().filter_map(|route| route.split.as_ref());
    let admin = splits.fold(admin, |admin, split| {
        let (read, write) = (split.handle.clone(), split.handle.clone());
        admin.setting(
            format!("split.{}", read.snapshot().split),
            move || share(&read),
            move |change| set_split(&write, change),
        )
    });
    let pools = Arc::clone(&rooms.pools);
    // Endpoints come and go.
    admin.settings(move || pools.iter().flat_map(endpoints).collect())
}

fn endpoints(pool: &PoolRoom) -> Vec<Setting> {
    let all = pool.router.snapshot().endpoints.into_iter();
    all.map(|endpoint| self::endpoint(pool, endpoint.id))
        .collect()
}

fn endpoint(pool: &PoolRoom, id: Arc<str>) -> Setting {
    let (read, write) = (Arc::clone(&pool.router), Arc::clone(&pool.router));
    let (read_id, name) = (Arc::clone(&id), format!("endpoint.{}.{id}", pool.name));
    Setting::new(
        name,
        move || {
            let state = read.state(&read_id);
            state.map_or_else(String::new, |state| state.as_str().to_owned())
        },
        move |change| set_endpoint(&*write, &id, change),
    )
}

fn set_breaker(breaker: &BreakerHandle, change: &Change) -> Result<(), String> {
    let mut known = BREAKER.into_iter();
    let Some(to) = known.find(|state| state.as_str() == change.value) else {
        return Err(unknown(change, BREAKER.map(State::as_str)));
    };
    let set = breaker.on_behalf_of(by(change)).transition_to(to);
    set.map(|_changed| ()).map_err(|error| error.to_string())
}

/// What a canary can be told, beside a share.
const CANARY: [&str; 3] = ["advance", "rolled_back", "restart"];

fn share(split: &SplitHandle) -> String {
    let now = split.snapshot();
    match now.stage {
        Stage::RolledBack => now.stage.as_str().to_owned(),
        _ => now.share.to_string(),
    }
}

fn set_split(split: &SplitHandle, change: &Change) -> Result<(), String> {
    let split = split.on_behalf_of(by(change));
    let changed = match change.value.as_str() {
        "advance" => split.advance(),
        "rolled_back" => split.roll_back(),
        "restart" => split.restart(),
        share => match share.parse() {
            Ok(share) if (0.0..=1.0).contains(&share) => split.set_share(share),
            _ => {
                return Err(format!(
                    "{}, nor a share from 0 to 1",
                    unknown(change, CANARY)
                ));
            }
        },
    };
    // To be told what one is already is no mistake; to go on from the last step is.
    if changed || change.value != "advance" {
        Ok(())
    } else {
        Err("there is no step to go on to; write restart, or a share from 0 to 1".to_owned())
    }
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
