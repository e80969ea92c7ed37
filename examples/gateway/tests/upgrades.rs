//! A handshake for another protocol: which one passes, and what comes back; on real sockets.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod support;

use buttress_gateway::server::Phase;
use support::upgraded::{GET, HANDSHAKE, OK, SWITCHING, Upgrading, passes};
use support::{Upstream, bounded, nobody, read_until};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;

#[tokio::test]
async fn a_handshake_goes_on_in_the_gateways_words_with_an_id_that_both_ends_see() {
    let gateway = Upgrading::websocket("").await;
    let mut client = gateway.connect().await;
    let sent = HANDSHAKE.replace(
        "connection: Upgrade\r\n",
        "connection: upgrade, x-correlation-id, x-mine\r\nx-mine: 1\r\nx-kept: 1\r\n",
    );
    client.write_all(sent.as_bytes()).await.unwrap();
    let (head, mut upstream) = gateway.taken().await;
    for line in [
        "connection: upgrade",
        "upgrade: websocket",
        "sec-websocket-key: dghlihnhbxbszsbub25jzq==",
        "sec-websocket-version: 13",
        "x-kept: 1",
    ] {
        let lines = head.lines().filter(|it| *it == line);
        assert_eq!(lines.count(), 1, "{line} in {head}");
    }
    assert!(!head.contains("x-mine"), "{head}");
    let switching = SWITCHING.replace(
        "connection: Upgrade\r\n",
        "connection: upgrade, x-hop\r\nx-hop: 1\r\nkeep-alive: 5\r\ncontent-length: 0\r\n",
    );
    upstream.write_all(switching.as_bytes()).await.unwrap();
    let answer = read_until(&mut client, "\r\n\r\n").await;
    let answer = answer.to_ascii_lowercase();
    assert!(!answer.contains("x-hop") && !answer.contains("keep-alive"));
    let id = |head: &str| {
        let mut lines = head.lines();
        let line = lines.find(|line| line.starts_with("x-correlation-id: "));
        line.unwrap().to_owned()
    };
    assert_eq!(id(&answer), id(&head));
    for line in [
        "http/1.1 101 switching protocols",
        "connection: upgrade",
        "upgrade: websocket",
        "sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo=",
    ] {
        let lines = answer.lines().filter(|it| *it == line);
        assert_eq!(lines.count(), 1, "{line} in {answer}");
    }
    assert!(!answer.contains("content-length") && !answer.contains("transfer-encoding"));
}

#[tokio::test]
async fn any_other_answer_passes_and_both_connections_go_on() {
    let gateway = Upgrading::websocket("").await;
    let refused = "HTTP/1.1 403 Forbidden\r\nx-why: no\r\ncontent-length: 5\r\n\r\nnever";
    let (head, mut client, mut upstream) = gateway.answered(HANDSHAKE, refused).await;
    assert!(head.starts_with("HTTP/1.1 403 ") && head.contains("x-why: no"));
    assert_eq!(read_until(&mut client, "never").await, "never");
    for asked in [GET, HANDSHAKE] {
        client.write_all(asked.as_bytes()).await.unwrap();
        let head = read_until(&mut upstream, "\r\n\r\n").await;
        assert_eq!(head.contains("websocket"), asked == HANDSHAKE, "{head}");
        upstream.write_all(OK.as_bytes()).await.unwrap();
        assert!(read_until(&mut client, "ok").await.contains(" 200 "));
    }
    client.write_all(HANDSHAKE.as_bytes()).await.unwrap();
    read_until(&mut upstream, "\r\n\r\n").await;
    upstream.write_all(SWITCHING.as_bytes()).await.unwrap();
    let answer = read_until(&mut client, "\r\n\r\n").await;
    assert!(answer.contains(" 101 "), "{answer}");
    passes(&mut client, &mut upstream, b"at last").await;
}

