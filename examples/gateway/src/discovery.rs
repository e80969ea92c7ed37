//! Endpoints that come and go while the gateway runs, as a file or DNS says.
//!
//! Whoever writes the file, or answers for the name, says where requests go: a host and a port, and nothing else. What is
//! anything else is refused as a whole, and the pool stays as it is.

use std::net::SocketAddr;
use std::path::Path;

use buttress::core::config::ConfigError;
use buttress::core::rng::Rng;
use buttress::core::spawn::Spawn;
use buttress::route::RouterHandle;

use buttress::route::discover::{
    Discovery, MakeEndpoint, Node, Resolver, Source, SourceError, WatchedFile, lines,
};

use crate::config::{Endpoint, PoolDiscovery};

/// What a file says now, for the start. Blocks, as long as a look of the running gateway may take.
pub fn read(path: &Path) -> Result<Vec<Endpoint>, String> {
    let nodes = watched(path).look().map_err(|error| error.to_string())?;
    if nodes.is_empty() {
        let path = path.display();
        return Err(format!(
            "{path} names nobody; write a line such as 127.0.0.1:9001"
        ));
    }
    nodes.iter().map(described).collect()
}

fn watched(path: &Path) -> WatchedFile {
    WatchedFile::new(path).parse_with(nodes)
}

/// Takes the endpoints of `pool` from whom the configuration says, in a task on `spawn`. Where that runs nothing
/// they stay as they are.
pub(crate) fn begin<S: Clone + Send + Sync + 'static>(
    pool: &RouterHandle<S>,
    from: &PoolDiscovery,
    make: impl MakeEndpoint<S>,
    spawn: &Spawn,
    rng: Rng,
) -> Result<Option<Discovery>, ConfigError> {
    let resolver = |servers: &[SocketAddr]| {
        let resolver = match servers {
            [] => Resolver::system(),
            servers => Resolver::servers(servers.iter().copied()),
        };
        resolver.map_err(|error| ConfigError::new("discover", error.to_string()))
    };
    Ok(match from {
        PoolDiscovery::File { path, every } => of(pool, watched(path).every(*every), make, spawn),
        PoolDiscovery::Addresses {
            host,
            port,
            resolvers,
        } => {
            let names = resolver(resolvers)?.addresses(host, *port).rng(rng);
            of(pool, names, make, spawn)
        }
        PoolDiscovery::Services { name, resolvers } => {
            let names = resolver(resolvers)?.services(name).rng(rng);
            of(pool, names, make, spawn)
        }
    })
}

fn of<S: Clone + Send + Sync + 'static>(
    pool: &RouterHandle<S>,
    source: impl Source,
    make: impl MakeEndpoint<S>,
    spawn: &Spawn,
) -> Option<Discovery> {
    pool.discover(source, make, spawn).ok()
}

/// The nodes of a file, each of which is a host and a port.
fn nodes(text: &str) -> Result<Vec<Node>, SourceError> {
    let nodes = lines(text)?;
    match nodes.iter().map(described).find_map(Result::err) {
        Some(problem) => Err(SourceError::new(problem)),
        None => Ok(nodes),
    }
}

/// The endpoint that a source speaks of; nowhere, if that is none. A file with such a one is refused before, and DNS
/// names none.
pub(crate) fn endpoint(node: &Node) -> Endpoint {
    described(node).unwrap_or_else(|_| Endpoint::nowhere(node.id()))
}

fn described(node: &Node) -> Result<Endpoint, String> {
    let weight = node.said_weight().unwrap_or(1);
    let priority = node.said_priority().unwrap_or(0);
    Ok(Endpoint {
        weight,
        priority,
        ..Endpoint::at(node.id())?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_host_and_port_refuses_the_whole() {
        for text in [
            "10.0.0.1",
            "10.0.0.1:0",
            "10.0.0.1:99999",
            "http://a:80",
            "a:80/x",
            "u@a:80",
            "a:80?x",
            "[::1:80",
        ] {
            let both = format!("127.0.0.1:1\n{text}\n");
            assert!(nodes(&both).is_err(), "{text}");
        }
        let well = nodes("127.0.0.1:1\n[::1]:2 weight=3\norders.internal:80 # near\n");
        assert_eq!(well.unwrap().len(), 3);
    }
}
