//! A tiny server that keeps its promises, and clients that use it in every odd way: the source of random
//! good histories. One seed, one history.

use std::collections::{BTreeMap, VecDeque};

use bluetick_checker::{Event, History, Scope};
use fastrand::Rng;

/// A good history of about `steps` steps that ends settled.
pub(crate) fn good_history(seed: u64, steps: usize) -> History {
    let mut model = Model::new(Rng::with_seed(seed));
    for step in 0..steps {
        model.step();
        // Now and then all is quiet in between, too.
        if step % 150 == 149 {
            model.settle();
        }
    }
    model.settle();
    model.history
}

struct Model {
    rng: Rng,
    history: History,
    chats: Vec<Chat>,
    devices: Vec<Device>,
    unanswered: Vec<Unanswered>,
    /// What a user was told by (user, chat, of), on any device.
    told: BTreeMap<(String, usize, String), Watermarks>,
    tags: u64,
}

struct Chat {
    name: String,
    members: Vec<Member>,
    log: Vec<Entry>,
}

struct Member {
    user: String,
    /// His log starts behind this.
    since: u64,
    marks: Watermarks,
}

#[derive(Clone, Copy, Default, PartialEq)]
struct Watermarks {
    delivered: u64,
    read: u64,
}

#[derive(Clone)]
struct Entry {
    id: String,
    from: String,
    body: String,
    device: Option<String>,
    /// By what a repeat is recognised.
    key: Key,
    hidden_from: Option<String>,
}

#[derive(Clone, PartialEq)]
enum Key {
    None,
    Id(String),
    Session {
        tag: u64,
        device: String,
        session: u64,
    },
}

#[derive(Clone)]
struct Message {
    tag: u64,
    chat: usize,
    user: String,
    id: Option<String>,
    body: String,
    hidden_from: Option<String>,
}

struct Unanswered {
    message: Message,
    device: String,
}

struct Device {
    user: String,
    name: String,
    version: u8,
    /// Subscribed to `me/acks`, where the version does not tell.
    acks: bool,
    /// Does not tell ids of others.
    compact: bool,
    qos: u8,
    no_local: bool,
    connected: bool,
    persistent: bool,
    has_session: bool,
    session: u64,
    cursors: BTreeMap<usize, Cursor>,
    told: BTreeMap<(usize, String), Watermarks>,
}

#[derive(Default)]
struct Cursor {
    /// Up to here acknowledged, or passed over.
    acked: u64,
    sent: u64,
    inflight: VecDeque<u64>,
}

impl Model {
    fn new(mut rng: Rng) -> Self {
        let mut devices = Vec::new();
        for user in ["alice", "bob", "carol"] {
            for name in ["phone", "laptop", "tv"] {
                let version = if rng.u8(..3) == 0 { 4 } else { 5 };
                devices.push(Device {
                    user: user.into(),
                    name: name.into(),
                    version,
                    acks: rng.bool(),
                    compact: rng.u8(..4) == 0,
                    qos: u8::from(name != "tv" || rng.bool()),
                    no_local: version == 5 && rng.u8(..5) == 0,
                    connected: false,
                    persistent: false,
                    has_session: false,
                    session: 0,
                    cursors: BTreeMap::new(),
                    told: BTreeMap::new(),
                });
            }
        }
        let chats = ["alice~bob", "g-group"].map(|name| Chat {
            name: name.into(),
            members: vec![],
            log: vec![],
        });
        let mut model = Self {
            rng,
            history: History::default(),
            chats: chats.into(),
            devices,
            unanswered: Vec::new(),
            told: BTreeMap::new(),
            tags: 0,
        };
        for chat in 0..model.chats.len() {
            model.add_member(chat, "alice");
            model.add_member(chat, "bob");
        }
        model
    }

