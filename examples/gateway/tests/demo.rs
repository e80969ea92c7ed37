//! What the demo shows of a gateway in front of its own upstreams.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod support;

use buttress::core::verdict::By;
use buttress_gateway::demo::Demo;
use buttress_gateway::gateway::Gateway;
use buttress_gateway::overrides::Told;
use buttress_gateway::server::Drain;
use support::bounded;

#[tokio::test]
async fn an_endpoint_has_the_same_name_in_the_table_and_in_the_last_verdict() {
    let demo = Demo::start().await.unwrap();
    let free = Some(([127, 0, 0, 1], 0).into());
    let config = demo.config(free, free);
    let drain = Drain::new();
    let gateway = Gateway::bind(&config, drain.clone()).await.unwrap();
    let viewer = demo.viewer(&gateway, None, drain.clone());
    let steady = demo.upstreams()[0].address();
    let pool = gateway.rooms().pool("demo").unwrap();
    assert!(
        pool.router
            .tell(&steady.to_string(), Told::ForcedOut, By::new("ann", ""))
    );
    bounded("it is told", async {
        while viewer.look().last == "none yet" {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let view = viewer.look();
    let row = &view.endpoints[0];
    assert_eq!(row.name, format!("steady {steady}"));
    assert_eq!(
        (row.state, row.cost, row.success),
        ("forced_out", None, None)
    );
    assert!(view.endpoints[1].cost.is_some());
    assert_eq!(view.last, format!("steady {steady}: set by hand by ann"));
    assert!(!view.ending);
    drain.start();
    assert!(viewer.look().ending);
}
