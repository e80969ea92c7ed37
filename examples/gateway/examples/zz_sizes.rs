#![allow(missing_docs, unused)]
use buttress_gateway::stack::*;
use buttress_gateway::*;
use http::Request;
use hyper::body::Incoming;
use std::mem::size_of;
use tower_service::Service;
fn main() {
    type RB = body::RequestBody;
    println!("Request {}", size_of::<Request<RB>>());
    println!(
        "Proxy fut {}",
        size_of::<<Proxy as Service<Request<Incoming>>>::Future>()
    );
    println!(
        "Exchange fut {}",
        size_of::<server::ExchangeFuture<Proxy>>()
    );
    println!(
        "Dispatch fut {}",
        size_of::<<dispatch::Dispatch<RouteStack> as Service<Request<RB>>>::Future>()
    );
    println!(
        "RouteStack fut {} svc {}",
        size_of::<<RouteStack as Service<Request<RB>>>::Future>(),
        size_of::<RouteStack>()
    );
    println!(
        "Breaker fut {}",
        size_of::<
            <buttress::breaker::BreakerService<
                buttress::route::HealthRouter<EndpointStack>,
                buttress::core::protocol::Http,
            > as Service<Request<RB>>>::Future,
        >()
    );
    println!(
        "Router fut {}",
        size_of::<<buttress::route::HealthRouter<EndpointStack> as Service<Request<RB>>>::Future>()
    );
    println!(
        "EndpointStack fut {} svc {}",
        size_of::<<EndpointStack as Service<Request<RB>>>::Future>(),
        size_of::<EndpointStack>()
    );
    println!("Origin fut {}", size_of::<upstream::OriginFuture>());
    println!(
        "Sleep {} core sleep {}",
        size_of::<tokio::time::Sleep>(),
        size_of::<buttress::core::clock::Sleep>()
    );
    println!(
        "ResponseBody {} Incoming {}",
        size_of::<body::ResponseBody>(),
        size_of::<Incoming>()
    );
    println!(
        "Response {}",
        size_of::<<Proxy as Service<Request<Incoming>>>::Response>()
    );
    println!(
        "endpoint Response {}",
        size_of::<<EndpointStack as Service<Request<RB>>>::Response>()
    );
    println!(
        "route Response {}",
        size_of::<<RouteStack as Service<Request<RB>>>::Response>()
    );
    println!(
        "origin Response {}",
        size_of::<<upstream::Origin as Service<Request<RB>>>::Response>()
    );
}
