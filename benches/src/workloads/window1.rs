//! `window1`: how long one sender with one message in flight waits for his PUBACK, while a receiver is online; with
//! a chat server, for the acknowledgement of stream management.

mod stanzas;

use std::time::{Duration, Instant};

use crate::error::{Deadline, Error};
use crate::figures::Figures;
use crate::generator::blocking::Blocking;
use crate::generator::message::{Body, Ids, body_index};
use crate::generator::wire::Packet;
use crate::measure::disk::sync_times;
use crate::peers::server::Server;
use crate::peers::{Peer, Work};
use crate::settings::{Count, Settings, WINDOW};
use crate::workloads::{Case, Workload};

/// How long a run may take beyond its time to send.
const DRAIN_LIMIT: Duration = Duration::from_secs(20);
/// First messages that are sent but not measured: caches, allocations and files are new to them.
const WARM_UP: u64 = 20;

/// Messages of a run.
const MESSAGES: Count = Count { full: 5_000, tiny: 100 };
/// Synced appends beside each run.
const SYNCS: Count = Count { full: 500, tiny: 25 };

/// One message in flight.
pub(crate) struct Window1;

impl Workload for Window1 {
    fn name(&self) -> &'static str {
        "window1"
    }

    fn about(&self) -> &'static str {
        "one sender with one message in flight: the latency of a PUBACK, and the disk's fdatasync beside it"
    }

    fn cases(&self, _settings: &Settings) -> Vec<Case> {
        let peers = [&[Peer::Bluetick][..], &Peer::BROKERS, &Peer::CHAT_SERVERS].concat();
        peers.into_iter().map(Case::of).collect()
    }

    fn run(&self, case: Case, settings: &Settings) -> Result<Figures, Error> {
        // Before and after, so that a disk that becomes slower meanwhile is seen from both sides.
        let mut syncs = sync_times(&settings.dir()?, settings.count(SYNCS))?;
        // The receiver's window is not the question: he must never be what the sender waits for.
        let server = Server::start(case.peer, settings, WINDOW)?;
        let times = match case.peer.work() {
            Work::Chats | Work::Topics { .. } => drive(&server, case.peer, settings),
            Work::Stanzas { register } => stanzas::drive(&server, case.peer, register, settings),
        };
        let times = times.map_err(|error| server.explain(error))?;
        syncs.extend(sync_times(&settings.dir()?, settings.count(SYNCS))?);
        let figures = Figures::new()
            .with_latency("PUBACK", times)?
            .with_latency("fdatasync of 200 B", syncs)?;
        let beyond = |percentile: &str| {
            let of = |what: &str| figures.get(&format!("{what} {percentile} us")).unwrap_or(0.0);
            of("PUBACK") - of("fdatasync of 200 B")
        };
        let (p50, p99) = (beyond("p50"), beyond("p99"));
        Ok(figures.with("p50 beyond fdatasync us", p50).with("p99 beyond fdatasync us", p99))
    }

    fn plots(&self) -> &'static [&'static str] {
        &["PUBACK p50 us", "PUBACK p99 us"]
    }
}

fn drive(server: &Server, peer: Peer, settings: &Settings) -> Result<Vec<Duration>, Error> {
    let deadline =
        Deadline::new(format!("window1 against {}", peer.name()), settings.time() + DRAIN_LIMIT);
    let address = server.address();
    let version = settings.version();
    let receiver =
        Blocking::connect(address, version, &peer.receiver(0), WINDOW, deadline.clone())?;
    let sender = Blocking::connect(address, version, &peer.sender(0), 1, deadline)?;
    std::thread::scope(|scope| {
        let receiving = scope.spawn(|| receive_all(receiver));
        let times = send_all(sender, peer, settings);
        let received = receiving
            .join()
            .unwrap_or_else(|_| Err(Error::Wrong("the receiver's thread panicked".into())));
        // The sender's error says more: the receiver only waits for what was never sent.
        let (times, received) = (times?, received?);
        let sent = times.len() as u64 + WARM_UP;
        if received != sent {
            return Err(Error::Wrong(format!("{received} received of {sent} sent")));
        }
        Ok(times)
    })
}

fn send_all(mut sender: Blocking, peer: Peer, settings: &Settings) -> Result<Vec<Duration>, Error> {
    let with_id = peer.takes_id() && !settings.no_id;
    let base = peer.pair_topic(0, with_id);
    let (mut body, mut ids) = (Body::default(), Ids::default());
    let mut topic = Vec::new();
    let mut times = Vec::new();
    let start = Instant::now();
    let messages = u64::from(settings.count(MESSAGES));
    let mut last = false;
    let mut index = 0;
    while !last {
        last = index + 1 == messages + WARM_UP
            || (index >= WARM_UP && start.elapsed() >= settings.time());
        topic.clear();
        topic.extend_from_slice(&base);
        if with_id {
            ids.tick();
            ids.put(&mut topic);
        }
        let took = sender.publish(&topic, body.fill(index, last))?;
        if index >= WARM_UP {
            times.push(took);
        }
        index += 1;
    }
    sender.close()?;
    Ok(times)
}

/// Receives and acknowledges up to the last message; how many there were.
fn receive_all(mut receiver: Blocking) -> Result<u64, Error> {
    let mut received = 0;
    loop {
        let (packet_id, last) = match receiver.receive("a message")? {
            Packet::Publish { packet_id, payload, .. } => match body_index(payload) {
                Some((index, last)) if index == received => (packet_id, last),
                other => {
                    return Err(Error::Wrong(format!("message {other:?} in place of {received}")));
                }
            },
            other => return Err(Error::Wrong(format!("{other:?} in place of a message"))),
        };
        received += 1;
        receiver.acknowledge(packet_id)?;
        if last {
            receiver.close()?;
            return Ok(received);
        }
    }
}
