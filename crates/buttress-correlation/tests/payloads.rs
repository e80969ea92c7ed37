//! Whatever a client sends, exactly one valid ID goes inward and comes back.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]

use std::convert::Infallible;

use buttress_correlation::{
    ClientCorrelationId, Config, CorrelationId, CorrelationLayer, CorrelationSnapshot, Mint,
    PropagateLayer, Trust,
};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use tower::{Layer, ServiceExt, service_fn};

/// What the inner service saw.
#[derive(Debug)]
struct Seen {
    header: Vec<HeaderValue>,
    alias: usize,
    extension: Option<CorrelationId>,
    client: Option<CorrelationId>,
    current: Option<CorrelationId>,
}

async fn look(request: Request<()>) -> Result<Response<Seen>, Infallible> {
    let (headers, extensions) = (request.headers(), request.extensions());
    Ok(Response::new(Seen {
        header: headers
            .get_all("x-correlation-id")
            .iter()
            .cloned()
            .collect(),
        alias: headers.get_all("x-request-id").iter().count(),
        extension: extensions.get().cloned(),
        client: extensions
            .get()
            .map(|id: &ClientCorrelationId| id.0.clone()),
        current: CorrelationId::current(),
    }))
}

/// Sends `values` of `name` through a layer and checks what holds for every request; gives the ID.
async fn send(
    trust: Trust,
    name: &'static str,
    values: &[&[u8]],
) -> (CorrelationId, Seen, CorrelationSnapshot) {
    let layer = CorrelationLayer::new(Config::new().trust(trust)).unwrap();
    let mut request = Request::new(());
    for value in values {
        let value = HeaderValue::from_bytes(value).unwrap();
        request.headers_mut().append(name, value);
    }
    let mut response = layer
        .layer(service_fn(look))
        .oneshot(request)
        .await
        .unwrap();
    let echoed: Vec<_> = response
        .headers()
        .get_all("x-correlation-id")
        .iter()
        .collect();
    assert_eq!(echoed.len(), 1);
    let id = CorrelationId::try_from(echoed[0]).unwrap();
    assert_eq!(
        response.extensions_mut().remove::<CorrelationId>().as_ref(),
        Some(&id)
    );
    let seen = response.into_body();
    assert_eq!(seen.header, [id.to_header_value()]);
    assert_eq!(seen.alias, 0);
    assert_eq!(seen.extension.as_ref(), Some(&id));
    assert_eq!(seen.current.as_ref(), Some(&id));
    (id, seen, layer.handle().snapshot())
}

#[tokio::test]
async fn what_is_no_id_is_replaced_and_counted_by_its_reason() {
    let huge = vec![b'a'; 420_000];
    let cases: &[(&[&[u8]], &str)] = &[
        (&[&huge], "too_long"),
        (&[&huge[..129]], "too_long"),
        (&[b""], "empty"),
        (&[b"one", b"two"], "repeated"),
        (&[b"same", b"same"], "repeated"),
        (&[b"", b"one"], "repeated"),
        (&[b"abc level=error msg=\"pwned\""], "charset"),
        (&[b"a\tb"], "charset"),
        (&[b"a,b"], "charset"),
        (&[b" "], "charset"),
        (&["csi\u{9b}31m".as_bytes()], "charset"),
        (&[b"\xc2\x9b"], "charset"),
        (&[b"\xff\xfe"], "charset"),
        (&[b"${jndi:ldap}"], "charset"),
        (&[b"<script>"], "charset"),
        (&[b"%0d%0aset-cookie"], "charset"),
    ];
    for trust in [Trust::Edge, Trust::Internal] {
        for name in ["x-correlation-id", "x-request-id"] {
            for (values, reason) in cases {
                let (id, seen, counts) = send(trust.clone(), name, values).await;
                assert!(values.iter().all(|value| *value != id.as_bytes()));
                assert_eq!(seen.client, None);
                let found = [
                    ("empty", counts.empty),
                    ("too_long", counts.too_long),
                    ("charset", counts.charset),
                    ("repeated", counts.repeated),
                ];
                for (name, count) in found {
                    assert_eq!(count, u64::from(name == *reason), "{name} for {reason}");
                }
                assert_eq!((counts.minted, counts.accepted), (1, 0));
            }
        }
    }
}

#[tokio::test]
async fn an_edge_mints_and_keeps_a_valid_id_of_the_client_apart() {
    let (id, seen, counts) = send(Trust::Edge, "x-correlation-id", &[b"theirs"]).await;
    assert_ne!(id.as_str(), "theirs");
    assert_eq!(seen.client.unwrap().as_str(), "theirs");
    assert_eq!((counts.minted, counts.accepted), (1, 0));
}

#[tokio::test]
async fn an_internal_service_accepts_a_valid_id_under_either_name() {
    for name in ["x-correlation-id", "x-request-id"] {
        let (id, seen, counts) = send(Trust::Internal, name, &[b"theirs:1/2"]).await;
        assert_eq!(id.as_str(), "theirs:1/2");
        assert_eq!(seen.client, None);
        assert_eq!((counts.minted, counts.accepted), (0, 1));
    }
}

