//! `window1`: how long one sender with one message in flight waits for his PUBACK, while a receiver is online.

use std::time::{Duration, Instant};

use crate::blocking::Blocking;
use crate::error::{Deadline, Error};
use crate::message::{Body, Ids, body_index};
use crate::peer::Peer;
use crate::server::Server;
use crate::settings::{Settings, Workload};
use crate::wire::Packet;

/// How long a run may take beyond its time to send.
const DRAIN_LIMIT: Duration = Duration::from_secs(20);
/// First messages that are sent but not measured: caches, allocations and files are new to them.
const WARM_UP: u64 = 20;

/// Runs once against a fresh server; the time from each write to its PUBACK.
///
/// # Errors
/// Whatever the server does wrong or too late.
pub fn run_window1(peer: Peer, settings: &Settings) -> Result<Vec<Duration>, Error> {
    // The receiver's window is not the question: he must never be what the sender waits for.
    let server = Server::start(peer, settings, Workload::OnePair.window())?;
    drive(&server, peer, settings).map_err(|error| server.explain(error))
}

fn drive(server: &Server, peer: Peer, settings: &Settings) -> Result<Vec<Duration>, Error> {
    let window = Workload::Window1.window();
    let deadline =
        Deadline::new(format!("window1 against {}", peer.name()), settings.time() + DRAIN_LIMIT);
    let address = server.address();
    let version = settings.version();
    let receiver = Blocking::connect(
        address,
        version,
        &peer.receiver(0),
        Workload::OnePair.window(),
        deadline.clone(),
    )?;
    let sender = Blocking::connect(address, version, &peer.sender(0), window, deadline)?;
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
    let mut last = false;
    let mut index = 0;
    while !last {
        last = index + 1 == settings.latencies + WARM_UP
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
