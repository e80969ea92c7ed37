//! What passes once an upstream agreed to go on in another protocol, and how it ends; on real sockets.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod support;

use std::future::poll_fn;
use std::task::Poll;

use buttress_gateway::server::Phase;
use support::process::{Process, Unread};
use support::upgraded::{HANDSHAKE, SWITCHING, Upgrading, ends, passes, tunnel_through};
use support::{bounded, read_until};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

#[tokio::test]
async fn bytes_pass_both_ways_with_what_either_sent_early() {
    let gateway = Upgrading::websocket("").await;
    let (sent, answer) = (format!("{HANDSHAKE}early"), format!("{SWITCHING}hello"));
    let (head, mut client, mut upstream) = gateway.answered(&sent, &answer).await;
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    assert_eq!(read_until(&mut client, "hello").await, "hello");
    assert_eq!(read_until(&mut upstream, "early").await, "early");
    // Between the head and its answer.
    let early = "and more of it than fits where it is noticed that a client is still there";
    let mut late = gateway.connect().await;
    late.write_all(HANDSHAKE.as_bytes()).await.unwrap();
    let (_, mut late_upstream) = gateway.taken().await;
    late.write_all(early.as_bytes()).await.unwrap();
    passes(&mut client, &mut upstream, b"meanwhile").await;
    late_upstream.write_all(SWITCHING.as_bytes()).await.unwrap();
    read_until(&mut late, "\r\n\r\n").await;
    assert_eq!(read_until(&mut late_upstream, early).await, early);
    for round in 0..3_u8 {
        passes(&mut client, &mut upstream, &[round, 0, 255, b'\r', b'\n']).await;
        passes(&mut upstream, &mut client, &vec![round; 40_000]).await;
    }
}

#[tokio::test]
async fn what_one_end_ends_is_ended_towards_the_other_whose_way_stays_open() {
    let gateway = Upgrading::websocket("").await;
    for client_first in [true, false] {
        let (client, upstream) = gateway.tunnel().await;
        let (mut first, mut last) = if client_first {
            (client, upstream)
        } else {
            (upstream, client)
        };
        first.write_all(b"bye").await.unwrap();
        first.shutdown().await.unwrap();
        assert_eq!(read_until(&mut last, "bye").await, "bye");
        ends(&mut last).await;
        passes(&mut last, &mut first, b"not yet").await;
        assert_eq!(gateway.tunnels(), 1);
        last.shutdown().await.unwrap();
        ends(&mut first).await;
        gateway.all_ended().await;
    }
}