#[tokio::test]
async fn a_predicate_decides_for_each_request() {
    let trust = Trust::when(|parts| parts.headers.contains_key("x-mesh"));
    let layer = CorrelationLayer::new(Config::new().trust(trust)).unwrap();
    let ask = |mesh: bool| {
        let mut request = Request::builder().header("x-correlation-id", "theirs");
        if mesh {
            request = request.header("x-mesh", "1");
        }
        layer
            .layer(service_fn(look))
            .oneshot(request.body(()).unwrap())
    };
    let id = |response: Response<Seen>| response.headers()["x-correlation-id"].clone();
    assert_eq!(id(ask(true).await.unwrap()), "theirs");
    assert_ne!(id(ask(false).await.unwrap()), "theirs");
}

#[tokio::test]
async fn the_first_header_present_decides_and_the_other_does_not_go_inward() {
    let layer = CorrelationLayer::new(Config::new().trust(Trust::Internal)).unwrap();
    let request = Request::builder()
        .header("x-request-id", "second")
        .header("x-correlation-id", "first")
        .body(())
        .unwrap();
    let response = layer
        .layer(service_fn(look))
        .oneshot(request)
        .await
        .unwrap();
    assert_eq!(response.headers()["x-correlation-id"], "first");
    assert_eq!(response.body().alias, 0);
}

#[tokio::test]
async fn an_id_given_further_out_is_kept_by_a_layer_further_in() {
    let outer = CorrelationLayer::default();
    let inner = CorrelationLayer::default();
    let service = outer.layer(inner.layer(service_fn(look)));
    let response = service.oneshot(Request::new(())).await.unwrap();
    assert_eq!(
        response.headers()["x-correlation-id"],
        response.body().header[0]
    );
    assert_eq!(outer.handle().snapshot().minted, 1);
    assert_eq!(inner.handle().snapshot().inherited, 1);
    assert_eq!(inner.handle().snapshot().minted, 0);
}

#[tokio::test]
async fn an_id_that_only_extensions_hold_is_kept_and_counted_whoever_would_mint() {
    let user = Mint::with(|| panic!("asked for an ID that nobody needs"));
    for mint in [Mint::UuidV7, Mint::UuidV4, user] {
        let layer = CorrelationLayer::new(Config::new().mint(mint)).unwrap();
        let given: CorrelationId = "given".parse().unwrap();
        let mut request = Request::new(());
        request.extensions_mut().insert(given.clone());
        let service = layer.clone().layer(service_fn(look));
        let response = service.oneshot(request).await.unwrap();
        assert_eq!(response.headers()["x-correlation-id"], "given");
        assert_eq!(response.extensions().get(), Some(&given));
        let seen = response.body();
        assert_eq!(seen.header, ["given"]);
        assert_eq!(
            (&seen.extension, &seen.current),
            (&Some(given.clone()), &Some(given))
        );
        let counted = layer.handle().snapshot();
        assert_eq!((counted.inherited, counted.minted), (1, 0));
    }
}

#[tokio::test]
async fn the_answer_of_the_service_cannot_add_a_second_id() {
    let service = CorrelationLayer::default().layer(service_fn(|_: Request<()>| async {
        Response::builder()
            .header("x-correlation-id", "upstream")
            .header("x-correlation-id", "upstream again")
            .body(())
    }));
    let response = service.oneshot(Request::new(())).await.unwrap();
    let echoed: Vec<_> = response
        .headers()
        .get_all("x-correlation-id")
        .iter()
        .collect();
    assert_eq!(echoed.len(), 1);
    assert_ne!(echoed[0], "upstream");
}

/// As many headers as a map takes, the ID's among them.
fn full(id: &'static str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert("x-correlation-id", HeaderValue::from_static(id));
    let names = (0..).map(|n| HeaderName::try_from(format!("x-{n}")).unwrap());
    for name in names {
        if headers
            .try_insert(name, HeaderValue::from_static(""))
            .is_err()
        {
            return headers;
        }
    }
    headers
}

fn ids(headers: &HeaderMap) -> Vec<&HeaderValue> {
    headers.get_all("x-correlation-id").iter().collect()
}

#[tokio::test]
async fn a_map_with_no_room_for_another_header_is_left_with_the_one_id_all_the_same() {
    let service = service_fn(|request: Request<()>| async move {
        let mut response = Response::new(request.into_parts().0.headers);
        *response.headers_mut() = full("of the service");
        Ok::<_, Infallible>(response)
    });
    let mut request = Request::new(());
    *request.headers_mut() = full("no valid id");
    let service = CorrelationLayer::default().layer(service);
    let response = service.oneshot(request).await.unwrap();
    let echoed = ids(response.headers());
    assert_eq!(echoed.len(), 1);
    let id = CorrelationId::try_from(echoed[0]).unwrap();
    assert_eq!(ids(response.body()), [&id.to_header_value()]);

    let mut request = Request::new(());
    *request.headers_mut() = full("no valid id");
    let propagate = PropagateLayer::new().layer(service_fn(|request: Request<()>| async move {
        Ok::<_, Infallible>(request.into_parts().0.headers)
    }));
    let sent = id.clone().scope(propagate.oneshot(request)).await.unwrap();
    assert_eq!(ids(&sent), [&id.to_header_value()]);
}
