//! `window1`: how long one sender with one message in flight waits for his PUBACK, while a receiver is online.

use std::time::{Duration, Instant};

use crate::blocking::Blocking;
use crate::error::{Deadline, Error};
use crate::ledger::refused;
use crate::message::{Body, Ids, body_index};
use crate::peer::{Delivery, Peer};
use crate::server::Server;
use crate::settings::{Settings, Workload};
use crate::wire::{Packet, put_puback, put_publish};

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
    let (mut topic, mut out) = (Vec::new(), Vec::new());
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
        let packet_id = (index % 1000) as u16 + 1;
        out.clear();
        put_publish(&mut out, settings.version(), &topic, packet_id, body.fill(index, last));
        let sent_at = Instant::now();
        sender.send(&out)?;
        wait_for_puback(&mut sender, packet_id)?;
        if index >= WARM_UP {
            times.push(sent_at.elapsed());
        }
        index += 1;
    }
    sender.close()?;
    Ok(times)
}

/// Acknowledges receipts that come in between.
fn wait_for_puback(sender: &mut Blocking, expected: u16) -> Result<(), Error> {
    loop {
        let receipt = match sender.receive("a PUBACK")? {
            Packet::PubAck { packet_id, reason: 0 } if packet_id == expected => return Ok(()),
            Packet::Publish { topic, packet_id, payload } => match Delivery::of(topic) {
                Delivery::Refusal => return Err(refused(payload)),
                _ => packet_id,
            },
            other => {
                return Err(Error::Wrong(format!("{other:?} in place of PUBACK {expected}")));
            }
        };
        let mut out = Vec::with_capacity(4);
        put_puback(&mut out, receipt);
        sender.send(&out)?;
    }
}

/// Receives and acknowledges up to the last message; how many there were.
fn receive_all(mut receiver: Blocking) -> Result<u64, Error> {
    let mut out = Vec::with_capacity(4);
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
        out.clear();
        put_puback(&mut out, packet_id);
        receiver.send(&out)?;
        if last {
            receiver.close()?;
            return Ok(received);
        }
    }
}