    fn step(&mut self) {
        let device = self.rng.usize(..self.devices.len());
        let chat = self.rng.usize(..self.chats.len());
        let (connected, member) = (self.devices[device].connected, self.is_member(chat, device));
        match self.rng.u8(..100) {
            0 if self.chats[1].members.len() == 2 && self.rng.bool() => self.add_late_member(),
            0 => self.crash(),
            1..=2 if !connected && self.devices[device].has_session => self.end_session(device),
            1..=14 if !connected => self.connect(device),
            1..=4 => self.disconnect(device),
            15..=39 if connected && member => self.send(device, chat),
            40 if connected && !member => self.send_as_stranger(device, chat),
            41..=49 => self.retry(),
            50..=74 if connected && member => self.deliver(device, chat),
            75..=91 if connected && member => self.acknowledge(device, chat),
            92..=94 if connected && member => self.read(device, chat),
            95..=99 if connected => self.tell(device),
            _ => {}
        }
    }

    /// Everybody who will comes back, gets everything, and is told everything.
    fn settle(&mut self) {
        for device in 0..self.devices.len() {
            if !self.devices[device].connected && self.rng.u8(..3) > 0 {
                self.connect(device);
            }
        }
        for device in self.connected() {
            for chat in 0..self.chats.len() {
                while self.is_member(chat, device) && self.deliver_next(device, chat) {}
                while self.acknowledge_next(device, chat) {}
            }
        }
        self.connected()
            .into_iter()
            .for_each(|device| self.tell(device));
        self.history.push(Event::Settled {});
    }

    fn connected(&self) -> Vec<usize> {
        (0..self.devices.len())
            .filter(|device| self.devices[*device].connected)
            .collect()
    }

    fn is_member(&self, chat: usize, device: usize) -> bool {
        self.member(chat, &self.devices[device].user).is_some()
    }

    fn member(&self, chat: usize, user: &str) -> Option<usize> {
        self.chats[chat]
            .members
            .iter()
            .position(|member| member.user == user)
    }

    fn who(&self, device: usize) -> (String, String) {
        (
            self.devices[device].user.clone(),
            self.devices[device].name.clone(),
        )
    }

    fn add_member(&mut self, chat: usize, user: &str) {
        let since = self.chats[chat].log.len() as u64;
        let marks = Watermarks {
            delivered: since,
            read: 0,
        };
        self.chats[chat].members.push(Member {
            user: user.into(),
            since,
            marks,
        });
        self.history.push(Event::Member {
            chat: self.chats[chat].name.clone(),
            user: user.into(),
        });
        for device in self
            .devices
            .iter_mut()
            .filter(|device| device.user == user && device.has_session)
        {
            device.cursors.insert(
                chat,
                Cursor {
                    acked: since,
                    sent: since,
                    ..Cursor::default()
                },
            );
        }
    }

    fn add_late_member(&mut self) {
        self.add_member(1, "carol");
        let number = self.chats[1].log.len();
        self.chats[1].log.push(Entry {
            id: format!("event-{number}"),
            from: "alice".into(),
            body: "added carol".into(),
            device: None,
            key: Key::None,
            hidden_from: None,
        });
    }

    fn connect(&mut self, device: usize) {
        let (user, name) = self.who(device);
        if self.devices[device].has_session && self.rng.u8(..4) == 0 {
            self.end_session(device);
        }
        let persistent = self.rng.u8(..3) > 0;
        let state = &mut self.devices[device];
        let session_present = state.has_session;
        (state.connected, state.persistent, state.has_session) = (true, persistent, true);
        let (user_, device_) = (user.clone(), name.clone());
        self.history.push(Event::Connected {
            user: user_,
            device: device_,
            session_present,
            persistent,
        });
        if session_present {
            return;
        }
        self.devices[device].session += 1;
        self.subscribe(device, user, name);
    }

