//! `a-million-chats`: the first message in one of very many chats.
//!
//! The chats are made over the wire: few senders begin many each, receivers have twenty each. Then the server is
//! killed and started again, so that none of them is in its memory; the system's page cache stays as it is.

use std::time::{Duration, Instant};

use serde::Serialize;

use crate::blocking::Blocking;
use crate::error::{Deadline, Error};
use crate::feed::feed;
use crate::fleet::Fleet;
use crate::message::{Body, Ids};
use crate::peer::{Peer, client, send_topic};
use crate::quiet::wait_until_quiet;
use crate::server::Server;
use crate::settings::{CHATS_PER_IDLER, Settings, WINDOW, Workload};
use crate::stats::Latency;

/// How long making the chats may take.
const MAKE_LIMIT: Duration = Duration::from_secs(300);
/// How long the first messages may take.
const PROBE_LIMIT: Duration = Duration::from_secs(60);

/// One run's figures.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct MillionRun {
    /// Chats with one message each.
    pub chats: u32,
    /// How long making them took.
    pub make_s: f64,
    /// Bytes that the data takes of the disk then.
    pub disk_bytes: u64,
    /// Resident memory of the server that made them.
    pub made_bytes: u64,
    /// From the start on this data until it listens.
    pub restart_s: f64,
    /// Resident memory of the server that was started on them.
    pub restarted_bytes: u64,
    /// The PUBACK of the first message in a chat that is there and was not used since the start.
    pub cold: Latency,
    /// The PUBACK of the second message in that chat.
    pub warm: Latency,
    /// The PUBACK of the first message in a chat that was not there.
    pub new: Latency,
    /// Resident memory at the end.
    pub after_bytes: u64,
}

/// Runs once against a fresh server.
///
/// # Errors
/// Whatever the server does wrong or too late.
pub fn run_million(chats: u32, settings: &Settings) -> Result<MillionRun, Error> {
    let mut server = Server::start(Peer::Bluetick, settings, Workload::AMillionChats.window())?;
    drive(&mut server, chats, settings).map_err(|error| server.explain(error))
}

fn drive(server: &mut Server, chats: u32, settings: &Settings) -> Result<MillionRun, Error> {
    let what = format!("a-million-chats, {chats} chats");
    let start = Instant::now();
    make_chats(server, chats, settings, &Deadline::new(&what, MAKE_LIMIT))?;
    let make_s = start.elapsed().as_secs_f64();
    wait_until_quiet(server.process(), None, &what)?;
    let disk_bytes = server.disk_bytes()?;
    let made_bytes = server.process().resident_bytes()?;

    let start = Instant::now();
    server.restart()?;
    let restart_s = start.elapsed().as_secs_f64();
    wait_until_quiet(server.process(), None, &what)?;
    let restarted_bytes = server.process().resident_bytes()?;
    let deadline = Deadline::new(&what, PROBE_LIMIT);
    let (mut cold, mut warm, mut new) = (Vec::new(), Vec::new(), Vec::new());
    let mut ids = Ids::default();
    let probes = settings.probes.min(chats);
    for probe in 0..probes {
        // Spread evenly, so that neighbours in the store are not warmed up by each other.
        let chat = (u64::from(probe) * u64::from(chats) / u64::from(probes)) as u32;
        let user = client(receiver(chat), vec!["me/errors".into()]);
        let mut user =
            Blocking::connect(server.address(), settings.version(), &user, 1, deadline.clone())?;
        let mut send = |to: &str| {
            let mut topic = send_topic(to, !settings.no_id);
            if !settings.no_id {
                ids.tick();
                ids.put(&mut topic);
            }
            user.publish(&topic, Body::default().fill(0, false))
        };
        let there = sender(chat, settings.senders(chats));
        cold.push(send(&there)?);
        warm.push(send(&there)?);
        new.push(send(&format!("new{probe}"))?);
        user.close()?;
    }
    let after_bytes = server.process().resident_bytes()?;
    let latency =
        |times| Latency::of(times).ok_or_else(|| Error::Wrong("nothing was measured".into()));
    Ok(MillionRun {
        chats,
        make_s,
        disk_bytes,
        made_bytes,
        restart_s,
        restarted_bytes,
        cold: latency(cold)?,
        warm: latency(warm)?,
        new: latency(new)?,
        after_bytes,
    })
}

/// Who began chat `chat`: one after the other in turns.
fn sender(chat: u32, senders: u32) -> String {
    format!("s{}", chat % senders)
}

/// The other member of chat `chat`: twenty in a row have the same, and twenty senders.
fn receiver(chat: u32) -> String {
    format!("r{}", chat / CHATS_PER_IDLER as u32)
}

fn make_chats(
    server: &Server,
    chats: u32,
    settings: &Settings,
    deadline: &Deadline,
) -> Result<(), Error> {
    let senders = settings.senders(chats);
    let clients: Vec<_> = (0..senders)
        .map(|number| client(sender(number, senders), vec!["me/errors".into()]))
        .collect();
    let mut fleet =
        Fleet::connect(server.address(), settings.version(), &clients, WINDOW, deadline)?;
    let made = feed(&mut fleet, clients.len(), settings, deadline, 0, |conn, index, out| {
        let chat = conn as u64 + index * u64::from(senders);
        match u32::try_from(chat) {
            Ok(chat) if chat < chats => {
                out.extend(send_topic(&receiver(chat), !settings.no_id));
                true
            }
            _ => false,
        }
    })?;
    if made != u64::from(chats) {
        return Err(Error::Wrong(format!("{made} chats of {chats} were made")));
    }
    fleet.close()
}
