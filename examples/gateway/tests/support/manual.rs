//! A gateway whose time passes by hand.

use std::net::SocketAddr;

use buttress::core::clock::ManualClock;
use buttress_gateway::config::Config;
use buttress_gateway::gateway::Gateway;
use buttress_gateway::journal::LastVerdict;
use buttress_gateway::rooms::Rooms;
use buttress_gateway::server::Drain;
use buttress_gateway::stack::Seams;

/// A gateway on free ports, serving in the background.
pub struct OnManualClock {
    pub address: SocketAddr,
    pub admin: SocketAddr,
    pub rooms: Rooms,
    pub last: LastVerdict,
    pub time: ManualClock,
    pub drain: Drain,
}

impl OnManualClock {
    pub async fn serving(config: &str) -> Self {
        let config = Config::parse("test.toml", config).unwrap();
        let time = ManualClock::new();
        let seams = Seams {
            clock: time.clock(),
            ..Seams::default()
        };
        let drain = Drain::new();
        let gateway = Box::pin(Gateway::bind_with(&config, drain.clone(), seams));
        let gateway = gateway.await.unwrap();
        let serving = Self {
            address: gateway.address(),
            admin: gateway.admin_address(),
            rooms: gateway.rooms().clone(),
            last: gateway.last_verdict(),
            time,
            drain,
        };
        tokio::spawn(gateway.run());
        serving
    }
}
