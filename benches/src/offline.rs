//! `offline`: a message to a group whose members are all away must not cost more the more they are.
//!
//! Each member has been there once, with a session that outlives his connection: that is what a phone in a drawer
//! is. Then the sender writes, first with one message in flight, then with a full window.

use std::time::{Duration, Instant};

use serde::Serialize;

use crate::blocking::Blocking;
use crate::error::{Deadline, Error};
use crate::feed::feed;
use crate::fleet::{Client, Fleet};
use crate::group::{SENDER, make_group};
use crate::message::{Body, Ids};
use crate::peer::{Peer, chat_topic, client};
use crate::quiet::wait_until_quiet;
use crate::server::Server;
use crate::settings::{Settings, WINDOW, Workload};
use crate::stats::Latency;

/// How long connecting the members may take.
const CONNECT_LIMIT: Duration = Duration::from_secs(30);
/// How long each of the two parts may take.
const PART_LIMIT: Duration = Duration::from_secs(60);
/// First messages that are not measured.
const WARM_UP: u64 = 20;

/// One run's figures.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct OfflineRun {
    /// Members who are away.
    pub members: u32,
    /// With one message in flight: from its PUBLISH to its PUBACK.
    pub puback: Latency,
    /// User and system time of the server per message, with one in flight.
    pub alone_server_cpu_us: f64,
    /// Messages by the time from the first PUBLISH to the last PUBACK, with a window of 100.
    pub messages_per_s: f64,
    /// User and system time of the server per message, with a window of 100.
    pub server_cpu_us: f64,
}

/// Runs once against a fresh server.
///
/// # Errors
/// Whatever the server does wrong or too late.
pub fn run_offline(members: u32, settings: &Settings) -> Result<OfflineRun, Error> {
    let server = Server::start(Peer::Bluetick, settings, Workload::Offline.window())?;
    drive(&server, members, settings).map_err(|error| server.explain(error))
}

fn drive(server: &Server, members: u32, settings: &Settings) -> Result<OfflineRun, Error> {
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
    let times = send_alone(&mut alone, &topic, settings.latencies, settings)?;
    let alone_cpu = cpu()? - before;
    alone.close()?;

    let mut fleet = Fleet::connect(address, version, &[sender], WINDOW, &deadline)?;
    let before = cpu()?;
    let start = Instant::now();
    let messages = feed(&mut fleet, 1, settings, &deadline, 0, |_, index, out| {
        out.extend_from_slice(&topic);
        index < settings.messages && start.elapsed() < settings.time()
    })?;
    let wall = start.elapsed();
    let server_cpu = cpu()? - before;
    fleet.close()?;
    let each_us = |time: Duration, count: u64| time.as_secs_f64() * 1e6 / count as f64;
    Ok(OfflineRun {
        members,
        alone_server_cpu_us: each_us(alone_cpu, times.len() as u64),
        puback: Latency::of(times).ok_or_else(|| Error::Wrong("nothing was measured".into()))?,
        messages_per_s: messages as f64 / wall.as_secs_f64(),
        server_cpu_us: each_us(server_cpu, messages),
    })
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
