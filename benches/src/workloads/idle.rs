//! `idle`: the resident memory of a connection that has 20 chats, or one plain filter, and nothing to say.
//!
//! With bluetick the chats are made first: each user of a ring writes to the next ten, so that he has one
//! chat with each of ten before and ten behind him, all delivered. Then the server is started anew, so that
//! memory left over from making them is not there to be used again unseen.

use std::time::{Duration, Instant};

use crate::error::{Deadline, Error};
use crate::figures::Figures;
use crate::generator::fleet::{Acknowledging, Entry, Fleet, Traffic};
use crate::generator::message::{Body, Ids, body_index};
use crate::generator::quiet::{acknowledge, serve_until_quiet, wait_until_quiet};
use crate::generator::wire::{Packet, Version, put_publish};
use crate::generator::xmpp;
use crate::generator::xmpp::fleet::Side;
use crate::generator::xmpp::stanza::Stanza;
use crate::peers::server::Server;
use crate::peers::{Peer, Work, send_topic};
use crate::settings::{Count, Settings};
use crate::workloads::{CHATS_EACH, Case, Workload};

/// Each side's unacknowledged messages.
const WINDOW: u16 = 10;
/// How long each step (connecting, making the chats) may take.
const STEP_LIMIT: Duration = Duration::from_secs(120);

/// Connections, each with one filter: of 20,000 open files, which both this process and the server may
/// have, bluetick keeps an eighth for itself.
const CONNECTIONS: Count = Count { full: 17_000, tiny: 24 };
/// With servers of which one takes 20 KB and more: what all have together matters little there.
const FEW_CONNECTIONS: Count = Count { full: 2_000, tiny: 24 };

fn connections(peer: Peer, settings: &Settings) -> u32 {
    let count = match peer {
        Peer::Bluetick | Peer::BluetickPlain | Peer::Mosquitto => CONNECTIONS,
        _ => FEW_CONNECTIONS,
    };
    settings.count(count)
}

/// Connections that have nothing to say.
pub(crate) struct Idle;

impl Workload for Idle {
    fn name(&self) -> &'static str {
        "idle"
    }

    fn about(&self) -> &'static str {
        "connections with 20 chats each, or one plain filter, and nothing to say: memory"
    }

    fn cases(&self, _settings: &Settings) -> Vec<Case> {
        let bluetick = [Peer::Bluetick, Peer::BluetickPlain];
        let brokers = [Peer::Mosquitto, Peer::Rumqttd, Peer::Rmqtt, Peer::Rabbitmq];
        // Prosody lets in four users a second on a busy machine: too few to make a crowd of.
        let peers = [&bluetick[..], &brokers, &[Peer::Ejabberd]].concat();
        peers.into_iter().map(Case::of).collect()
    }

    fn connections(&self, settings: &Settings) -> u32 {
        settings.count(CONNECTIONS)
    }

    /// Memory hardly differs from run to run, and making the chats takes a while.
    fn runs(&self, settings: &Settings) -> u16 {
        settings.runs.min(2)
    }

    fn run(&self, case: Case, settings: &Settings) -> Result<Figures, Error> {
        let mut server = Server::start(case.peer, settings, WINDOW)?;
        let measured = match case.peer.work() {
            Work::Chats | Work::Topics { .. } => measure(&mut server, case.peer, settings),
            Work::Stanzas { register } => measure_stanzas(&server, case.peer, register, settings),
        };
        measured.map_err(|error| server.explain(error))
    }

    fn plots(&self) -> &'static [&'static str] {
        &["bytes/connection"]
    }
}

fn measure(server: &mut Server, peer: Peer, settings: &Settings) -> Result<Figures, Error> {
    let crowd = Crowd::gather(server, peer, connections(peer, settings), settings, 1)?;
    let shared_bytes = crowd.shared_bytes / f64::from(crowd.count);
    let figures = figures(crowd.count as usize, crowd.before_bytes, crowd.after_bytes)
        .with("of them RocksDB's buffers", shared_bytes);
    crowd.fleet.close()?;
    Ok(figures.with("redelivered", crowd.redelivered as f64))
}

/// Users of a chat server that are there, with stream management, and have no contacts.
fn measure_stanzas(
    server: &Server,
    peer: Peer,
    register: bool,
    settings: &Settings,
) -> Result<Figures, Error> {
    let what = format!("idle against {}", peer.name());
    let count = settings.count(FEW_CONNECTIONS) as usize;
    let users: Vec<_> = (0..count).map(|number| format!("u{number}")).collect();
    wait_until_quiet(server.process(), None, &what)?;
    let before_bytes = server.process().resident_bytes()?;
    let deadline = Deadline::new(&what, STEP_LIMIT);
    let mut fleet = xmpp::fleet::Fleet::connect(server.address(), &users, register, &deadline)?;
    serve_until_quiet(server.process(), &what, |left| fleet.turn(left, &mut Nothing))?;
    let after_bytes = server.process().resident_bytes()?;
    fleet.close()?;
    Ok(figures(count, before_bytes, after_bytes).with("redelivered", 0.0))
}