#[tokio::test]
async fn what_is_no_handshake_that_the_route_lets_pass_goes_on_without_one() {
    let silent = Upgrading::serving("", "").await;
    let websocket = Upgrading::websocket("").await;
    let other = Upgrading::serving("", "upgrade = [\"chat/2.0\"]").await;
    let get = "GET / HTTP/1.1\r\nhost: a\r\n";
    let asks = "connection: upgrade\r\nupgrade: websocket\r\n";
    let table = [
        (&silent, format!("{get}{asks}\r\n")),
        (&other, format!("{get}{asks}\r\n")),
        (&websocket, format!("{get}upgrade: websocket\r\n\r\n")),
        (&websocket, format!("{get}connection: upgrade\r\n\r\n")),
        (&websocket, format!("{get}{asks}upgrade: websocket\r\n\r\n")),
        (
            &websocket,
            format!("{get}connection: upgrade\r\nupgrade: websocket, h2c\r\n\r\n"),
        ),
        (
            &websocket,
            format!(
                "{get}connection: upgrade, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: AA\r\n\r\n"
            ),
        ),
        (
            &websocket,
            format!("{get}{asks}content-length: 2\r\n\r\nhi"),
        ),
        (
            &websocket,
            format!("POST / HTTP/1.1\r\nhost: a\r\n{asks}content-length: 0\r\n\r\n"),
        ),
        // It is to end, and so cannot go on.
        (
            &websocket,
            format!("{get}connection: close, upgrade\r\nupgrade: websocket\r\n\r\n"),
        ),
        (&websocket, format!("{get}{asks}connection: Close\r\n\r\n")),
        (
            &websocket,
            format!("GET / HTTP/1.0\r\nhost: a\r\n{asks}\r\n"),
        ),
    ];
    for (gateway, sent) in table {
        let mut client = gateway.connect().await;
        client.write_all(sent.as_bytes()).await.unwrap();
        let (head, mut upstream) = gateway.taken().await;
        assert!(!head.contains("upgrade"), "{sent:?} went on as {head:?}");
        // And so a `101` is nobody's wish.
        upstream.write_all(SWITCHING.as_bytes()).await.unwrap();
        let answer = read_until(&mut client, "\r\n\r\n").await;
        assert!(answer.contains(" 502 "), "{sent:?} is answered {answer:?}");
    }
}

#[tokio::test]
async fn an_answer_that_names_another_protocol_or_none_is_no_answer() {
    let gateway = Upgrading::websocket("").await;
    let status = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\n";
    for named in [
        "upgrade: h2c\r\n",
        "",
        "upgrade: websocket, h2c\r\n",
        "upgrade: websocket\r\nupgrade: websocket\r\n",
    ] {
        let answer = format!("{status}{named}\r\nsmuggled");
        let (head, ..) = gateway.answered(HANDSHAKE, &answer).await;
        assert!(head.starts_with("HTTP/1.1 502 "), "{named}: {head}");
    }
    // Before HTTP/1.1 there is none.
    let answer = SWITCHING.replace("HTTP/1.1", "HTTP/1.0");
    let (head, ..) = gateway.answered(HANDSHAKE, &answer).await;
    assert!(head.starts_with("HTTP/1.1 502 "), "{head}");
    assert_eq!(gateway.tunnels(), 0);
}

