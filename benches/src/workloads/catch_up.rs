//! `catch-up`: a device was away while very much was sent to it; it comes back and takes all of it.
//!
//! Its session outlives its connection, so that nothing is asked for again. The time is that from CONNECT until the
//! last message has come; each is acknowledged, and its place is checked.

use std::collections::HashMap;
use std::time::Duration;

use crate::error::{Deadline, Error};
use crate::figures::Figures;
use crate::generator::feed::feed;
use crate::generator::fleet::{Client, Entry, Fleet, Traffic};
use crate::generator::group::{SENDER, make_group};
use crate::generator::message::{body_index, json_number};
use crate::generator::quiet::{acknowledge, wait_until_quiet};
use crate::generator::wire::Packet;
use crate::measure::spent::Meter;
use crate::peers::server::Server;
use crate::peers::{Delivery, Peer, chat_topic, client, member_name, send_topic};
use crate::settings::{Count, Settings, WINDOW};
use crate::workloads::{Case, Workload};

/// How long making the messages may take.
const MAKE_LIMIT: Duration = Duration::from_secs(120);
/// How long taking them may take.
const TAKE_LIMIT: Duration = Duration::from_secs(60);

/// Messages that wait, over all chats.
const MESSAGES: Count = Count { full: 100_000, tiny: 300 };
/// Members of the group, beside its sender: all away.
const MEMBERS: Count = Count { full: 10, tiny: 3 };

/// A device that was away.
pub(crate) struct CatchUp {
    name: &'static str,
    about: &'static str,
    group: bool,
}

/// Direct chats, each with a sender of its own.
pub(crate) const DIRECT: CatchUp = CatchUp {
    name: "catch-up",
    about: "a device takes 100,000 messages that were sent to it while it was away, in 1 chat and in 100",
    group: false,
};
/// A group.
pub(crate) const GROUP: CatchUp = CatchUp {
    name: "catch-up-group",
    about: "a device takes 100,000 messages of a group of 10",
    group: true,
};

impl Workload for CatchUp {
    fn name(&self) -> &'static str {
        self.name
    }

    fn about(&self) -> &'static str {
        self.about
    }

    fn cases(&self, _settings: &Settings) -> Vec<Case> {
        if self.group {
            return vec![Case::of(Peer::Bluetick)];
        }
        Case::each([Peer::Bluetick, Peer::BluetickPlain, Peer::Mosquitto], [1, 100])
    }

    /// To send what waits takes longer than to take it.
    fn runs(&self, settings: &Settings) -> u16 {
        settings.runs.min(2)
    }

    fn connections(&self, _settings: &Settings) -> u32 {
        200
    }

    fn run(&self, case: Case, settings: &Settings) -> Result<Figures, Error> {
        let server = Server::start(case.peer, settings, WINDOW)?;
        let what = format!("{} against {}", self.name, case.peer.name());
        let roles = match self.group {
            true => the_group(&server, settings, &what),
            false => Ok(chats(case, settings)),
        };
        roles
            .and_then(|roles| drive(&server, case.peer, settings, &what, roles))
            .map_err(|error| server.explain(error))
    }

    fn plots(&self) -> &'static [&'static str] {
        &["messages/s", "server CPU us/msg"]
    }
}

/// Who does what.
struct Roles {
    /// Who is away.
    device: Client,
    senders: Vec<Client>,
    /// Where each of them sends to.
    topics: Vec<Vec<u8>>,
    in_group: bool,
}

fn chats(case: Case, settings: &Settings) -> Roles {
    let (peer, with_id) = (case.peer, !settings.no_id);
    let chats = case.size as usize;
    if peer == Peer::Bluetick {
        let senders = (0..chats).map(|number| client(format!("s{number}"), errors())).collect();
        let topics = vec![send_topic("r0", with_id); chats];
        return Roles { device: peer.receiver(0), senders, topics, in_group: false };
    }
    let device = Client { filters: vec!["t/#".into()], ..peer.receiver(0) };
    let senders = (0..chats).map(|number| peer.sender(number)).collect();
    let topics = (0..chats).map(|number| peer.pair_topic(number, false)).collect();
    Roles { device, senders, topics, in_group: false }
}

fn the_group(server: &Server, settings: &Settings, what: &str) -> Result<Roles, Error> {
    let (members, deadline) = (settings.count(MEMBERS), Deadline::new(what, TAKE_LIMIT));
    let chat = make_group(server.address(), settings, members, &deadline)?;
    let device = client(member_name(0), vec!["chats/+/messages".into()]);
    let topic = chat_topic(&chat, !settings.no_id);
    let senders = vec![client(SENDER.into(), errors())];
    Ok(Roles { device, senders, topics: vec![topic], in_group: true })
}

fn errors() -> Vec<String> {
    vec!["me/errors".into()]
}

