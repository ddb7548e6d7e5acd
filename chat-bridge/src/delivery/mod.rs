//! Who is attached, and what is next for it.
//!
//! State that does not outlive the process: attached devices, their subscriptions, and a `Flow`
//! for each chat in which a device is not up to date. Nothing is queued for a device: it is told
//! that there is news and pulls, as much as it has room for, from where it is.

mod acked;
mod device;
mod flow;
mod keys;
mod turn;

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use bluetick_protocol::{ChatId, ReceiptCount, Seq, UserId};

use crate::engine::{
    Advance, Batch, ChatNo, DeviceId, Effect, Engine, Entry, Millis, PartitionNo, SubscriptionKind,
    SubscriptionStart, Watermarks,
};
use crate::numbers::NumberMap;
use device::{Device, Spare, release};
use keys::Keys;
pub(crate) use turn::is_for;
use turn::{Turn, Wants};

/// What an attached device takes while nothing comes for it, bytes.
#[cfg(test)]
pub(crate) const fn device_bytes() -> usize {
    size_of::<Device>()
}

/// How many messages of one chat a device is given before its next chat has its turn.
const TURN: usize = 32;

/// How many entries one read from the store brings at most.
pub const ENTRIES_PER_READ: usize = 256;

/// How many bytes of bodies one read from the store brings, give or take one entry.
pub const BYTES_PER_READ: usize = 1 << 20;

/// Names an attached device within a partition; never used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeviceKey(pub u64);

/// Told about what happens to an attached device. Must not block.
pub trait Outbox: Send + Sync {
    /// There is something to pull from this partition.
    fn news(&self, partition: PartitionNo);

    /// A member of a chat is typing, or no longer.
    fn typing(&self, typing: IsTyping);

    /// The members of a chat of the device's user have changed.
    fn members_changed(self: Arc<Self>);

    /// The partition has lost its place: the device must connect anew.
    fn lost(&self);
}

/// What a session says of itself when it attaches.
#[derive(Debug, Clone)]
pub struct Attach {
    /// Whose device.
    pub user: UserId,
    /// The session, where its cursors outlive the connection.
    pub session: Option<(DeviceId, u64)>,
    /// See [`Entry::origin`].
    pub origin: u32,
    /// He is told what others have read: he has read receipts on.
    pub reads: bool,
}

/// How a device is told things. Of several at once the first counts: it is for all who understand it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Form {
    /// In JSON.
    Json,
    /// In the compact dialect, each by itself.
    Compact,
    /// In the compact dialect, as the difference to the last one on the topic in the connection.
    Differences,
}

/// The options of a subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// 0, 1 or 2.
    pub qos: u8,
    /// Not what the device sent itself.
    pub no_local: bool,
    /// How.
    pub form: Form,
}

/// The device that a subscription is for.
#[derive(Debug)]
pub struct Subscriber {
    /// Which.
    pub device: DeviceKey,
    /// With which options.
    pub options: Options,
    /// What an earlier connection was given and has not acknowledged.
    pub inflight: Vec<(ChatNo, Seq)>,
}

/// Something for a device.
#[derive(Debug, Clone)]
pub enum Given {
    /// An entry of a chat.
    Message {
        /// Which chat.
        no: ChatNo,
        /// Its name.
        chat: ChatId,
        /// Its author.
        from: UserId,
        /// The entry.
        entry: Arc<Entry>,
        /// The entry that the device was given before this one, where those between are not for
        /// it.
        after: Option<Seq>,
        /// At which QoS to send it.
        qos: u8,
        /// How.
        form: Form,
    },
    /// A member's watermarks.
    Receipt {
        /// Which chat.
        no: ChatNo,
        /// Its name.
        chat: ChatId,
        /// Whose.
        of: UserId,
        /// Where they stand.
        marks: Watermarks,
        /// To acknowledge it by.
        version: u64,
        /// At which QoS to send it.
        qos: u8,
        /// How.
        form: Form,
    },
    /// How many members of a large group have the author's newest message.
    Count {
        /// Which chat.
        no: ChatNo,
        /// How many, of what.
        count: ReceiptCount,
        /// To acknowledge it by.
        version: u64,
        /// At which QoS to send it.
        qos: u8,
        /// How.
        form: Form,
    },
}

impl Given {
    /// How many bytes of bodies it has.
    #[must_use]
    pub fn body_bytes(&self) -> usize {
        match self {
            Self::Message { entry, .. } => entry.body.len(),
            Self::Receipt { .. } | Self::Count { .. } => 0,
        }
    }
}

/// That a member is typing, or no longer, for one device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IsTyping {
    /// Where.
    pub chat: ChatId,
    /// Who.
    pub user: UserId,
    /// Whether he is.
    pub typing: bool,
    /// How.
    pub form: Form,
}

