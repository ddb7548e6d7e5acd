//! `reconnect-storm`: all devices lose their connections and come back at once, each to a message that waits for it.
//!
//! Their sessions outlive their connections, and with bluetick each user has 20 chats. They come from many addresses, as
//! many at a time as a server lets in of them.

use std::time::{Duration, Instant};

use crate::error::{Deadline, Error};
use crate::figures::Figures;
use crate::generator::feed::feed;
use crate::generator::fleet::{Acknowledging, Client, Entry, Fleet, Traffic};
use crate::generator::quiet::{acknowledge, wait_until_quiet};
use crate::generator::wire::Packet;
use crate::measure::spent::Meter;
use crate::peers::server::Server;
use crate::peers::{Delivery, Peer, client, send_topic};
use crate::settings::{Count, Settings, WINDOW};
use crate::workloads::idle::make_chats;
use crate::workloads::{Case, Workload};

/// How long each step (connecting, making the chats) may take.
const STEP_LIMIT: Duration = Duration::from_secs(120);

/// Devices, each of a user of its own.
const DEVICES: Count = Count { full: 10_000, tiny: 40 };
/// Addresses that they come from: each has fewer that are not let in yet than limits.connecting_per_address_max.
const SOURCES: u8 = 20;
/// Connections that are being opened at the same time: below the shortest listen backlog, mosquitto's 100, beyond which
/// a SYN is dropped and comes again after a second.
const TOGETHER: usize = 90;

/// Everybody comes back.
pub(crate) struct ReconnectStorm;

impl Workload for ReconnectStorm {
    fn name(&self) -> &'static str {
        "reconnect-storm"
    }

    fn about(&self) -> &'static str {
        "10,000 devices with persistent sessions come back at once, each to one message that waits"
    }

    fn cases(&self, _settings: &Settings) -> Vec<Case> {
        [Peer::Bluetick, Peer::BluetickPlain, Peer::Mosquitto].map(Case::of).into()
    }

    /// One takes half a minute.
    fn runs(&self, _settings: &Settings) -> u16 {
        1
    }

    fn connections(&self, settings: &Settings) -> u32 {
        settings.count(DEVICES)
    }

    fn run(&self, case: Case, settings: &Settings) -> Result<Figures, Error> {
        let server = Server::start(case.peer, settings, WINDOW)?;
        drive(&server, case.peer, settings).map_err(|error| server.explain(error))
    }

    fn plots(&self) -> &'static [&'static str] {
        &["devices/s", "server CPU us/device"]
    }
}

fn drive(server: &Server, peer: Peer, settings: &Settings) -> Result<Figures, Error> {
    let what = format!("reconnect-storm against {}", peer.name());
    let devices = settings.count(DEVICES) as usize;
    let clients: Vec<_> =
        (0..devices).map(|number| Client { persistent: true, ..peer.idler(number) }).collect();
    let (address, version) = (server.address(), settings.version());
    let entry =
        Entry { together: TOGETHER, sources: SOURCES, ..Entry::new(address, version, WINDOW) };
    let step = || Deadline::new(&what, STEP_LIMIT);
    let mut fleet = Fleet::enter(entry, &clients, &step(), &mut Acknowledging)?;
    if peer == Peer::Bluetick {
        make_chats(&mut fleet, devices, version, &step())?;
        wait_until_quiet(server.process(), Some(&mut fleet), &what)?;
    }
    // Nobody says goodbye.
    drop(fleet);
    send_each(server, peer, devices, settings, &step())?;
    wait_until_quiet(server.process(), None, &what)?;

    let process = server.process();
    let before_bytes = process.resident_bytes()?;
    process.forget_peak()?;
    let deadline = step();
    let mut returned = Returned { got: vec![false; devices], count: 0 };
    let meter = Meter::start(process)?;
    let start = Instant::now();
    let mut fleet = Fleet::enter(entry, &clients, &deadline, &mut returned)?;
    let let_in = start.elapsed();
    while returned.count < devices {
        deadline.check(|| format!("{} of {devices} messages", devices - returned.count))?;
        fleet.turn(deadline.left(), &mut returned)?;
    }
    let spent = meter.read()?;
    let peak_bytes = process.peak_bytes()?;
    let more = wait_until_quiet(process, Some(&mut fleet), &what)?;
    if more > 0 {
        return Err(Error::Wrong(format!("{more} messages beyond one for each device")));
    }
    let after_bytes = process.resident_bytes()?;
    fleet.close()?;
    let mib = |bytes: u64| bytes as f64 / 1_048_576.0;
    let figures = Figures::new()
        .with("devices/s", devices as f64 / let_in.as_secs_f64())
        .with("all have SUBACK after ms", let_in.as_secs_f64() * 1e3)
        .with("all have their message after ms", spent.wall.as_secs_f64() * 1e3);
    Ok(spent
        .put(figures, "device", devices as f64)
        .with("memory: before MiB", mib(before_bytes))
        .with("memory: peak MiB", mib(peak_bytes))
        .with("memory: after MiB", mib(after_bytes))
        .with("devices", devices as f64))
}

/// One user sends a message to each of the others.
fn send_each(
    server: &Server,
    peer: Peer,
    devices: usize,
    settings: &Settings,
    deadline: &Deadline,
) -> Result<(), Error> {
    let chats = peer == Peer::Bluetick;
    let errors = if chats { vec!["me/errors".into()] } else { Vec::new() };
    let sender = client("sender".into(), errors);
    // A plain topic ends where its name ends.
    let settings = &Settings { no_id: settings.no_id || !chats, ..settings.clone() };
    let (address, version) = (server.address(), settings.version());
    let mut fleet = Fleet::connect(address, version, &[sender], WINDOW, deadline)?;
    feed(&mut fleet, 1, settings, deadline, 0, |_, index, out| {
        let number = index as usize;
        if chats {
            out.extend_from_slice(&send_topic(&format!("u{number}"), !settings.no_id));
        } else {
            out.extend_from_slice(&peer.pair_topic(number, false));
        }
        number < devices
    })?;
    fleet.close()
}

/// Which devices have got the message that waited.
struct Returned {
    got: Vec<bool>,
    count: usize,
}

impl Traffic for Returned {
    fn handle_packet(
        &mut self,
        conn: usize,
        packet: &Packet<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        match *packet {
            Packet::Publish { topic, packet_id, .. }
                if Delivery::of(topic) == Delivery::Message =>
            {
                let got = self.got.get_mut(conn).filter(|got| !**got);
                *got.ok_or_else(|| Error::Wrong(format!("device {conn}: a second message")))? =
                    true;
                self.count += 1;
                acknowledge(packet_id, out)
            }
            ref other => Err(Error::Wrong(format!("device {conn}: {other:?}"))),
        }
    }
}
