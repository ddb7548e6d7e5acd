//! `a-million-chats`: messages to any of very many chats.
//!
//! The chats are made over the wire: fifty senders begin as many each, receivers have twenty each. Then the server is
//! killed and started again, so that none of them is in its memory; the system's page cache stays as it is. First single messages are sent to chats that were not
//! used since, then full windows to a thousand of them, then to any.

use std::time::{Duration, Instant};

use crate::error::{Deadline, Error};
use crate::figures::Figures;
use crate::generator::blocking::Blocking;
use crate::generator::feed::feed;
use crate::generator::fleet::Fleet;
use crate::generator::message::{Body, Ids};
use crate::generator::quiet::wait_until_quiet;
use crate::measure::spent::{Meter, Spent};
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
/// Of the one between the two.
const SOME: Count = Count { full: 100_000, tiny: 150 };
/// Chats of the small one; in all, so many are written to all the time.
const FEW: Count = Count { full: 1_000, tiny: 100 };
/// Chats in which a run sends.
const PROBES: Count = Count { full: 200, tiny: 5 };
/// Messages to chats taken at random.
const MESSAGES: Count = Count { full: 400_000, tiny: 500 };
/// Users who began the chats, each an equal share.
const SENDERS: u32 = 50;

/// The first message in one of very many chats.
pub(crate) struct AMillionChats;

impl Workload for AMillionChats {
    fn name(&self) -> &'static str {
        "a-million-chats"
    }

    fn about(&self) -> &'static str {
        "messages to any of 1,000,000 chats, beside 100,000 and 1,000, after a restart"
    }

    fn cases(&self, settings: &Settings) -> Vec<Case> {
        Case::sizes([MANY, SOME, FEW].map(|count| settings.count(count)))
    }

    /// One takes a minute or two.
    fn runs(&self, _settings: &Settings) -> u16 {
        1
    }

    fn run(&self, case: Case, settings: &Settings) -> Result<Figures, Error> {
        let mut server = Server::start(case.peer, settings, WINDOW)?;
        drive(&mut server, case.size, settings).map_err(|error| server.explain(error))
    }

    fn plots(&self) -> &'static [&'static str] {
        &["messages/s", "to any chat messages/s", "cold PUBACK p50 us"]
    }
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
        let there = sender(chat);
        cold.push(send(&there)?);
        warm.push(send(&there)?);
        new.push(send(&format!("new{probe}"))?);
        user.close()?;
    }
    let after_bytes = server.process().resident_bytes()?;
    let throughput = |chats| {
        let deadline = Deadline::new(&what, settings.time() + PROBE_LIMIT);
        throughput(server, chats, settings, &deadline)
    };
    // Into memory with them, as they would be where something goes on in them all the time.
    let _cold = throughput(settings.count(FEW))?;
    let (active, active_spent) = throughput(settings.count(FEW))?;
    let (any, any_spent) = throughput(chats)?;
    let (active, any) = (active as f64, any as f64);
    let mib = |bytes: u64| bytes as f64 / 1_048_576.0;
    let figures = Figures::new()
        .with("messages/s", active / active_spent.wall.as_secs_f64())
        .with("to any chat messages/s", any / any_spent.wall.as_secs_f64())
        .with("to any chat server CPU us/msg", any_spent.server_us(any));
    Ok(active_spent
        .put(figures, "msg", active)
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
fn sender(chat: u32) -> String {
    format!("s{}", chat % SENDERS)
}

/// The other member of chat `chat`: twenty in a row have the same, and twenty senders.
fn receiver(chat: u32) -> String {
    format!("r{}", chat / CHATS_EACH as u32)
}

/// The senders, connected.
fn connect(server: &Server, settings: &Settings, deadline: &Deadline) -> Result<Fleet, Error> {
    let clients: Vec<_> =
        (0..SENDERS).map(|number| client(sender(number), vec!["me/errors".into()])).collect();
    Fleet::connect(server.address(), settings.version(), &clients, WINDOW, deadline)
}

fn make_chats(
    server: &Server,
    chats: u32,
    settings: &Settings,
    deadline: &Deadline,
) -> Result<(), Error> {
    let mut fleet = connect(server, settings, deadline)?;
    let made = feed(&mut fleet, SENDERS as usize, settings, deadline, 0, |conn, index, out| {
        let chat = conn as u64 + index * u64::from(SENDERS);
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

/// Every sender has a full window of messages to his of the first `chats` chats, taken at random, whose other member is
/// away: how many were sent, and what it took.
fn throughput(
    server: &Server,
    chats: u32,
    settings: &Settings,
    deadline: &Deadline,
) -> Result<(u64, Spent), Error> {
    let mut fleet = connect(server, settings, deadline)?;
    let quota = u64::from(settings.count(MESSAGES) / SENDERS);
    let each = u64::from(chats / SENDERS);
    let meter = Meter::start(server.process())?;
    let start = Instant::now();
    let sent = feed(&mut fleet, SENDERS as usize, settings, deadline, 0, |conn, index, out| {
        // Spread by a multiplication (Knuth, The Art of Computer Programming, volume 3, section 6.4).
        let spread = index.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
        let chat = conn as u64 + spread % each * u64::from(SENDERS);
        out.extend(send_topic(&receiver(chat as u32), !settings.no_id));
        index < quota && start.elapsed() < settings.time()
    })?;
    let spent = meter.read()?;
    fleet.close()?;
    Ok((sent, spent))
}
