//! A name server on a socket of its own.
#![allow(unreachable_pub, missing_docs, missing_debug_implementations)]

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};

use hickory_proto::op::{Message, MessageType, OpCode, ResponseCode};
use hickory_proto::rr::rdata::{CNAME, SRV};
use hickory_proto::rr::{Name, RData, Record, RecordType};
use tokio::net::UdpSocket;
use tokio::task::JoinHandle;

/// What is answered to a question of one type for one name.
#[derive(Clone)]
pub enum Said {
    Records(Vec<Record>),
    Code(ResponseCode),
    /// Nothing, and nobody says so.
    Silence,
    /// Bytes that are no message.
    Nonsense,
}

type Zone = BTreeMap<(String, RecordType), Said>;
type Asked = BTreeMap<(String, RecordType), usize>;

/// Answers by UDP what it is told to. Whatever it was told nothing about is not there.
pub struct NameServer {
    address: SocketAddr,
    zone: Arc<Mutex<Zone>>,
    asked: Arc<Mutex<Asked>>,
    task: JoinHandle<()>,
}

impl NameServer {
    pub async fn start() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let (zone, asked) = (Arc::<Mutex<Zone>>::default(), Arc::default());
        let task = tokio::spawn(serve(socket, Arc::clone(&zone), Arc::clone(&asked)));
        Self {
            address,
            zone,
            asked,
            task,
        }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn say(&self, name: &str, of: RecordType, said: Said) {
        self.zone.lock().unwrap().insert((name.into(), of), said);
    }

    /// The addresses of `name`, both families, for `ttl` seconds.
    pub fn host(&self, name: &str, ttl: u32, addresses: &[&str]) {
        let addresses: Vec<IpAddr> = addresses.iter().map(|it| it.parse().unwrap()).collect();
        for (of, is_v4) in [(RecordType::A, true), (RecordType::AAAA, false)] {
            let of_family = addresses.iter().filter(|it| it.is_ipv4() == is_v4);
            let records = of_family.map(|ip| record(name, ttl, RData::from(*ip)));
            self.say(name, of, Said::Records(records.collect()));
        }
    }

    /// The targets of a service: priority, weight, port and host.
    pub fn service(&self, name: &str, ttl: u32, targets: &[(u16, u16, u16, &str)]) {
        let target = |&(priority, weight, port, host): &(u16, u16, u16, &str)| {
            let host = Name::from_ascii(host).unwrap();
            record(
                name,
                ttl,
                RData::SRV(SRV::new(priority, weight, port, host)),
            )
        };
        let records = targets.iter().map(target).collect();
        self.say(name, RecordType::SRV, Said::Records(records));
    }

    /// How often it was asked that.
    pub fn asked(&self, name: &str, of: RecordType) -> usize {
        let asked = self.asked.lock().unwrap();
        asked.get(&(name.into(), of)).copied().unwrap_or_default()
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

pub fn record(name: &str, ttl: u32, data: RData) -> Record {
    Record::from_rdata(Name::from_ascii(name).unwrap(), ttl, data)
}

pub fn alias(name: &str, ttl: u32, of: &str) -> Record {
    record(
        name,
        ttl,
        RData::CNAME(CNAME(Name::from_ascii(of).unwrap())),
    )
}

async fn serve(socket: UdpSocket, zone: Arc<Mutex<Zone>>, asked: Arc<Mutex<Asked>>) {
    let mut buffer = [0; 4_096];
    while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
        let request = Message::from_vec(&buffer[..length]).unwrap();
        let query = &request.queries[0];
        let key = (query.name().to_lowercase().to_ascii(), query.query_type());
        let absent = Said::Code(ResponseCode::NXDomain);
        let said = zone.lock().unwrap().get(&key).cloned().unwrap_or(absent);
        *asked.lock().unwrap().entry(key).or_default() += 1;
        let bytes = match said {
            Said::Silence => continue,
            Said::Nonsense => vec![0xff; 40],
            Said::Code(code) => answer(&request, code, Vec::new()),
            Said::Records(records) => answer(&request, ResponseCode::NoError, records),
        };
        socket.send_to(&bytes, from).await.unwrap();
    }
}

fn answer(request: &Message, code: ResponseCode, records: Vec<Record>) -> Vec<u8> {
    let mut message = Message::new(request.metadata.id, MessageType::Response, OpCode::Query);
    message.metadata.recursion_desired = true;
    message.metadata.recursion_available = true;
    message.metadata.response_code = code;
    message.queries.clone_from(&request.queries);
    message.add_answers(records);
    message.to_vec().unwrap()
}
