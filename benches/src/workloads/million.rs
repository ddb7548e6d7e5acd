//! `a-million-chats`: the first message in one of very many chats.
//!
//! The chats are made over the wire: few senders begin many each, receivers have twenty each. Then the server is
//! killed and started again, so that none of them is in its memory; the system's page cache stays as it is.

use std::time::{Duration, Instant};

use crate::error::{Deadline, Error};
use crate::figures::Figures;
use crate::generator::blocking::Blocking;
use crate::generator::feed::feed;
use crate::generator::fleet::Fleet;
use crate::generator::message::{Body, Ids};
use crate::generator::quiet::wait_until_quiet;
use crate::peers::server::Server;
use crate::peers::{client, send_topic};
use crate::settings::{Count, Settings, WINDOW};
use crate::workloads::{CHATS_EACH, Case, Workload};

/// How long making the chats may take.
const MAKE_LIMIT: Duration = Duration::from_secs(300);
/// How long the first messages may take.
const PROBE_LIMIT: Duration = Duration::from_secs(60);

/// Chats of the large data directory.
const MANY: Count = Count { full: 1_000_000, tiny: 200 };
/// Chats of the small one.
const FEW: Count = Count { full: 1_000, tiny: 100 };
/// Chats in which a run sends.
const PROBES: Count = Count { full: 200, tiny: 5 };

/// The first message in one of very many chats.
pub(crate) struct AMillionChats;

impl Workload for AMillionChats {
    fn name(&self) -> &'static str {
        "a-million-chats"
    }

    fn about(&self) -> &'static str {
        "the first message in one of 1,000,000 chats, beside 1,000, after a restart"
    }

    fn cases(&self, settings: &Settings) -> Vec<Case> {
        Case::sizes([MANY, FEW].map(|count| settings.count(count)))
    }

    /// One takes a minute or two.
    fn runs(&self, _settings: &Settings) -> u16 {
        1
    }

    fn connections(&self, settings: &Settings) -> u32 {
        senders(settings.count(MANY))
    }

    fn run(&self, case: Case, settings: &Settings) -> Result<Figures, Error> {
        let mut server = Server::start(case.peer, settings, WINDOW)?;
        drive(&mut server, case.size, settings).map_err(|error| server.explain(error))
    }

    fn plots(&self) -> &'static [&'static str] {
        &["cold PUBACK p50 us", "restart s"]
    }
}

/// Users who each begin an equal share of `chats`: of twenty each where that is enough for few, and never more than a
/// thousand.
fn senders(chats: u32) -> u32 {
    (chats / CHATS_EACH as u32).clamp(CHATS_EACH as u32, 1_000)
}

fn drive(server: &mut Server, chats: u32, settings: &Settings) -> Result<Figures, Error> {
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
    let probes = settings.count(PROBES).min(chats);
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
        let there = sender(chat, senders(chats));
        cold.push(send(&there)?);
        warm.push(send(&there)?);
        new.push(send(&format!("new{probe}"))?);
        user.close()?;
    }
    let after_bytes = server.process().resident_bytes()?;
    let mib = |bytes: u64| bytes as f64 / 1_048_576.0;
    Ok(Figures::new()
        .with_latency("cold PUBACK", cold)?
        .with_latency("warm PUBACK", warm)?
        .with_latency("new PUBACK", new)?
        .with("made in s", make_s)
        .with("disk MiB", mib(disk_bytes))
        .with("restart s", restart_s)
        .with("memory: made MiB", mib(made_bytes))
        .with("memory: restarted MiB", mib(restarted_bytes))
        .with("memory: after MiB", mib(after_bytes)))
}

/// Who began chat `chat`: one after the other in turns.
fn sender(chat: u32, senders: u32) -> String {
    format!("s{}", chat % senders)
}

/// The other member of chat `chat`: twenty in a row have the same, and twenty senders.
fn receiver(chat: u32) -> String {
    format!("r{}", chat / CHATS_EACH as u32)
}

fn make_chats(
    server: &Server,
    chats: u32,
    settings: &Settings,
    deadline: &Deadline,
) -> Result<(), Error> {
    let senders = senders(chats);
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
