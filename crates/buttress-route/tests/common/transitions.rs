//! Every change of an endpoint's state that there is.

use buttress_route::EndpointState;

use EndpointState::{Active, Draining, Ejected, ForcedOut, Held, Probing};

pub type Transition = (EndpointState, EndpointState, &'static str);

/// From where to where, and by which rule.
pub const TRANSITIONS: &[Transition] = &[
    (Active, Ejected, "consecutive_failures"),
    (Active, Ejected, "failure_rate"),
    (Active, Ejected, "outlier"),
    (Active, Ejected, "slow"),
    // By the answers that were under way when it was held.
    (Held, Ejected, "consecutive_failures"),
    (Held, Ejected, "failure_rate"),
    (Held, Ejected, "outlier"),
    (Held, Ejected, "slow"),
    (Ejected, Probing, "open_time_over"),
    (Probing, Active, "probe"),
    (Probing, Ejected, "probe"),
    // It would be back, were it not for what is said of it.
    (Probing, Held, "probe"),
    (Active, Held, "health_signal"),
    (Held, Active, "health_signal"),
    (Active, Held, "active_check"),
    (Held, Active, "active_check"),
    (Active, ForcedOut, "by_hand"),
    (Ejected, ForcedOut, "by_hand"),
    (Probing, ForcedOut, "by_hand"),
    (Held, ForcedOut, "by_hand"),
    (Active, Draining, "by_hand"),
    (Ejected, Draining, "by_hand"),
    (Probing, Draining, "by_hand"),
    (Held, Draining, "by_hand"),
    (ForcedOut, Draining, "by_hand"),
    (Ejected, Active, "by_hand"),
    (Probing, Active, "by_hand"),
    (Held, Active, "by_hand"),
    (ForcedOut, Active, "by_hand"),
    (Draining, Active, "by_hand"),
    (Active, Draining, "weight"),
    (Ejected, Draining, "weight"),
    (Probing, Draining, "weight"),
    (Held, Draining, "weight"),
    (ForcedOut, Draining, "weight"),
    (Draining, Active, "weight"),
    (Draining, Ejected, "weight"),
    (Draining, Probing, "weight"),
    (Draining, Held, "weight"),
    (Draining, ForcedOut, "weight"),
    (Ejected, Active, "max_ejected"),
    (Probing, Active, "max_ejected"),
    (Held, Active, "max_ejected"),
    (Ejected, Active, "worst_first"),
    (Probing, Active, "worst_first"),
    (Ejected, Active, "capacity"),
    (Probing, Active, "capacity"),
];