/// What comes to users to whom nobody writes: acknowledgements at most.
struct Nothing;

impl xmpp::fleet::Traffic for Nothing {
    fn handle_stanza(
        &mut self,
        conn: usize,
        stanza: &Stanza<'_>,
        _side: &mut Side<'_>,
    ) -> Result<(), Error> {
        match stanza {
            Stanza::Ack { .. } => Ok(()),
            other => Err(Error::Wrong(format!("user {conn}: {other:?}"))),
        }
    }
}

fn figures(connections: usize, before_bytes: u64, after_bytes: u64) -> Figures {
    let growth_bytes = after_bytes as f64 - before_bytes as f64;
    Figures::new()
        .with("bytes/connection", growth_bytes / connections as f64)
        .with("before KiB", before_bytes as f64 / 1024.0)
        .with("after KiB", after_bytes as f64 / 1024.0)
        .with("connections", connections as f64)
}

/// Connections that have nothing to say, and what they cost.
pub(crate) struct Crowd {
    count: u32,
    pub(crate) fleet: Fleet,
    /// How long connecting all of them took.
    pub(crate) connecting: Duration,
    before_bytes: u64,
    after_bytes: u64,
    /// What RocksDB's buffers, which have their bounds, grew by meanwhile.
    shared_bytes: f64,
    redelivered: u64,
}

/// Memory of RocksDB that is bounded for all connections together: what is not in files yet, and blocks
/// that were read.
fn shared_bytes(server: &Server, peer: Peer) -> Result<f64, Error> {
    if !peer.is_ours() {
        return Ok(0.0);
    }
    let names = ["bluetick_rocksdb_write_buffer_bytes", "bluetick_rocksdb_cache_bytes"];
    names.into_iter().map(|name| server.metric(name)).sum()
}

impl Crowd {
    /// Makes the chats, starts the server anew, twice, and connects `count` users from `sources` addresses.
    pub(crate) fn gather(
        server: &mut Server,
        peer: Peer,
        count: u32,
        settings: &Settings,
        sources: u8,
    ) -> Result<Self, Error> {
        let what = format!("{count} idle connections to {}", peer.name());
        let clients: Vec<_> = (0..count as usize).map(|number| peer.idler(number)).collect();
        let version = settings.version();
        let connect = |server: &Server| {
            let entry = Entry { sources, ..Entry::new(server.address(), version, WINDOW) };
            let deadline = Deadline::new(&what, STEP_LIMIT);
            Fleet::enter(entry, &clients, &deadline, &mut Acknowledging)
        };

        if peer == Peer::Bluetick {
            let mut fleet = connect(server)?;
            let deadline = Deadline::new(&what, STEP_LIMIT);
            make_chats(&mut fleet, clients.len(), version, &deadline)?;
            fleet.close()?;
            wait_until_quiet(server.process(), None, &what)?;
            // The first start reads the log of the one before, and frees what that took: connections
            // would live in it, and seem to take less than they do. The second finds nothing to read.
            for _ in 0..2 {
                server.restart()?;
                wait_until_quiet(server.process(), None, &what)?;
            }
        }
        wait_until_quiet(server.process(), None, &what)?;
        let before_bytes = server.process().resident_bytes()?;
        let shared_before_bytes = shared_bytes(server, peer)?;
        let start = Instant::now();
        let mut fleet = connect(server)?;
        let connecting = start.elapsed();
        let redelivered = wait_until_quiet(server.process(), Some(&mut fleet), &what)?;
        let after_bytes = server.process().resident_bytes()?;
        let shared_bytes = shared_bytes(server, peer)? - shared_before_bytes;
        Ok(Self { count, fleet, connecting, before_bytes, after_bytes, shared_bytes, redelivered })
    }

    /// What the server's memory grew by for each.
    pub(crate) fn bytes_each(&self) -> f64 {
        (self.after_bytes as f64 - self.before_bytes as f64) / f64::from(self.count)
    }
}

/// Each user of a ring writes to the next ten.
pub(crate) fn make_chats(
    fleet: &mut Fleet,
    count: usize,
    version: Version,
    deadline: &Deadline,
) -> Result<(), Error> {
    let ahead = CHATS_EACH / 2;
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
