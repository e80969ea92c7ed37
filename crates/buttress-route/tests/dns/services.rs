//! Services: SRV records, and the addresses of their targets.

use std::time::Duration;

use buttress_route::discover::{DiscoveryChange, Families, Resolver};
use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType;

use super::{HOST, Named, SERVICE, host};
use crate::names::{NameServer, Said};

#[tokio::test]
async fn a_service_says_priorities_weights_and_ports() {
    let names = NameServer::start().await;
    let targets = [
        (10, 60, 80, "a.test."),
        (10, 40, 81, "b.test."),
        (20, 0, 82, "c.test."),
    ];
    names.service(SERVICE, 5, &targets);
    names.host("a.test.", 5, &["10.0.0.1", "10.0.0.2"]);
    names.host("b.test.", 5, &["10.0.0.3"]);
    names.host("c.test.", 5, &["fd00::1"]);
    let named = Named::by(names, |it| it.services(SERVICE)).await;
    let told = |named: &Named| -> Vec<(String, u8, u32)> {
        let all = named.endpoints();
        let mut all: Vec<_> = all
            .iter()
            .map(|it| (it.id.to_string(), it.priority, it.weight))
            .collect();
        all.sort();
        all
    };
    let expected = [
        ("10.0.0.1:80".to_owned(), 0, 60),
        ("10.0.0.2:80".to_owned(), 0, 60),
        ("10.0.0.3:81".to_owned(), 0, 40),
        ("[fd00::1]:82".to_owned(), 1, 1),
    ];
    assert_eq!(told(&named), expected);

    // Who is of another weight or priority stays the same endpoint.
    let targets = [(5, 7, 81, "b.test."), (20, 9, 80, "a.test.")];
    named.names.service(SERVICE, 5, &targets);
    named.next_answer().await;
    let expected = [
        ("10.0.0.1:80".to_owned(), 1, 9),
        ("10.0.0.2:80".to_owned(), 1, 9),
        ("10.0.0.3:81".to_owned(), 0, 7),
    ];
    assert_eq!(told(&named), expected);
    assert_eq!(named.made.lock().unwrap().len(), 4);

    // The root as the only target says that there is no such service.
    named.names.service(SERVICE, 5, &[(0, 0, 0, ".")]);
    named.next_answer().await;
    assert_eq!(told(&named), expected);
    assert!(
        named.problem().contains("nobody is there"),
        "{}",
        named.problem()
    );
}

#[tokio::test]
async fn a_target_that_fails_takes_none_of_the_others_along() {
    let names = NameServer::start().await;
    names.service(SERVICE, 5, &[(0, 1, 80, "a.test."), (0, 1, 80, "b.test.")]);
    names.host("a.test.", 5, &["10.0.0.1"]);
    names.host("b.test.", 5, &["10.0.0.2"]);
    let families = |it: Resolver| it.services(SERVICE).families(Families::V4);
    let named = Named::by(names, families).await;
    assert_eq!(named.ids(), ["10.0.0.1:80", "10.0.0.2:80"]);
    let broken = Said::Code(ResponseCode::ServFail);
    named.names.say("a.test.", RecordType::A, broken);
    named.names.host("b.test.", 5, &["10.0.0.3"]);
    named
        .pass_until(20, |it| it.ids() == ["10.0.0.1:80", "10.0.0.3:80"])
        .await;
    assert_eq!(named.names.asked("a.test.", RecordType::AAAA), 0);
}

#[tokio::test]
async fn a_target_of_which_nobody_answers_takes_none_of_the_others_along() {
    let names = NameServer::start().await;
    let hosts: Vec<String> = (0..12).map(|n| format!("h{n:02}.test.")).collect();
    let targets: Vec<_> = hosts.iter().map(|it| (0, 1, 80, &**it)).collect();
    names.service(SERVICE, 5, &targets);
    for (n, host) in hosts.iter().enumerate() {
        names.host(host, 5, &[&*format!("10.0.0.{n}")]);
    }
    let patience = Duration::from_secs(5);
    let mut named = Named::by(names, |it| it.services(SERVICE).patience(patience)).await;
    assert_eq!(named.ids().len(), 12);
    named.told();
    // Both families of three.
    for host in &hosts[..3] {
        named.names.say(host, RecordType::A, Said::Silence);
        named.names.say(host, RecordType::AAAA, Said::Silence);
    }
    named.names.host("h11.test.", 5, &["10.0.1.11"]);
    let is_learned = |it: &Named| it.ids().contains(&"10.0.1.11:80".to_owned());
    named.pass_until(120, is_learned).await;
    assert_eq!(named.ids().len(), 12, "who is silent stays");
    let problem = named.problem();
    assert!(
        problem.contains("h00.test. A: no answer within 5s"),
        "{problem}"
    );
    let told = named.told();
    assert!(
        told.iter()
            .any(|it| matches!(it, DiscoveryChange::Refused(_))),
        "{told:?}"
    );

    // At the first answer nothing is known of who is silent.
    let names = host(5, &["10.0.0.1"]).await;
    names.say(HOST, RecordType::AAAA, Said::Silence);
    let named = Named::unasked(names, |it| it.addresses(HOST, 80).patience(patience));
    named
        .pass_until(120, |it| it.ids() == ["10.0.0.1:80"])
        .await;
}

#[tokio::test]
async fn targets_are_endpoints_by_their_names_whatever_their_addresses_are() {
    let names = NameServer::start().await;
    names.service(SERVICE, 5, &[(0, 2, 80, "A.test."), (0, 1, 81, "b.test.")]);
    let named = Named::by(names, |it| it.targets(SERVICE)).await;
    assert_eq!(named.ids(), ["a.test:80", "b.test:81"]);
    assert_eq!(named.endpoints()[0].weight, 2);
    assert_eq!(named.names.asked("a.test.", RecordType::A), 0);
    named.names.service(SERVICE, 5, &[(0, 2, 80, "a.TEST.")]);
    named.next_answer().await;
    assert_eq!(named.ids(), ["a.test:80"]);
    assert_eq!(named.made.lock().unwrap().len(), 2);
}
