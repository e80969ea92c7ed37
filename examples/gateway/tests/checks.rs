//! Origins are asked how they are, on real sockets.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod support;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use buttress::core::events::{Received, Subscription};
use buttress::route::{Change, EndpointState, Event};
use buttress_gateway::config::Config;
use buttress_gateway::gateway::Gateway;
use buttress_gateway::server::Drain;
use support::{bounded, exchange};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

const GET: &str = "GET /a HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";

/// An origin that says of itself what it is told to.
#[derive(Clone)]
struct Origin {
    address: SocketAddr,
    says_well: Arc<AtomicBool>,
    is_well: Arc<AtomicBool>,
    asked: Arc<AtomicUsize>,
}

impl Origin {
    async fn listen() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = Self {
            address: listener.local_addr().unwrap(),
            says_well: Arc::new(AtomicBool::new(true)),
            is_well: Arc::new(AtomicBool::new(true)),
            asked: Arc::default(),
        };
        let serving = origin.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serving.clone().answer(stream));
            }
        });
        origin
    }

    async fn answer(self, mut stream: TcpStream) {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let Ok(byte) = stream.read_u8().await else {
                return;
            };
            head.push(byte);
        }
        let well = if head.starts_with(b"GET /healthz ") {
            &self.says_well
        } else {
            self.asked.fetch_add(1, Ordering::SeqCst);
            &self.is_well
        };
        let status = if well.load(Ordering::SeqCst) {
            "200 OK"
        } else {
            "500 Internal Server Error"
        };
        let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        drop(stream.write_all(answer.as_bytes()).await);
    }
}

/// A gateway before these origins, and what it decides about them.
async fn gateway(origins: &[Origin], check: &str) -> (SocketAddr, Subscription<Event>) {
    let endpoints: Vec<_> = origins
        .iter()
        .map(|it| format!("\"{}\"", it.address))
        .collect();
    let config = format!(
        "[listen]\naddress = \"127.0.0.1:0\"\n[admin]\naddress = \"127.0.0.1:0\"\n\
         [[pool]]\nname = \"p\"\nendpoints = [{}]\n\
         [pool.failover]\nenabled = false\n[pool.check]\n{check}\n\
         [[route]]\nname = \"r\"\npath_prefix = \"/\"\npool = \"p\"\n",
        endpoints.join(", ")
    );
    let config = Config::parse("test.toml", &config).unwrap();
    let gateway = Gateway::bind(&config, Drain::new()).await.unwrap();
    let events = gateway.rooms().pool("p").unwrap().router.subscribe();
    let address = gateway.address();
    tokio::spawn(gateway.run());
    (address, events)
}

/// Waits until an endpoint enters this state, and says which rule had it.
async fn enters(events: &mut Subscription<Event>, state: EndpointState) -> String {
    bounded("an endpoint changes", async {
        loop {
            let Some(Received::Event(event)) = events.recv().await else {
                continue;
            };
            if matches!(event.change, Change::Transition { to, .. } if to == state) {
                return event.verdict.rule.to_string();
            }
        }
    })
    .await
}

#[tokio::test]
async fn an_origin_that_says_it_is_ill_takes_no_requests_until_it_says_otherwise() {
    let origins = [Origin::listen().await, Origin::listen().await];
    let check = "path = \"/healthz\"\ninterval = \"20ms\"\ntimeout = \"5s\"\nfall = 2";
    let (gateway, mut events) = gateway(&origins, check).await;
    origins[0].says_well.store(false, Ordering::SeqCst);
    assert_eq!(
        enters(&mut events, EndpointState::Held).await,
        "active_check"
    );
    let asked = origins[0].asked.load(Ordering::SeqCst);
    for _ in 0..20 {
        assert!(exchange(gateway, GET).await.starts_with("HTTP/1.1 200"));
    }
    assert_eq!(origins[0].asked.load(Ordering::SeqCst), asked);
    origins[0].says_well.store(true, Ordering::SeqCst);
    assert_eq!(
        enters(&mut events, EndpointState::Active).await,
        "active_check"
    );
}

#[tokio::test]
async fn an_origin_that_says_it_is_well_and_fails_is_thrown_out_all_the_same() {
    let origins = [Origin::listen().await, Origin::listen().await];
    let check = "path = \"/healthz\"\ninterval = \"20ms\"\ntimeout = \"5s\"";
    let (gateway, mut events) = gateway(&origins, check).await;
    origins[0].is_well.store(false, Ordering::SeqCst);
    // After its first failure few requests go there, copies among them: it takes some for the rules to see five.
    let traffic = async {
        loop {
            exchange(gateway, GET).await;
        }
    };
    let rule = tokio::select! {
        rule = enters(&mut events, EndpointState::Ejected) => rule,
        () = traffic => unreachable!("it does not end"),
    };
    assert_eq!(rule, "consecutive_failures");
}

#[tokio::test]
async fn an_origin_that_takes_no_connections_is_held_by_a_check_that_connects() {
    let gone = Origin {
        address: support::nobody().await,
        ..Origin::listen().await
    };
    let origins = [gone, Origin::listen().await];
    let (_, mut events) = gateway(&origins, "kind = \"tcp\"\ninterval = \"20ms\"").await;
    assert_eq!(
        enters(&mut events, EndpointState::Held).await,
        "active_check"
    );
}
