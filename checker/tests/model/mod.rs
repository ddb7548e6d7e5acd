//! A tiny server that keeps its promises, and clients that use it in every odd way: the source of random
//! good histories. One seed, one history.

mod receiving;
mod sending;

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
    Session { tag: u64, device: String, session: u64 },
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
        self.connected().into_iter().for_each(|device| self.tell(device));
        self.history.push(Event::Settled {});
    }

    fn connected(&self) -> Vec<usize> {
        (0..self.devices.len()).filter(|device| self.devices[*device].connected).collect()
    }

    fn is_member(&self, chat: usize, device: usize) -> bool {
        self.member(chat, &self.devices[device].user).is_some()
    }

    fn member(&self, chat: usize, user: &str) -> Option<usize> {
        self.chats[chat].members.iter().position(|member| member.user == user)
    }

    fn who(&self, device: usize) -> (String, String) {
        (self.devices[device].user.clone(), self.devices[device].name.clone())
    }

    fn add_member(&mut self, chat: usize, user: &str) {
        let since = self.chats[chat].log.len() as u64;
        let marks = Watermarks { delivered: since, read: 0 };
        self.chats[chat].members.push(Member { user: user.into(), since, marks });
        self.history.push(Event::Member { chat: self.chats[chat].name.clone(), user: user.into() });
        for device in
            self.devices.iter_mut().filter(|device| device.user == user && device.has_session)
        {
            device.cursors.insert(chat, Cursor { acked: since, sent: since, ..Cursor::default() });
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
            let start = if qos == 0 { log.log.len() as u64 } else { member.marks.delivered };
            state.cursors.insert(chat, Cursor { acked: start, sent: start, ..Cursor::default() });
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
        self.history.push(Event::Disconnected { user, device: name });
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
        self.history.push(Event::SessionEnded { user, device: name });
        self.forget_session(device);
    }

    fn crash(&mut self) {
        self.history.push(Event::ServerCrashed);
        self.connected().into_iter().for_each(|device| self.disconnect(device));
        self.history.push(Event::ServerStarted);
    }
}