    fn subscribe(&mut self, device: usize, user: String, name: String) {
        let state = &mut self.devices[device];
        let (qos, no_local) = (state.qos, state.no_local);
        for (chat, log) in self.chats.iter().enumerate() {
            let Some(member) = log.members.iter().find(|member| member.user == user) else {
                continue;
            };
            let start = if qos == 0 {
                log.log.len() as u64
            } else {
                member.marks.delivered
            };
            state.cursors.insert(
                chat,
                Cursor {
                    acked: start,
                    sent: start,
                    ..Cursor::default()
                },
            );
        }
        // What the user was told on another device is not told again.
        for ((_, chat, of), marks) in self.told.iter().filter(|((other, ..), _)| *other == user) {
            state.told.insert((*chat, of.clone()), *marks);
        }
        for receipts in [false, true] {
            self.history.push(Event::Subscribed {
                user: user.clone(),
                device: name.clone(),
                chats: Scope::All,
                qos: if receipts { 1 } else { qos },
                receipts,
                no_local: no_local && !receipts,
            });
        }
    }

    fn disconnect(&mut self, device: usize) {
        let (user, name) = self.who(device);
        self.history
            .push(Event::Disconnected { user, device: name });
        self.drop_connection(device);
    }

    fn drop_connection(&mut self, device: usize) {
        let state = &mut self.devices[device];
        state.connected = false;
        for cursor in state.cursors.values_mut() {
            cursor.inflight.clear();
            if state.qos > 0 {
                cursor.sent = cursor.acked;
            }
        }
        if !state.persistent {
            self.forget_session(device);
        }
    }

    fn forget_session(&mut self, device: usize) {
        let state = &mut self.devices[device];
        state.has_session = false;
        state.cursors.clear();
        state.told.clear();
    }

    fn end_session(&mut self, device: usize) {
        let (user, name) = self.who(device);
        self.history
            .push(Event::SessionEnded { user, device: name });
        self.forget_session(device);
    }

    fn crash(&mut self) {
        self.history.push(Event::ServerCrashed);
        self.connected()
            .into_iter()
            .for_each(|device| self.disconnect(device));
        self.history.push(Event::ServerStarted);
    }

    fn new_message(&mut self, device: usize, chat: usize) -> Message {
        self.tags += 1;
        let tag = self.tags;
        let user = self.devices[device].user.clone();
        let id = self.rng.bool().then(|| format!("0193-{tag:x}"));
        Message {
            tag,
            chat,
            user,
            id,
            body: format!("body {tag}"),
            hidden_from: None,
        }
    }

    fn send(&mut self, device: usize, chat: usize) {
        let mut message = self.new_message(device, chat);
        if self.rng.u8(..10) == 0 {
            let others = self.chats[chat]
                .members
                .iter()
                .map(|member| member.user.clone());
            let others: Vec<_> = others.filter(|user| *user != message.user).collect();
            let user = others[self.rng.usize(..others.len())].clone();
            let (chat, tag) = (self.chats[chat].name.clone(), message.tag);
            self.history.push(Event::Excused {
                chat,
                user: user.clone(),
                tag,
            });
            message.hidden_from = Some(user);
        }
        self.attempt(device, message);
    }

    /// One attempt: all is well, or the request is lost, or its answer.
    fn attempt(&mut self, device: usize, message: Message) {
        self.say_send(device, &message);
        let fate = self.rng.u8(..10);
        let stored = (fate != 0).then(|| self.store(device, &message));
        match stored {
            Some((seq, duplicate)) if fate > 1 => self.say_acked(device, &message, seq, duplicate),
            _ => {
                let name = self.devices[device].name.clone();
                self.disconnect(device);
                self.unanswered.push(Unanswered {
                    message,
                    device: name,
                });
            }
        }
    }

    fn say_send(&mut self, device: usize, message: &Message) {
        let (user, name) = self.who(device);
        let upper = self.rng.bool();
        let id = message.id.as_ref().map(|id| {
            if upper {
                id.to_ascii_uppercase()
            } else {
                id.clone()
            }
        });
        self.history.push(Event::Send {
            user,
            device: name,
            session: self.devices[device].session,
            version: self.devices[device].version,
            chat: self.chats[message.chat].name.clone(),
            id,
            body: message.body.clone(),
            tag: message.tag,
        });
    }

