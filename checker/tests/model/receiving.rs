//! Deliveries, acknowledgements, reads and receipts.

use bluetick_checker::Event;

use super::{Entry, Member, Model, Watermarks};

impl Model {
    pub(super) fn deliver(&mut self, device: usize, chat: usize) {
        let window = self.rng.u8(1..5);
        for _ in 0..window {
            self.deliver_next(device, chat);
        }
    }

    pub(super) fn deliver_next(&mut self, device: usize, chat: usize) -> bool {
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
            amends: None,
            deleted: false,
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

    pub(super) fn acknowledge(&mut self, device: usize, chat: usize) {
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

    pub(super) fn acknowledge_next(&mut self, device: usize, chat: usize) -> bool {
        let cursor = self.devices[device].cursors.get_mut(&chat);
        let Some((cursor, seq)) =
            cursor.and_then(|cursor| cursor.inflight.pop_front().map(|seq| (cursor, seq)))
        else {
            return false;
        };
        cursor.acked = seq;
        self.say_acked_back(device, chat, seq);
        self.raise(chat, device, Watermarks { delivered: seq, read: 0 });
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

    pub(super) fn read(&mut self, device: usize, chat: usize) {
        let sent = self.devices[device].cursors.get(&chat).map_or(0, |cursor| cursor.sent);
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
            self.raise(chat, device, Watermarks { delivered: read, read });
        }
        if fate > 1 {
            self.history.push(Event::ReadAcked { user, device: device_, chat: name, seq });
        } else {
            self.disconnect(device);
        }
    }

    /// All receipts that the device does not know of and that newly cover a message of its user.
    pub(super) fn tell(&mut self, device: usize) {
        let (user, name) = self.who(device);
        for chat in 0..self.chats.len() {
            if !self.is_member(chat, device) {
                continue;
            }
            for member in 0..self.chats[chat].members.len() {
                let Member { user: of, since, marks } = &self.chats[chat].members[member];
                let (of, since, marks) = (of.clone(), *since, *marks);
                let state = &mut self.devices[device];
                let told = state.told.entry((chat, of.clone())).or_default();
                let covers = |from: u64, to: u64| {
                    let from = from.max(since);
                    let news = self.chats[chat].log.iter().take(to as usize).skip(from as usize);
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
