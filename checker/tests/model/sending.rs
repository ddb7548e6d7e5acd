//! Attempts to send, their repeats, and what the server makes of them.

use bluetick_checker::Event;

use super::{Entry, Key, Message, Model, Unanswered};

impl Model {
    fn new_message(&mut self, device: usize, chat: usize) -> Message {
        self.tags += 1;
        let tag = self.tags;
        let user = self.devices[device].user.clone();
        let id = self.rng.bool().then(|| format!("0193-{tag:x}"));
        Message { tag, chat, user, id, body: format!("body {tag}"), hidden_from: None }
    }

    pub(super) fn send(&mut self, device: usize, chat: usize) {
        let mut message = self.new_message(device, chat);
        if self.rng.u8(..10) == 0 {
            let others = self.chats[chat].members.iter().map(|member| member.user.clone());
            let others: Vec<_> = others.filter(|user| *user != message.user).collect();
            let user = others[self.rng.usize(..others.len())].clone();
            let (chat, tag) = (self.chats[chat].name.clone(), message.tag);
            self.history.push(Event::Excused { chat, user: user.clone(), tag });
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
                self.unanswered.push(Unanswered { message, device: name });
            }
        }
    }

    fn say_send(&mut self, device: usize, message: &Message) {
        let (user, name) = self.who(device);
        let upper = self.rng.bool();
        let id =
            message.id.as_ref().map(|id| if upper { id.to_ascii_uppercase() } else { id.clone() });
        self.history.push(Event::Send {
            user,
            device: name,
            session: self.devices[device].session,
            version: self.devices[device].version,
            chat: self.chats[message.chat].name.clone(),
            id,
            body: message.body.clone(),
            amends: None,
            tag: message.tag,
        });
    }

    fn say_acked(&mut self, device: usize, message: &Message, seq: u64, duplicate: bool) {
        let (user, name) = self.who(device);
        let told = self.devices[device].version == 5 || self.devices[device].acks;
        let (seq, duplicate) = (told.then_some(seq), told.then_some(duplicate));
        self.history.push(Event::Acked { user, device: name, tag: message.tag, seq, duplicate });
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
        if let Some(at) =
            log.iter().position(|entry| entry.key == key && entry.from == message.user)
        {
            return (at as u64 + 1, true);
        }
        log.push(Entry {
            id: message.id.clone().unwrap_or_else(|| format!("srv-{}", self.rng.u64(..))),
            from: message.user.clone(),
            body: message.body.clone(),
            device: Some(name),
            key,
            hidden_from: message.hidden_from.clone(),
        });
        (log.len() as u64, false)
    }

    pub(super) fn retry(&mut self) {
        if self.unanswered.is_empty() {
            return;
        }
        let Unanswered { message, device } =
            self.unanswered.remove(self.rng.usize(..self.unanswered.len()));
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

    pub(super) fn send_as_stranger(&mut self, device: usize, chat: usize) {
        let message = self.new_message(device, chat);
        self.say_send(device, &message);
        let (user, name) = self.who(device);
        let tag = message.tag;
        if self.devices[device].version < 5 {
            let (user, device) = (user.clone(), name.clone());
            self.history.push(Event::Acked { user, device, tag, seq: None, duplicate: None });
        }
        self.history.push(Event::Refused { user, device: name, tag, code: 0x87 });
    }
}