/// A read from the store that a device waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadJob {
    /// Who.
    pub device: DeviceKey,
    /// In which chat.
    pub chat: ChatNo,
    /// From here.
    pub from: Seq,
    /// Up to here, inclusive.
    pub to: Seq,
}

/// What a pull gave.
#[derive(Debug, Default)]
pub struct Pulled {
    /// In the order to be sent.
    pub given: Vec<Given>,
    /// Reads that have to be made before there is more.
    pub reads: Vec<ReadJob>,
    /// Receipts that count as told with this pull (at QoS 0).
    pub told: Vec<Advance>,
}

/// What to acknowledge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Acked {
    /// An entry.
    Message(ChatNo, Seq),
    /// A receipt.
    Receipt(ChatNo, u64),
}

/// All attached devices of a partition.
#[derive(Default)]
pub struct Delivery {
    /// Boxed: a table is half empty after it has grown.
    devices: NumberMap<DeviceKey, Box<Device>>,
    users: HashMap<UserId, Keys>,
    spare: Spare,
    last_key: u64,
    /// In chats with more members than this, authors are told counts in place of receipts.
    receipts_members_max: usize,
}

impl Delivery {
    /// Nobody is attached. In chats with more members than `receipts_members_max`, authors are told
    /// counts in place of receipts.
    #[must_use]
    pub fn new(receipts_members_max: usize) -> Self {
        Self { receipts_members_max, ..Self::default() }
    }

    /// A device goes on line; it is given nothing before it subscribes. What it is told of is not
    /// owned.
    pub fn attach(&mut self, attach: Attach, outbox: Weak<dyn Outbox>) -> DeviceKey {
        self.last_key += 1;
        let key = DeviceKey(self.last_key);
        let had = self.users.get(&attach.user).map_or(&[][..], Keys::as_slice);
        if let Some(keys) = Keys::of(&[had, &[key]].concat()) {
            self.users.insert(attach.user.clone(), keys);
        }
        self.devices.insert(key, Box::new(Device::new(attach, outbox)));
        key
    }

    /// Where a device is told, if it is still there.
    #[must_use]
    pub fn outbox(&self, key: DeviceKey) -> Option<Arc<dyn Outbox>> {
        self.devices.get(&key)?.outbox.upgrade()
    }

    /// A device goes off line.
    pub fn detach(&mut self, key: DeviceKey, engine: &mut Engine) {
        let Some(device) = self.devices.remove(&key) else { return };
        for no in device.behind.into_iter().flat_map(|behind| behind.flows.into_keys()) {
            release(engine, no);
        }
        let user = &device.attach.user;
        let others = self.keys_of(user).iter().filter(|other| **other != key);
        match Keys::of(&others.copied().collect::<Vec<_>>()) {
            Some(keys) => self.users.insert(user.clone(), keys),
            None => self.users.remove(user),
        };
    }

    /// All devices lose their place: the store has failed and they must start anew. Gives where they
    /// are to be told, in the order they came.
    pub fn reset(&mut self) -> Vec<Arc<dyn Outbox>> {
        self.users.clear();
        let mut devices: Vec<_> = std::mem::take(&mut self.devices).into_iter().collect();
        devices.sort_unstable_by_key(|(key, _)| *key);
        devices.into_iter().filter_map(|(_, device)| device.outbox.upgrade()).collect()
    }

    fn keys_of(&self, user: &UserId) -> &[DeviceKey] {
        self.users.get(user).map_or(&[], Keys::as_slice)
    }

    /// How many devices are attached.
    #[must_use]
    pub fn attached(&self) -> usize {
        self.devices.len()
    }

    /// A subscription has been decided: `starts` says where it is in each chat. Tells whether
    /// there is news.
    pub fn subscribe(
        &mut self,
        subscriber: &Subscriber,
        kind: SubscriptionKind,
        chat: Option<(ChatNo, ChatId)>,
        starts: &[SubscriptionStart],
        engine: &mut Engine,
    ) -> bool {
        let Subscriber { device, options, inflight } = subscriber;
        let options = *options;
        let Some(device) = self.devices.get_mut(device) else { return false };
        let scope = match kind {
            SubscriptionKind::Messages => &mut device.messages,
            SubscriptionKind::Receipts => &mut device.receipts,
        };
        let before = scope.options_of_all(starts);
        scope.put(chat, options);
        for (start, before) in starts.iter().zip(before) {
            // A subscription that was live and now wants acknowledgements starts anew.
            let renewed = before.is_some_and(|before| (before.qos == 0) == (options.qos == 0));
            if renewed {
                continue;
            }
            device.start(kind, start, inflight, engine, &mut self.spare);
        }
        device.behind.as_ref().is_some_and(|behind| !behind.ready.is_empty())
    }

