//! `offline`: a message to a group whose members are all away must not cost more the more they are.
//!
//! Each member has been there once, with a session that outlives his connection: that is what a phone in a drawer
//! is. Then the sender writes, first with one message in flight, then with a full window.

use std::time::{Duration, Instant};

use crate::error::{Deadline, Error};
use crate::figures::Figures;
use crate::generator::blocking::Blocking;
use crate::generator::feed::feed;
use crate::generator::fleet::{Client, Fleet};
use crate::generator::group::{SENDER, make_group};
use crate::generator::message::{Body, Ids};
use crate::generator::quiet::wait_until_quiet;
use crate::peers::server::Server;
use crate::peers::{Peer, chat_topic, client};
use crate::settings::{Count, Settings, WINDOW};
use crate::workloads::{Case, Workload};

/// How long connecting the members may take.
const CONNECT_LIMIT: Duration = Duration::from_secs(30);
/// How long each of the two parts may take.
const PART_LIMIT: Duration = Duration::from_secs(60);
/// First messages that are not measured.
const WARM_UP: u64 = 20;

/// Members of the large group.
const MEMBERS: Count = Count { full: 1_000, tiny: 6 };
/// Members of the small group.
const FEW: Count = Count { full: 10, tiny: 3 };
/// Messages with one in flight.
const ALONE: Count = Count { full: 5_000, tiny: 100 };
/// Messages with a full window.
const MESSAGES: Count = Count { full: 200_000, tiny: 500 };

/// A group with nobody there.
pub(crate) struct Offline;

impl Workload for Offline {
    fn name(&self) -> &'static str {
        "offline"
    }

    fn about(&self) -> &'static str {
        "a group of 1,000 whose members are all away, beside 10: what each message costs"
    }

    fn cases(&self, settings: &Settings) -> Vec<Case> {
        Case::sizes([MEMBERS, FEW].map(|count| settings.count(count)))
    }

    fn connections(&self, settings: &Settings) -> u32 {
        settings.count(MEMBERS)
    }

    fn run(&self, case: Case, settings: &Settings) -> Result<Figures, Error> {
        let server = Server::start(case.peer, settings, WINDOW)?;
        drive(&server, case.size, settings).map_err(|error| server.explain(error))
    }

    fn plots(&self) -> &'static [&'static str] {
        &["messages/s", "PUBACK p50 us"]
    }
}

fn drive(server: &Server, members: u32, settings: &Settings) -> Result<Figures, Error> {
    let what = format!("offline, {members} members");
    let (address, version) = (server.address(), settings.version());
    let deadline = Deadline::new(&what, CONNECT_LIMIT);
    let chat = make_group(address, settings, members, &deadline)?;
    let clients: Vec<_> = (0..members as usize)
        .map(|number| Client { persistent: true, ..Peer::Bluetick.member(number) })
        .collect();
    let mut fleet = Fleet::connect(address, version, &clients, WINDOW, &deadline)?;
    // They are told that they are members, and leave.
    wait_until_quiet(server.process(), Some(&mut fleet), &what)?;
    fleet.close()?;
    wait_until_quiet(server.process(), None, &what)?;

    let sender = client(SENDER.into(), vec!["me/errors".into()]);
    let topic = chat_topic(&chat, !settings.no_id);
    let deadline = Deadline::new(&what, PART_LIMIT);
    let cpu = || server.process().cpu();
    let mut alone = Blocking::connect(address, version, &sender, 1, deadline.clone())?;
    let _warm = send_alone(&mut alone, &topic, WARM_UP, settings)?;
    let before = cpu()?;
    let times = send_alone(&mut alone, &topic, u64::from(settings.count(ALONE)), settings)?;
    let alone_cpu = cpu()? - before;
    alone.close()?;

    let mut fleet = Fleet::connect(address, version, &[sender], WINDOW, &deadline)?;
    let quota = u64::from(settings.count(MESSAGES));
    let before = cpu()?;
    let start = Instant::now();
    let messages = feed(&mut fleet, 1, settings, &deadline, 0, |_, index, out| {
        out.extend_from_slice(&topic);
        index < quota && start.elapsed() < settings.time()
    })?;
    let wall = start.elapsed();
    let server_cpu = cpu()? - before;
    fleet.close()?;
    let each_us = |time: Duration, count: u64| time.as_secs_f64() * 1e6 / count as f64;
    let alone_us = each_us(alone_cpu, times.len() as u64);
    Ok(Figures::new()
        .with_latency("PUBACK", times)?
        .with("alone: server CPU us/msg", alone_us)
        .with("messages/s", messages as f64 / wall.as_secs_f64())
        .with("server CPU us/msg", each_us(server_cpu, messages)))
}

/// Sends one at a time, `count` messages or as many as the time allows; what each took.
fn send_alone(
    sender: &mut Blocking,
    topic: &[u8],
    count: u64,
    settings: &Settings,
) -> Result<Vec<Duration>, Error> {
    let (mut body, mut ids) = (Body::default(), Ids::default());
    let mut topic = topic.to_vec();
    let topic_bytes = topic.len();
    let start = Instant::now();
    let mut times = Vec::new();
    for index in 0..count {
        if !settings.no_id {
            ids.tick();
            ids.put(&mut topic);
        }
        times.push(sender.publish(&topic, body.fill(index, false))?);
        topic.truncate(topic_bytes);
        if start.elapsed() >= settings.time() {
            break;
        }
    }
    Ok(times)
}