    fn say_acked(&mut self, device: usize, message: &Message, seq: u64, duplicate: bool) {
        let (user, name) = self.who(device);
        let told = self.devices[device].version == 5 || self.devices[device].acks;
        let (seq, duplicate) = (told.then_some(seq), told.then_some(duplicate));
        self.history.push(Event::Acked {
            user,
            device: name,
            tag: message.tag,
            seq,
            duplicate,
        });
    }

    fn store(&mut self, device: usize, message: &Message) -> (u64, bool) {
        let (_, name) = self.who(device);
        let key = match &message.id {
            Some(id) => Key::Id(id.clone()),
            None => Key::Session {
                tag: message.tag,
                device: name.clone(),
                session: self.devices[device].session,
            },
        };
        let log = &mut self.chats[message.chat].log;
        if let Some(at) = log
            .iter()
            .position(|entry| entry.key == key && entry.from == message.user)
        {
            return (at as u64 + 1, true);
        }
        log.push(Entry {
            id: message
                .id
                .clone()
                .unwrap_or_else(|| format!("srv-{}", self.rng.u64(..))),
            from: message.user.clone(),
            body: message.body.clone(),
            device: Some(name),
            key,
            hidden_from: message.hidden_from.clone(),
        });
        (log.len() as u64, false)
    }

    fn retry(&mut self) {
        if self.unanswered.is_empty() {
            return;
        }
        let Unanswered { message, device } = self
            .unanswered
            .remove(self.rng.usize(..self.unanswered.len()));
        let any_device = message.id.is_some();
        let fits = |index: &usize| {
            let state = &self.devices[*index];
            state.user == message.user && (any_device || state.name == device)
        };
        match self.connected().into_iter().find(fits) {
            Some(index) => self.attempt(index, message),
            None => self.unanswered.push(Unanswered { message, device }),
        }
    }

    fn send_as_stranger(&mut self, device: usize, chat: usize) {
        let message = self.new_message(device, chat);
        self.say_send(device, &message);
        let (user, name) = self.who(device);
        let tag = message.tag;
        if self.devices[device].version < 5 {
            let (user, device) = (user.clone(), name.clone());
            self.history.push(Event::Acked {
                user,
                device,
                tag,
                seq: None,
                duplicate: None,
            });
        }
        self.history.push(Event::Refused {
            user,
            device: name,
            tag,
            code: 0x87,
        });
    }

    fn deliver(&mut self, device: usize, chat: usize) {
        let window = self.rng.u8(1..5);
        for _ in 0..window {
            self.deliver_next(device, chat);
        }
    }

    fn deliver_next(&mut self, device: usize, chat: usize) -> bool {
        let state = &self.devices[device];
        let Some(cursor) = state.cursors.get(&chat) else {
            return false;
        };
        let log = &self.chats[chat];
        let for_device = |entry: &Entry| {
            let own = entry.from == state.user && entry.device.as_ref() == Some(&state.name);
            entry.hidden_from.as_ref() != Some(&state.user) && !(own && state.no_local)
        };
        let rest = log.log.iter().enumerate().skip(cursor.sent as usize);
        let Some((at, entry)) = rest.into_iter().find(|(_, entry)| for_device(entry)) else {
            return false;
        };
        let (seq, sent, qos) = (at as u64 + 1, cursor.sent, state.qos);
        let id_told = !state.compact || entry.from == state.user;
        let event = Event::Received {
            user: state.user.clone(),
            device: state.name.clone(),
            chat: log.name.clone(),
            seq,
            id: id_told.then(|| entry.id.clone()),
            from: entry.from.clone(),
            body: Some(entry.body.clone()),
            after: (seq > sent + 1).then_some(sent),
            qos,
        };
        self.history.push(event);
        if let Some(cursor) = self.devices[device].cursors.get_mut(&chat) {
            cursor.sent = seq;
            if qos > 0 {
                cursor.inflight.push_back(seq);
            }
        }
        true
    }