fn drive(
    server: &Server,
    peer: Peer,
    settings: &Settings,
    what: &str,
    Roles { device, senders, topics, in_group }: Roles,
) -> Result<Figures, Error> {
    let (address, version) = (server.address(), settings.version());
    let messages = u64::from(settings.count(MESSAGES));
    let device = Client { persistent: true, ..device };
    let deadline = Deadline::new(what, MAKE_LIMIT);
    let devices = std::slice::from_ref(&device);
    let mut there = Fleet::connect(address, version, devices, WINDOW, &deadline)?;
    if in_group {
        // It is told that it is a member.
        wait_until_quiet(server.process(), Some(&mut there), what)?;
    }
    there.close()?;

    // A plain topic ends where its name ends.
    let sending = Settings { no_id: settings.no_id || !peer.takes_id(), ..settings.clone() };
    let each = messages / senders.len() as u64;
    let mut fleet = Fleet::connect(address, version, &senders, WINDOW, &deadline)?;
    let sent = feed(&mut fleet, senders.len(), &sending, &deadline, 0, |conn, index, out| {
        out.extend_from_slice(&topics[conn]);
        index < each
    })?;
    fleet.close()?;
    wait_until_quiet(server.process(), None, what)?;
    let before_bytes = server.process().resident_bytes()?;

    let deadline = Deadline::new(what, TAKE_LIMIT);
    let mut taker = Taker { places: peer.takes_id(), ..Taker::default() };
    let meter = Meter::start(server.process())?;
    // The session has its subscription.
    let device = Client { filters: Vec::new(), ..device };
    let entry = Entry::new(address, version, WINDOW);
    let mut fleet = Fleet::enter(entry, &[device], &deadline, &mut taker)?;
    while taker.taken < sent {
        deadline.check(|| format!("{} of {sent} messages", sent - taker.taken))?;
        fleet.turn(deadline.left(), &mut taker)?;
    }
    let spent = meter.read()?;
    let more = wait_until_quiet(server.process(), Some(&mut fleet), what)?;
    if more > 0 || taker.chats.values().any(|chat| chat.messages != each) {
        return Err(Error::Wrong(format!(
            "{more} messages beyond the {sent} sent, or a chat short"
        )));
    }
    let after_bytes = server.process().resident_bytes()?;
    fleet.close()?;
    let figures = Figures::new().with("messages/s", sent as f64 / spent.wall.as_secs_f64());
    let mib = |bytes: u64| bytes as f64 / 1_048_576.0;
    Ok(spent
        .put(figures, "msg", sent as f64)
        .with("messages", sent as f64)
        .with("memory: before MiB", mib(before_bytes))
        .with("memory: after MiB", mib(after_bytes)))
}

/// Takes what waited.
#[derive(Default)]
struct Taker {
    /// Whether messages have places.
    places: bool,
    chats: HashMap<Vec<u8>, Chat>,
    taken: u64,
}

#[derive(Default)]
struct Chat {
    messages: u64,
    /// The place of the last one.
    seq: u64,
}

impl Traffic for Taker {
    fn handle_packet(
        &mut self,
        _conn: usize,
        packet: &Packet<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        let (topic, packet_id, payload) = match *packet {
            Packet::Publish { topic, packet_id, payload, .. }
                if Delivery::of(topic) == Delivery::Message =>
            {
                (topic, packet_id, payload)
            }
            ref other => return Err(Error::Wrong(format!("{other:?} in place of a message"))),
        };
        if !self.chats.contains_key(topic) {
            self.chats.insert(topic.to_vec(), Chat::default());
        }
        let Some(chat) = self.chats.get_mut(topic) else { unreachable!("it is there now") };
        let index = body_index(payload).map(|(index, _)| index);
        let seq = if self.places { json_number(payload, "seq") } else { None };
        let in_place = match seq {
            // A group begins with the event of its beginning, which was taken before.
            Some(seq) => chat.messages == 0 || seq == chat.seq + 1,
            None => !self.places,
        };
        if index != Some(chat.messages) || !in_place {
            return Err(Error::Wrong(format!(
                "message {index:?} at {seq:?} behind {} at {}",
                chat.messages, chat.seq
            )));
        }
        chat.messages += 1;
        chat.seq = seq.unwrap_or(0);
        self.taken += 1;
        acknowledge(packet_id, out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generator::message::Body;

    fn take(taker: &mut Taker, chat: &str, seq: u64, index: u64) -> Result<(), Error> {
        let body = String::from_utf8(Body::default().fill(index, false).to_vec()).unwrap();
        let (topic, json) =
            (format!("chats/{chat}/messages"), format!(r#"{{"seq":{seq},"body":"{body}"}}"#));
        let (topic, payload) = (topic.as_bytes(), json.as_bytes());
        let packet = Packet::Publish { topic, qos: 1, packet_id: 3, payload };
        taker.handle_packet(0, &packet, &mut Vec::new())
    }

    #[test]
    fn each_chat_is_in_order_and_holes_and_doubles_end_the_run() {
        let mut taker = Taker { places: true, ..Taker::default() };
        take(&mut taker, "a", 2, 0).unwrap();
        take(&mut taker, "b", 1, 0).unwrap();
        assert!(take(&mut taker, "a", 2, 0).is_err(), "a double");
        assert!(take(&mut taker, "a", 4, 1).is_err(), "a place that is left out");
        assert!(take(&mut taker, "a", 3, 2).is_err(), "a message that is left out");
        take(&mut taker, "a", 3, 1).unwrap();
        assert_eq!(taker.taken, 3);
    }
}
