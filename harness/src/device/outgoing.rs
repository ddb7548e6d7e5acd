//! What a device sends and asks for: written down, then written.

use bluetick_checker::{Amends, Event};
use fastrand::Rng;

use super::{Device, OUTBOX_MAX, Seen};
use crate::outbox::Outgoing;
use crate::requests::{OPEN_MAX, Wish};
use crate::wire::{self, Publish};

impl Device {
    pub(super) fn send(&mut self) {
        if self.outbox.messages.len() >= OUTBOX_MAX {
            return;
        }
        let tag = self.record.tag();
        let chat = self.plan.sends_to[self.random.usize(..self.plan.sends_to.len())].clone();
        let id = self.plan.ids.then(|| uuid(tag, &mut self.random));
        let topic = match &id {
            Some(id) => format!("chats/{chat}/send/{id}"),
            None => format!("chats/{chat}/send"),
        };
        let others = chat.split_once('~').filter(|_| self.habits.passes && self.plan.version == 5);
        let mut expiry_s = None;
        if let Some((a, b)) = others
            && self.random.u8(..8) == 0
        {
            expiry_s = Some(self.random.u32(1..5));
            // His own devices may go without it as well.
            for user in [a, b] {
                let (chat, user) = (chat.clone(), user.to_owned());
                self.record.push(Event::Excused { chat, user, tag });
            }
        }
        self.post(Outgoing {
            tag,
            chat,
            topic,
            id,
            body: format!("message {tag}"),
            expiry_s,
            ..Outgoing::default()
        });
    }

    /// Edits, deletes or reacts to a message, now and then one that it may not.
    pub(super) fn amend(&mut self) {
        if self.seen.is_empty() || self.outbox.messages.len() >= OUTBOX_MAX {
            return;
        }
        let Seen { chat, seq, from } = &self.seen[self.random.usize(..self.seen.len())];
        let (chat, seq, own) = (chat.clone(), *seq, *from == self.plan.user);
        let tag = self.record.tag();
        let (verb, amends, body) = match self.random.u8(..8) {
            0..=2 if own => ("edit", Amends::Edit(seq), format!("edit {tag}")),
            3..=4 if own => ("delete", Amends::Delete(seq), String::new()),
            0 => ("edit", Amends::Edit(seq), format!("edit {tag}")),
            1 => ("delete", Amends::Delete(seq), String::new()),
            2 => ("react", Amends::React(seq), String::new()),
            _ => ("react", Amends::React(seq), format!("👍{tag}")),
        };
        // Over 3.1.1 there is no place for an id.
        let id = (self.plan.ids && self.plan.version == 5).then(|| uuid(tag, &mut self.random));
        let topic = format!("chats/{chat}/{verb}/{seq}");
        let amends = Some(amends);
        self.post(Outgoing { tag, chat, topic, id, body, amends, ..Outgoing::default() });
    }

    /// Asks for something new, or again for what is open or was answered.
    pub(super) fn ask(&mut self) {
        if self.requests.open.len() >= OPEN_MAX {
            let at = self.random.usize(..self.requests.open.len());
            return self.write_request(at);
        }
        let had = self.requests.open.len();
        if self.random.u8(..4) > 0 || !self.requests.repeat(&mut self.random) {
            let wish = &self.habits.wishes[self.random.usize(..self.habits.wishes.len())];
            // Before there is the group, everybody is a stranger, to whom no answer holds.
            let exists = match wish {
                Wish::Members { chat, .. } => self.highest.contains_key(chat),
                _ => true,
            };
            if exists {
                self.requests.wish(wish, &self.plan.user, self.record.tag(), &mut self.random);
            }
        }
        if self.requests.open.len() > had {
            self.write_request(had);
        }
    }

    pub(super) fn write_request(&mut self, at: usize) {
        let Some(request) = self.requests.open.get(at) else { return };
        if let Some(ask) = request.ask.clone() {
            let (user, request) = (self.plan.user.clone(), request.no);
            self.record.push(Event::Asked { user, request, ask });
        }
        // Numbers above those of what is read.
        self.asked = (self.asked + 1) % 1000;
        let topic = format!("rpc/{}/r{}", request.method, request.no);
        let payload = request.arguments.to_string();
        let (topic, payload) = (&topic, payload.as_bytes());
        let publish =
            Publish { qos: 1, id: 2000 + self.asked, topic, payload, ..Publish::default() };
        self.judge.said(publish.topic, publish.payload);
        wire::publish(&mut self.out, self.plan.version, &publish);
    }

    fn post(&mut self, message: Outgoing) {
        let qos = if self.random.u8(..8) == 0 { 2 } else { 1 };
        let packet_id = self.outbox.next_packet_id();
        self.outbox.messages.push_back(Outgoing { qos, packet_id, ..message });
        self.write_message(self.outbox.messages.len() - 1, false);
    }

    pub(super) fn write_message(&mut self, at: usize, dup: bool) {
        let Some(message) = self.outbox.messages.get(at) else { return };
        if message.released {
            wire::ack(&mut self.out, 6, message.packet_id);
            return;
        }
        self.record.push(Event::Send {
            user: self.plan.user.clone(),
            device: self.plan.device.clone(),
            session: self.session,
            version: self.plan.version,
            chat: message.chat.clone(),
            id: message.id.clone(),
            body: message.body.clone(),
            amends: message.amends,
            tag: message.tag,
        });
        let id = message.id.as_deref().filter(|_| message.amends.is_some());
        let publish = Publish {
            qos: message.qos,
            dup,
            id: message.packet_id,
            topic: &message.topic,
            property: id.map(|id| ("id", id)),
            expiry_s: message.expiry_s,
            payload: message.body.as_bytes(),
        };
        self.judge.said(publish.topic, publish.payload);
        wire::publish(&mut self.out, self.plan.version, &publish);
    }
}

/// An id for a message: now rising with time (version 7), now any (version 4).
fn uuid(tag: u64, random: &mut Rng) -> String {
    let noise = random.u64(..);
    if random.bool() {
        let (time, rest) = (tag, noise & 0xFFF);
        format!(
            "{:08x}-{:04x}-7{:03x}-8{:03x}-{:012x}",
            (time >> 16) & 0xFFFF_FFFF,
            time & 0xFFFF,
            rest,
            random.u16(..) & 0xFFF,
            noise >> 16
        )
    } else {
        let high = random.u64(..);
        format!(
            "{:08x}-{:04x}-4{:03x}-9{:03x}-{:012x}",
            high >> 32,
            (high >> 16) & 0xFFFF,
            high & 0xFFF,
            noise & 0xFFF,
            noise >> 16
        )
    }
}