    /// A subscription has ended.
    pub fn unsubscribe(
        &mut self,
        key: DeviceKey,
        kind: SubscriptionKind,
        chat: Option<&ChatId>,
        form: Form,
    ) {
        let Some(device) = self.devices.get_mut(&key) else { return };
        let scope = match kind {
            SubscriptionKind::Messages => &mut device.messages,
            SubscriptionKind::Receipts => &mut device.receipts,
        };
        scope.remove(chat, form);
    }

    /// A device wants to know who is typing: in one chat, or in all of its user.
    pub fn watch_typing(&mut self, key: DeviceKey, chat: Option<(ChatNo, ChatId)>, form: Form) {
        if let Some(device) = self.devices.get_mut(&key) {
            device.typing.put(chat, Options { qos: 0, no_local: true, form });
        }
    }

    /// It does not any more.
    pub fn unwatch_typing(&mut self, key: DeviceKey, chat: Option<&ChatId>, form: Form) {
        if let Some(device) = self.devices.get_mut(&key) {
            device.typing.remove(chat, form);
        }
    }

    /// A device wants to know when the members of its user's chats change, or no longer.
    pub fn watch_members(&mut self, key: DeviceKey, watches: bool) {
        if let Some(device) = self.devices.get_mut(&key) {
            device.watches_members = watches;
        }
    }

    /// A user has read receipts on or off.
    pub fn set_reads(&mut self, user: &UserId, reads: bool) {
        for key in self.users.get(user).map_or(&[][..], Keys::as_slice) {
            if let Some(device) = self.devices.get_mut(key) {
                device.attach.reads = reads;
            }
        }
    }

    /// Who is to be told that the members of a chat have changed: also who is none any more.
    #[must_use]
    pub fn members_changed(&self, batch: &Batch, engine: &Engine) -> Vec<DeviceKey> {
        let mut told = Vec::new();
        for effect in &batch.effects {
            let Effect::Members { chat } = *effect else { continue };
            let members = engine.chat(chat).into_iter().flat_map(|chat| &chat.members);
            let keys = members.flat_map(|member| self.keys_of(&member.user));
            let watches = |key: &&DeviceKey| {
                self.devices.get(key).is_some_and(|device| device.watches_members)
            };
            told.extend(keys.filter(watches).copied());
        }
        told
    }

    /// Who is to be told of whom that he is typing, or no longer.
    #[must_use]
    pub fn typing(&self, batch: &Batch, engine: &Engine) -> Vec<(DeviceKey, IsTyping)> {
        let mut told = Vec::new();
        for effect in &batch.effects {
            let Effect::Typing { chat: no, member, typing } = *effect else { continue };
            let Some(chat) = engine.chat(no) else { continue };
            let Some(author) = chat.member(member) else { continue };
            let others = chat.members.iter().filter(|other| other.is_active());
            for other in others.filter(|other| other.user != author.user) {
                for key in self.keys_of(&other.user) {
                    let options = self.devices.get(key).and_then(|had| had.typing.options(no));
                    let Some(Options { form, .. }) = options else { continue };
                    let (chat, user) = (chat.id.clone(), author.user.clone());
                    told.push((*key, IsTyping { chat, user, typing, form }));
                }
            }
        }
        told
    }

    /// A batch is about to become visible: finds the devices that it concerns. To be called
    /// before [`Engine::handle_committed`]: a device without a flow is where the chat was.
    pub fn handle_commit(&mut self, batch: &Batch, engine: &mut Engine) -> Vec<DeviceKey> {
        let mut woken = Vec::new();
        for effect in batch.effects.iter() {
            match effect {
                Effect::Grown { chat, .. } => {
                    self.wake_readers(*chat, engine, &mut woken);
                }
                Effect::Typing { .. } | Effect::Members { .. } => {}
                Effect::Marks { chat, member, marks } => {
                    self.wake_authors(*chat, *member, marks, engine, &mut woken);
                }
            }
        }
        for (no, entry) in &batch.erased {
            self.erase(*no, entry, engine);
        }
        woken
    }

    /// An entry is deleted: what was read of it for a device that is behind is so too.
    fn erase(&mut self, no: ChatNo, entry: &Arc<Entry>, engine: &Engine) {
        let Some(chat) = engine.chat(no) else { return };
        for member in &chat.members {
            for key in self.users.get(&member.user).map_or(&[][..], Keys::as_slice) {
                let flow = self.devices.get_mut(key).and_then(|device| device.flow_mut(no));
                let fetched = flow.into_iter().flat_map(|flow| &mut flow.fetched);
                for had in fetched.filter(|had| had.seq == entry.seq) {
                    *had = entry.clone();
                }
            }
        }
    }