#[tokio::test]
async fn an_endpoint_that_changes_to_another_protocol_has_failed_and_another_is_asked() {
    let other = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let gateway = Upgrading::beside(
        "",
        "upgrade = [\"websocket\"]",
        "failover = { attempts = 2 }",
        &[other.local_addr().unwrap()],
    )
    .await;
    let wrong = SWITCHING.replace("websocket", "h2c");
    for _ in 0..3 {
        let mut client = gateway.connect().await;
        client.write_all(HANDSHAKE.as_bytes()).await.unwrap();
        let (mut first, other_first) = bounded("the gateway connects", async {
            tokio::select! {
                it = other.accept() => (it.unwrap().0, true),
                it = gateway.upstream.accept() => (it.unwrap().0, false),
            }
        })
        .await;
        read_until(&mut first, "\r\n\r\n").await;
        first.write_all(wrong.as_bytes()).await.unwrap();
        let then = if other_first {
            &gateway.upstream
        } else {
            &other
        };
        let then = bounded("the other is asked", then.accept()).await;
        let mut then = then.unwrap().0;
        read_until(&mut then, "\r\n\r\n").await;
        then.write_all(SWITCHING.as_bytes()).await.unwrap();
        let answer = read_until(&mut client, "\r\n\r\n").await;
        assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
        passes(&mut client, &mut then, b"there").await;
    }
    let pool = gateway.rooms.pools[0].router.snapshot();
    let outcomes = pool.endpoints.iter().map(|it| it.outcomes);
    let (well, failed) = outcomes.fold((0, 0), |(well, failed), it| {
        (well + it.success, failed + it.failure)
    });
    assert_eq!((well, failed), (3, 3));
}

#[tokio::test]
async fn an_endpoint_that_asks_for_an_upgrade_names_what_the_route_lets_pass() {
    let silent = Upgrading::serving("", "").await;
    let websocket = Upgrading::websocket("").await;
    let both = Upgrading::serving("", "upgrade = [\"websocket\", \"chat/2.0\"]").await;
    for (gateway, offered, named) in [
        (&websocket, "upgrade: WebSocket\r\n", Some("websocket")),
        (&websocket, "upgrade: h2c, websocket\r\n", Some("websocket")),
        (&websocket, "upgrade: h2c\r\n", None),
        (&websocket, "", None),
        (&silent, "upgrade: websocket\r\n", None),
        (
            &both,
            "upgrade: chat/2.0\r\nupgrade: websocket\r\n",
            Some("websocket, chat/2.0"),
        ),
    ] {
        for asked in [GET, HANDSHAKE] {
            let answer = format!(
                "HTTP/1.1 426 Upgrade Required\r\nconnection: upgrade, x-hop\r\nx-hop: 1\r\n\
                 {offered}content-length: 0\r\n\r\n"
            );
            let (head, ..) = gateway.answered(asked, &answer).await;
            assert!(head.starts_with("HTTP/1.1 426 "), "{head}");
            assert!(!head.contains("x-hop"), "{head}");
            let lines = |start: &str| {
                let lines = head.lines().filter_map(|it| it.strip_prefix(start));
                lines.map(str::to_owned).collect::<Vec<_>>()
            };
            assert_eq!(lines("upgrade: "), Vec::from_iter(named), "{head}");
            let connection = named.map(|_| "upgrade");
            assert_eq!(lines("connection: "), Vec::from_iter(connection), "{head}");
        }
    }
}

#[tokio::test]
async fn an_answer_of_http_1_0_is_passed_on_in_the_gateways_own_version() {
    let gateway = Upgrading::websocket("").await;
    let answer = OK.replace("HTTP/1.1", "HTTP/1.0");
    let (head, mut client, _) = gateway.answered(GET, &answer).await;
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    assert!(!head.contains("close"), "{head}");
    assert_eq!(read_until(&mut client, "ok").await, "ok");
    // And the connection goes on.
    client.write_all(GET.as_bytes()).await.unwrap();
    let (_, mut upstream) = gateway.taken().await;
    upstream.write_all(OK.as_bytes()).await.unwrap();
    assert!(read_until(&mut client, "ok").await.contains(" 200 "));
}