    fn acknowledge(&mut self, device: usize, chat: usize) {
        // The connection may break with some acknowledgements on their way.
        if self.rng.u8(..12) == 0 {
            let lost = self.devices[device]
                .cursors
                .get(&chat)
                .and_then(|cursor| cursor.inflight.front())
                .copied();
            if let Some(seq) = lost {
                self.say_acked_back(device, chat, seq);
            }
            self.disconnect(device);
            return;
        }
        for _ in 0..self.rng.u8(1..5) {
            self.acknowledge_next(device, chat);
        }
    }

    fn acknowledge_next(&mut self, device: usize, chat: usize) -> bool {
        let cursor = self.devices[device].cursors.get_mut(&chat);
        let Some((cursor, seq)) =
            cursor.and_then(|cursor| cursor.inflight.pop_front().map(|seq| (cursor, seq)))
        else {
            return false;
        };
        cursor.acked = seq;
        self.say_acked_back(device, chat, seq);
        self.raise(
            chat,
            device,
            Watermarks {
                delivered: seq,
                read: 0,
            },
        );
        true
    }

    fn say_acked_back(&mut self, device: usize, chat: usize, seq: u64) {
        let (user, name) = self.who(device);
        self.history.push(Event::AckedBack {
            user,
            device: name,
            chat: self.chats[chat].name.clone(),
            seq,
        });
    }

    fn raise(&mut self, chat: usize, device: usize, to: Watermarks) {
        let user = self.devices[device].user.clone();
        if let Some(member) = self.member(chat, &user) {
            let marks = &mut self.chats[chat].members[member].marks;
            marks.delivered = marks.delivered.max(to.delivered);
            marks.read = marks.read.max(to.read);
        }
    }

    fn read(&mut self, device: usize, chat: usize) {
        let sent = self.devices[device]
            .cursors
            .get(&chat)
            .map_or(0, |cursor| cursor.sent);
        let (seq, name) = (sent + self.rng.u64(..2), self.chats[chat].name.clone());
        let (user, device_) = self.who(device);
        self.history.push(Event::ReadSaid {
            user: user.clone(),
            device: device_.clone(),
            chat: name.clone(),
            seq,
        });
        let fate = self.rng.u8(..6);
        if fate != 0 {
            let read = seq.min(self.chats[chat].log.len() as u64);
            self.raise(
                chat,
                device,
                Watermarks {
                    delivered: read,
                    read,
                },
            );
        }
        if fate > 1 {
            self.history.push(Event::ReadAcked {
                user,
                device: device_,
                chat: name,
                seq,
            });
        } else {
            self.disconnect(device);
        }
    }

    /// All receipts that the device does not know of and that newly cover a message of its user.
    fn tell(&mut self, device: usize) {
        let (user, name) = self.who(device);
        for chat in 0..self.chats.len() {
            if !self.is_member(chat, device) {
                continue;
            }
            for member in 0..self.chats[chat].members.len() {
                let Member {
                    user: of,
                    since,
                    marks,
                } = &self.chats[chat].members[member];
                let (of, since, marks) = (of.clone(), *since, *marks);
                let state = &mut self.devices[device];
                let told = state.told.entry((chat, of.clone())).or_default();
                let covers = |from: u64, to: u64| {
                    let from = from.max(since);
                    let news = self.chats[chat]
                        .log
                        .iter()
                        .take(to as usize)
                        .skip(from as usize);
                    news.into_iter().any(|entry| entry.from == user)
                };
                let news = covers(told.delivered, marks.delivered) || covers(told.read, marks.read);
                if of == user || !news {
                    continue;
                }
                *told = marks;
                self.told.insert((user.clone(), chat, of.clone()), marks);
                self.history.push(Event::Receipt {
                    user: user.clone(),
                    device: name.clone(),
                    chat: self.chats[chat].name.clone(),
                    of,
                    delivered: marks.delivered,
                    read: marks.read,
                });
            }
        }
    }
}