    fn wake_readers(&mut self, no: ChatNo, engine: &mut Engine, woken: &mut Vec<DeviceKey>) {
        let Some(chat) = engine.chat_mut(no) else { return };
        let mut flows = 0;
        for (index, member) in chat.members.iter().enumerate() {
            // There is nothing in it for who is no member any more. Where he ended is where he goes
            // on if he is one again.
            if member.until.is_some_and(|until| until <= chat.committed) {
                continue;
            }
            let Some(keys) = self.users.get(&member.user) else { continue };
            for key in keys.as_slice() {
                let Some(device) = self.devices.get_mut(key) else { continue };
                // Who joins may have got news while he was away.
                let joins = member.since > chat.committed;
                let receipts = joins && device.receipts.options(no).is_some();
                if receipts || device.messages.options(no).is_some() {
                    let index = u32::try_from(index).unwrap_or(u32::MAX);
                    flows += device.ready_in(chat, index, member, &mut self.spare);
                    woken.push(*key);
                }
            }
        }
        chat.flows += flows;
    }

    /// A member's watermarks have moved: he may have got news, or have read on another device.
    fn wake_authors(
        &mut self,
        no: ChatNo,
        index: u32,
        marks: &Watermarks,
        engine: &mut Engine,
        woken: &mut Vec<DeviceKey>,
    ) {
        let Some(chat) = engine.chat_mut(no) else { return };
        let Some(member) = chat.member(index).filter(|member| member.is_active()) else { return };
        let before = &member.visible;
        let has_read = marks.read_version > before.read_version;
        let Some(keys) = self.users.get(&member.user) else { return };
        let mut flows = 0;
        for key in keys.as_slice() {
            let Some(device) = self.devices.get_mut(key) else { continue };
            let news = match device.attach.reads {
                true => marks.news > before.news,
                false => marks.delivered_news > before.delivered_news,
            };
            if (news || has_read) && device.receipts.options(no).is_some() {
                flows += device.ready_in(chat, index, member, &mut self.spare);
                woken.push(*key);
            }
        }
        chat.flows += flows;
    }

    /// Gives a device what there is for it, up to `messages_max` and about `bytes_max` of bodies.
    pub fn pull(
        &mut self,
        key: DeviceKey,
        messages_max: usize,
        bytes_max: usize,
        now: Millis,
        engine: &mut Engine,
    ) -> Pulled {
        let mut pulled = Pulled::default();
        let Some(device) = self.devices.get_mut(&key) else { return pulled };
        let mut bytes = 0;
        while pulled.given.len() < messages_max && bytes < bytes_max {
            let Some(behind) = &mut device.behind else { break };
            let Some(no) = behind.ready.pop_front() else { break };
            let Some(flow) = behind.flows.get_mut(&no) else { continue };
            flow.queued = false;
            let Some(chat) = engine.chat(no) else { continue };
            let room = (messages_max - pulled.given.len()).min(TURN);
            let scopes = (device.receipts.options(no), device.messages.options(no));
            let wants = Wants::new(&device.attach, chat, self.receipts_members_max);
            let mut turn =
                Turn { chat, flow, attach: &device.attach, wants, key, room, pulled: &mut pulled };
            if let Some(options) = scopes.0 {
                turn.give_receipts(options);
            }
            if let Some(options) = scopes.1 {
                bytes += turn.give_messages(options, now);
            }
            let more = turn.has_more(scopes.1.is_some(), scopes.0.is_some());
            if more {
                behind.queue(no);
            }
            device.forget_if_done(no, self.receipts_members_max, engine);
        }
        device.rest(&mut self.spare);
        pulled
    }

    /// A read is done; tells whether the device has something to pull now.
    pub fn handle_read(
        &mut self,
        job: &ReadJob,
        entries: Vec<Arc<Entry>>,
        engine: &mut Engine,
    ) -> bool {
        let Some(device) = self.devices.get_mut(&job.device) else { return false };
        let Some(behind) = &mut device.behind else { return false };
        let Some(flow) = behind.flows.get_mut(&job.chat) else { return false };
        flow.reading = false;
        if entries.is_empty() {
            // Erased: there is nothing in all of the range.
            flow.next = flow.next.max(job.to.next());
        }
        flow.fetched = entries.into_iter().filter(|entry| entry.seq >= flow.next).collect();
        behind.queue(job.chat);
        device.forget_if_done(job.chat, self.receipts_members_max, engine);
        device.rest(&mut self.spare);
        true
    }
}