#[tokio::test]
async fn to_the_endpoint_it_is_a_success_that_ended_with_the_head() {
    let gateway = Upgrading::websocket("").await;
    let (mut client, mut upstream) = gateway.tunnel().await;
    passes(&mut client, &mut upstream, b"open").await;
    let pool = gateway.rooms.pools[0].router.snapshot();
    assert_eq!(pool.endpoints[0].in_flight, 0);
    assert_eq!(pool.endpoints[0].outcomes.success, 1);
    let breaker = gateway.rooms.routes[0].breaker.snapshot();
    assert_eq!(breaker.calls.success, 1);
    assert_eq!(gateway.tunnels(), 1);
    let at_endpoint = || {
        let times = gateway.rooms.pools[0].times.get(&pool.endpoints[0].id);
        times.unwrap().tunnels()
    };
    assert_eq!(at_endpoint(), 1);
    drop((client, upstream));
    gateway.all_ended().await;
    assert_eq!(at_endpoint(), 0);
}

#[tokio::test]
async fn a_handshake_is_copied_nowhere() {
    let shadow = Upstream::well().await;
    let pools = format!(
        "[[pool]]\nname = \"q\"\nendpoints = [\"{}\"]\n",
        shadow.address
    );
    let route = "upgrade = [\"websocket\"]\nmirror = { pool = \"q\", share = 1.0 }";
    let gateway = Upgrading::beside("", route, &pools, &[]).await;
    gateway.tunnel().await;
    gateway.answered(GET, OK).await;
    bounded("the request is copied", async {
        while shadow.heads().is_empty() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert!(shadow.head().starts_with("get /plain "));
}

#[tokio::test]
async fn a_handshake_that_reached_nobody_goes_to_another_endpoint() {
    let gone = [nobody().await, nobody().await, nobody().await];
    let gateway = Upgrading::beside(
        "",
        "upgrade = [\"websocket\"]",
        "failover = { attempts = 8 }",
        &gone,
    )
    .await;
    for _ in 0..8 {
        let (mut client, mut upstream) = gateway.tunnel().await;
        passes(&mut client, &mut upstream, b"there").await;
    }
}

#[tokio::test]
async fn a_canary_takes_its_share_of_handshakes() {
    let pools = format!(
        "[[pool]]\nname = \"v2\"\nendpoints = [\"{}\"]\n",
        nobody().await
    );
    let route = "upgrade = [\"websocket\"]\nsplit = { canary = \"v2\", steps = [1.0] }";
    let gateway = Upgrading::beside("", route, &pools, &[]).await;
    let mut client = gateway.connect().await;
    client.write_all(HANDSHAKE.as_bytes()).await.unwrap();
    let answer = read_until(&mut client, "\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 502 "), "{answer}");
}

#[tokio::test]
async fn a_handshake_under_way_when_the_listener_closes_passes_as_it_is() {
    for (answer, is_tunnel) in [(SWITCHING, true), (OK, false)] {
        let gateway = Upgrading::websocket("lame_duck = \"1ms\"\ndrain_deadline = \"20s\"").await;
        let mut client = gateway.connect().await;
        client.write_all(HANDSHAKE.as_bytes()).await.unwrap();
        let (_, mut upstream) = gateway.taken().await;
        gateway.drain.start();
        let closing = gateway.drain.reached(Phase::Closing);
        bounded("the listener closes", closing).await;
        // All that the gateway does about that is done before the answer comes.
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        upstream.write_all(answer.as_bytes()).await.unwrap();
        let head = read_until(&mut client, "\r\n\r\n").await;
        assert_eq!(head.contains("close"), !is_tunnel, "{head}");
        if is_tunnel {
            assert!(head.contains("connection: upgrade\r\n"), "{head}");
            passes(&mut client, &mut upstream, b"open").await;
        } else {
            bounded("the gateway ends", gateway.ended).await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_lame_duck_lets_a_handshake_pass_as_it_is() {
    let gateway = Upgrading::websocket("lame_duck = \"20s\"").await;
    gateway.drain.start();
    let (head, mut client, mut upstream) = gateway.answered(HANDSHAKE, SWITCHING).await;
    assert!(head.contains("connection: upgrade\r\n"), "{head}");
    assert!(!head.contains("close"), "{head}");
    passes(&mut client, &mut upstream, b"open").await;
}
