//! `idle`: the resident memory of a connection that has 20 chats, or one plain filter, and nothing to say.
//!
//! With bluetick the chats are made first: each user of a ring writes to the next ten, so that he has one
//! chat with each of ten before and ten behind him, all delivered. Then the server is started anew, so that
//! memory left over from making them is not there to be used again unseen.

use std::time::Duration;

use serde::Serialize;

use crate::error::{Deadline, Error};
use crate::fleet::{Fleet, Traffic};
use crate::message::{Body, Ids, body_index};
use crate::peer::{Peer, send_topic};
use crate::quiet::{acknowledge, wait_until_quiet};
use crate::server::Server;
use crate::settings::{CHATS_PER_IDLER, Settings, Workload};
use crate::wire::{Packet, Version, put_publish};

/// How long each step (connecting, making the chats) may take.
const STEP_LIMIT: Duration = Duration::from_secs(120);

/// One run's figures.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct IdleRun {
    /// Connections, each with one filter.
    pub connections: u32,
    /// Resident memory of the server before they connected.
    pub before_bytes: u64,
    /// Resident memory once they were connected and the server quiet.
    pub after_bytes: u64,
    /// The difference by connection.
    pub bytes_per_connection: f64,
    /// Messages that came though all had been delivered before a restart.
    pub redelivered: u64,
}

/// Runs once against a fresh server.
///
/// # Errors
/// Whatever the server does wrong or too late.
pub fn run_idle(peer: Peer, settings: &Settings) -> Result<IdleRun, Error> {
    let mut server = Server::start(peer, settings, Workload::Idle.window())?;
    drive(&mut server, peer, settings).map_err(|error| server.explain(error))
}

fn drive(server: &mut Server, peer: Peer, settings: &Settings) -> Result<IdleRun, Error> {
    let what = format!("idle against {}", peer.name());
    let count = settings.connections as usize;
    let clients: Vec<_> = (0..count).map(|number| peer.idler(number)).collect();
    let window = Workload::Idle.window();
    let version = settings.version();
    let connect = |server: &Server| {
        let deadline = Deadline::new(&what, STEP_LIMIT);
        Fleet::connect(server.address(), version, &clients, window, &deadline)
    };

    if peer == Peer::Bluetick {
        let mut fleet = connect(server)?;
        make_chats(&mut fleet, count, version, &Deadline::new(&what, STEP_LIMIT))?;
        fleet.close()?;
        wait_until_quiet(server.process(), None, &what)?;
        server.restart()?;
    }
    wait_until_quiet(server.process(), None, &what)?;
    let before_bytes = server.process().resident_bytes()?;
    let mut fleet = connect(server)?;
    let redelivered = wait_until_quiet(server.process(), Some(&mut fleet), &what)?;
    let after_bytes = server.process().resident_bytes()?;
    fleet.close()?;
    Ok(IdleRun {
        connections: settings.connections,
        before_bytes,
        after_bytes,
        bytes_per_connection: (after_bytes as f64 - before_bytes as f64)
            / f64::from(settings.connections),
        redelivered,
    })
}

fn make_chats(
    fleet: &mut Fleet,
    count: usize,
    version: Version,
    deadline: &Deadline,
) -> Result<(), Error> {
    let ahead = CHATS_PER_IDLER / 2;
    let (mut body, mut ids) = (Body::default(), Ids::default());
    for user in 0..count {
        let out = fleet.out(user);
        for step in 1..=ahead {
            let mut topic = send_topic(&format!("u{}", (user + step) % count), true);
            ids.put(&mut topic);
            // The body says who wrote it: one's own messages come too, and are not what is waited for.
            put_publish(out, version, &topic, step as u16, body.fill(user as u64, false));
        }
    }
    fleet.flush()?;
    let mut chats = Chats { wanted: (count * ahead) as u64, acked: 0, delivered: 0 };
    while chats.acked < chats.wanted || chats.delivered < chats.wanted {
        deadline.check(|| {
            format!(
                "{} PUBACKs and {} deliveries of {} first messages",
                chats.wanted - chats.acked,
                chats.wanted - chats.delivered,
                chats.wanted
            )
        })?;
        fleet.turn(deadline.left(), &mut chats)?;
    }
    Ok(())
}

/// Counts while the chats are made.
struct Chats {
    wanted: u64,
    acked: u64,
    delivered: u64,
}

impl Traffic for Chats {
    fn handle_packet(
        &mut self,
        conn: usize,
        packet: &Packet<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        match *packet {
            Packet::PubAck { reason: 0, .. } => {
                self.acked += 1;
                Ok(())
            }
            Packet::Publish { packet_id, payload, .. } => {
                let author = body_index(payload).map(|(author, _)| author);
                if author != Some(conn as u64) {
                    self.delivered += 1;
                }
                acknowledge(packet_id, out)
            }
            ref other => Err(Error::Wrong(format!("user {conn}: {other:?}"))),
        }
    }
}