#[tokio::test]
async fn where_one_vanishes_the_other_is_let_go() {
    let gateway = Upgrading::websocket("").await;
    for client_goes in [true, false] {
        let (client, upstream) = gateway.tunnel().await;
        let (gone, mut left) = if client_goes {
            (client, upstream)
        } else {
            (upstream, client)
        };
        // Closed with a reset, as where a process is killed with bytes unread.
        gone.set_zero_linger().unwrap();
        drop(gone);
        ends(&mut left).await;
        gateway.all_ended().await;
    }
    bounded("their places are given back", async {
        while gateway.connections.open() > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

/// Sends so many bytes of one value each way at once, sees those of the other come out, and ends both ways.
async fn fill(client: TcpStream, upstream: TcpStream, length: usize) {
    let mut ends = Vec::new();
    for (stream, own) in [(client, 1), (upstream, 2)] {
        let (mut read, mut write) = stream.into_split();
        ends.push(tokio::spawn(async move {
            let part = vec![own; 64 << 10];
            for _ in 0..length / part.len() {
                write.write_all(&part).await.unwrap();
            }
            write.shutdown().await.unwrap();
        }));
        ends.push(tokio::spawn(async move {
            let (mut came, mut part) = (0, vec![0; 64 << 10]);
            while let n @ 1.. = read.read(&mut part).await.unwrap() {
                assert!(part[..n].iter().all(|&byte| byte == 3 - own));
                came += n;
            }
            assert_eq!(came, length);
        }));
    }
    for end in ends {
        bounded("all of it passes", end).await.unwrap();
    }
}

/// The line that says that a tunnel has ended, under the ID in the head that its upstream saw.
async fn ended(log: &mut Unread, head: &str) -> String {
    let line = bounded("the log says that it ended", async {
        loop {
            let line = log.next_line().await.unwrap().unwrap();
            if line.contains("tunnel ended") {
                break line;
            }
        }
    })
    .await;
    let line: serde_json::Value = serde_json::from_str(&line).unwrap();
    let mut lines = head.lines();
    let id = lines.find_map(|line| line.strip_prefix("x-correlation-id: "));
    assert_eq!(line["correlation_id"].as_str(), id, "{line}");
    line.to_string()
}

#[cfg(unix)]
#[tokio::test]
async fn the_access_log_says_what_passed_through_a_tunnel_that_is_cut() {
    let upstream = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let keys = "upgrade = [\"websocket\"]\n[log]\nformat = \"json\"\naccess_log = true\n";
    let address = upstream.local_addr().unwrap();
    let (mut process, mut log) = Process::serving_unread("cut.toml", address, keys).await;
    let (mut client, mut upstream, head) = tunnel_through(process.proxy, &upstream).await;
    passes(&mut client, &mut upstream, b"12345").await;
    process.signal("TERM");
    // Two signals at once would be one.
    let drains = async { while !process.page("/health/ready").await.contains(" 503 ") {} };
    bounded("it drains", Box::pin(drains)).await;
    process.signal("TERM");
    let text = ended(&mut log, &head).await;
    for part in [
        "\"reason\":\"cut\"",
        "\"to_upstream_bytes\":5",
        "\"pool\":\"p\"",
        &format!("\"endpoint\":\"{address}\""),
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
    process.ends_well().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn much_passes_both_ways_at_once_in_little_memory_and_the_access_log_says_so() {
    const LENGTH: usize = 64 << 20;
    let upstream = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let keys = "upgrade = [\"websocket\"]\n[log]\nformat = \"json\"\naccess_log = true\n";
    let address = upstream.local_addr().unwrap();
    let (process, mut log) = Process::serving_unread("tunnel.toml", address, keys).await;
    let (client, upstream, head) = tunnel_through(process.proxy, &upstream).await;
    #[cfg(target_os = "linux")]
    let before = process.peak_memory();
    fill(client, upstream, LENGTH).await;
    #[cfg(target_os = "linux")]
    {
        let more = process.peak_memory() - before;
        assert!(more < 4 << 10, "{more} KiB more than before");
    }
    let text = ended(&mut log, &head).await;
    for part in [
        "\"route\":\"r\"",
        "\"reason\":\"closed\"",
        "\"to_upstream_bytes\":67108864",
        "\"to_client_bytes\":67108864",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
}

#[tokio::test]
async fn a_tunnel_has_its_place_among_the_connections_until_it_ends() {
    let gateway = Upgrading::websocket("max_connections = 1").await;
    let (mut client, mut upstream) = gateway.tunnel().await;
    // The kernel takes it, and the gateway does not while the tunnel is there.
    let mut waiting = gateway.connect().await;
    waiting.write_all(HANDSHAKE.as_bytes()).await.unwrap();
    for _ in 0..50 {
        passes(&mut client, &mut upstream, b"still there").await;
    }
    let came = poll_fn(|cx| Poll::Ready(gateway.upstream.poll_accept(cx).is_ready()));
    assert!(!came.await, "the next is served beside the tunnel");
    assert_eq!(gateway.connections.open(), 1);
    drop((client, upstream));
    gateway.taken().await;
}

#[tokio::test]
async fn a_tunnel_that_is_silent_for_as_long_as_its_route_says_is_ended_both_ways() {
    let keys = "upgrade = [\"websocket\"]\nupgrade_idle = \"20ms\"";
    let gateway = Upgrading::serving("", keys).await;
    let (mut client, mut upstream) = gateway.tunnel().await;
    ends(&mut client).await;
    ends(&mut upstream).await;
    gateway.all_ended().await;
    let page = gateway.metrics().await;
    let line = "buttress_gateway_tunnels_ended_total{route=\"r\",reason=\"idle\"} 1";
    assert!(page.contains(line), "{page}");
}

#[tokio::test]
async fn who_has_left_keeps_no_place_where_its_upstream_does_not_notice() {
    let gateway = Upgrading::websocket("idle_timeout = \"20ms\"").await;
    let (client, mut upstream) = gateway.tunnel().await;
    drop(client);
    // Which does not end its own way.
    ends(&mut upstream).await;
    gateway.all_ended().await;
    let page = gateway.metrics().await;
    let line = "buttress_gateway_tunnels_ended_total{route=\"r\",reason=\"idle\"} 1";
    assert!(page.contains(line), "{page}");
    drop(upstream);
}

#[tokio::test]
async fn who_takes_nothing_is_let_go_though_it_sends() {
    let gateway = Upgrading::websocket("write_timeout = \"50ms\"").await;
    let (mut client, upstream) = gateway.tunnel().await;
    let (mut read, mut write) = upstream.into_split();
    tokio::spawn(async move { while write.write_all(&[7; 4 << 10]).await.is_ok() {} });
    tokio::spawn(async move { while let Ok(1..) = read.read(&mut [0; 64]).await {} });
    bounded("it ends", async {
        while gateway.tunnels() > 0 {
            drop(client.write_all(b"x").await);
            tokio::task::yield_now().await;
        }
    })
    .await;
    let page = gateway.metrics().await;
    let line = "buttress_gateway_tunnels_ended_total{route=\"r\",reason=\"stuck\"} 1";
    assert!(page.contains(line), "{page}");
}

#[tokio::test]
async fn a_drain_lets_tunnels_go_on_until_its_deadline() {
    let keys = "lame_duck = \"1ms\"\ndrain_deadline = \"20s\"";
    let gateway = Upgrading::websocket(keys).await;
    let (mut client, mut upstream) = gateway.tunnel().await;
    let (quiet, mut quiet_upstream) = gateway.tunnel().await;
    gateway.drain.start();
    let closing = gateway.drain.reached(Phase::Closing);
    bounded("the listener closes", closing).await;
    passes(&mut client, &mut upstream, b"still there").await;
    drop(quiet);
    ends(&mut quiet_upstream).await;
    drop(quiet_upstream);
    passes(&mut upstream, &mut client, b"and so is this").await;
    assert!(!gateway.ended.is_finished());
    // Which is what the deadline does.
    gateway.drain.advance(Phase::Cut);
    ends(&mut client).await;
    ends(&mut upstream).await;
    bounded("the gateway ends", gateway.ended).await.unwrap();
    assert_eq!(gateway.connections.open(), 0);
}

#[tokio::test]
async fn a_gateway_ends_at_the_deadline_with_a_tunnel_open() {
    let keys = "lame_duck = \"1ms\"\ndrain_deadline = \"50ms\"";
    let gateway = Upgrading::websocket(keys).await;
    let (mut client, mut upstream) = gateway.tunnel().await;
    gateway.drain.start();
    ends(&mut client).await;
    ends(&mut upstream).await;
    bounded("the gateway ends", gateway.ended).await.unwrap();
}

#[tokio::test]
async fn tunnels_and_their_bytes_are_counted_by_route() {
    let gateway = Upgrading::websocket("").await;
    let (mut client, mut upstream) = gateway.tunnel().await;
    passes(&mut client, &mut upstream, b"12345").await;
    passes(&mut upstream, &mut client, b"123").await;
    let shows = async |line: &str| {
        let page = gateway.metrics().await;
        assert!(page.lines().any(|it| it == line), "{line} in {page}");
    };
    shows("buttress_gateway_tunnels{route=\"r\"} 1").await;
    shows("buttress_gateway_tunnel_bytes_total{route=\"r\",to=\"upstream\"} 5").await;
    shows("buttress_gateway_tunnel_bytes_total{route=\"r\",to=\"client\"} 3").await;
    drop(client);
    drop(upstream);
    gateway.all_ended().await;
    shows("buttress_gateway_tunnels{route=\"r\"} 0").await;
    shows("buttress_gateway_tunnels_ended_total{route=\"r\",reason=\"closed\"} 1").await;
    shows("buttress_gateway_tunnels_ended_total{route=\"r\",reason=\"cut\"} 0").await;
    shows("buttress_gateway_tunnel_duration_seconds_count{route=\"r\"} 1").await;
}
