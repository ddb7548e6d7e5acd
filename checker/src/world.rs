//! What the history tells of devices and members up to the event that is looked at.
//!
//! The checks look at an event with the world as it was before it; the driver then applies the event.

use std::collections::BTreeMap;

use crate::Event;
use crate::device::{Device, Reception, Subscription};
use crate::index::Index;
use crate::message::Message;
use crate::pairs::Pairs;
use crate::ranges::Ranges;

/// Devices, memberships and what has been delivered, before the event that is looked at.
#[derive(Debug, Default)]
pub(crate) struct World<'h> {
    /// By user and client id.
    devices: Pairs<'h, Device<'h>>,
    /// By chat and user.
    members: Pairs<'h, Membership>,
    /// By chat and user.
    deliveries: Pairs<'h, Delivery>,
    heads: BTreeMap<&'h str, u64>,
    crashed_at: Option<usize>,
}

/// A user in a chat.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Membership {
    pub(crate) at: usize,
    /// He came after the chat's first message: where his log starts is seen only by what he gets.
    pub(crate) late: bool,
}

/// What has been delivered to a user in a chat, by an upper bound: an acknowledgement that was lost on the
/// wire is in here too.
#[derive(Debug, Default)]
pub(crate) struct Delivery {
    /// The log starts for him after this; `None` until a late member has got something.
    pub(crate) base: Option<u64>,
    /// Acknowledged back, said to be read, or explained by an `after`.
    pub(crate) covered: Ranges,
    /// Highest `seq` that he said he has read.
    pub(crate) read_said: u64,
}

impl<'h> World<'h> {
    /// The world before the first event. A user whose membership changes is known as a member from here on,
    /// and what he is not entitled to counts as delivered to him.
    pub(crate) fn new(index: &Index<'h>) -> Self {
        let mut world = Self::default();
        for (chat, user, spans) in index.changing() {
            world.members.or_insert(chat, user, Membership { at: 0, late: false });
            let delivery = world.delivery_mut(chat, user);
            delivery.base = Some(0);
            spans.gaps().for_each(|(first, last)| delivery.covered.insert(first, last));
        }
        world
    }

    pub(crate) fn device(&self, user: &str, device: &str) -> Option<&Device<'h>> {
        self.devices.get(user, device)
    }

    /// Devices that are connected, by user and client id.
    pub(crate) fn connected(&self) -> impl Iterator<Item = (&'h str, &'h str, &Device<'h>)> {
        let crashed_at = self.crashed_at;
        self.devices.iter().filter(move |(_, _, device)| device.is_connected(crashed_at))
    }

    pub(crate) fn devices_of(&self, user: &str) -> impl Iterator<Item = (&'h str, &Device<'h>)> {
        self.devices.with_first(user)
    }

    pub(crate) fn membership(&self, chat: &str, user: &str) -> Option<Membership> {
        self.members.get(chat, user).copied()
    }

    /// All memberships, as (chat, user).
    pub(crate) fn members(&self) -> impl Iterator<Item = (&'h str, &'h str, Membership)> {
        self.members.iter().map(|(chat, user, membership)| (chat, user, *membership))
    }

    pub(crate) fn delivery(&self, chat: &str, user: &str) -> Option<&Delivery> {
        self.deliveries.get(chat, user)
    }

    /// Highest `seq` that anybody was told of or got.
    pub(crate) fn head(&self, chat: &str) -> u64 {
        self.heads.get(chat).copied().unwrap_or(0)
    }

    /// Whether a message may be missing at the user because it comes from one of his devices that does
    /// not get its own.
    pub(crate) fn user_skips_own(&self, user: &str, message: &Message<'_>) -> bool {
        message.user == user
            && self.devices_of(user).any(|(name, device)| device.skips_own(user, name, message))
    }

    /// The highest `seq` at which a new cursor of the user may start: one past what was delivered to him
    /// without a hole. `None`: a late member who got nothing so far.
    pub(crate) fn start_max(&self, index: &Index<'h>, chat: &str, user: &str) -> Option<u64> {
        let delivery = self.delivery(chat, user)?;
        let mut start = delivery.covered.run_after(delivery.base?).saturating_add(1);
        // Nothing tells whether a device that skips its own messages delivers them: it may count or not.
        while index
            .message_at(chat, start)
            .is_some_and(|message| self.user_skips_own(user, message))
        {
            start = delivery.covered.run_after(start).saturating_add(1);
        }
        Some(start)
    }

    /// Takes the event in.
    pub(crate) fn apply(&mut self, at: usize, event: &'h Event, index: &Index<'h>) {
        match event {
            Event::Member { chat, user } => self.add_member(at, chat, user, index),
            Event::Connected { user, device, session_present, persistent } => {
                self.device_mut(user, device).connect(at, *session_present, *persistent);
            }
            Event::Subscribed { user, device, chats, qos, receipts, no_local } => {
                let subscription =
                    Subscription { chats, at, qos: *qos, receipts: *receipts, no_local: *no_local };
                self.subscribe(user, device, subscription, index);
            }
            Event::Disconnected { user, device } => self.device_mut(user, device).disconnect(at),
            Event::SessionEnded { user, device } => self.device_mut(user, device).end_session(),
            Event::Acked { user, device, tag, seq, .. } => {
                let message = index.tagged(*tag).map(|id| index.message(id));
                if let Some(attempt) = message.and_then(|message| message.attempt_of(device, at)) {
                    self.device_mut(user, device).answered(attempt.at);
                }
                if let Some(seq) = seq {
                    self.told(at, *tag, *seq, index);
                }
            }
            Event::Received { .. } => self.receive(event),
            Event::AckedBack { user, device, chat, seq } => {
                self.device_mut(user, device).acknowledge(chat, *seq);
                self.delivery_mut(chat, user).covered.insert(*seq, *seq);
            }
            Event::ReadSaid { user, chat, seq, .. } => {
                let delivery = self.delivery_mut(chat, user);
                delivery.covered.insert(1, *seq);
                delivery.read_said = delivery.read_said.max(*seq);
            }
            Event::ServerCrashed => self.crashed_at = Some(at),
            Event::Added { .. }
            | Event::Removed { .. }
            | Event::Asked { .. }
            | Event::Answered { .. }
            | Event::History { .. }
            | Event::Probed { .. }
            | Event::Looks { .. }
            | Event::Presence { .. }
            | Event::Overheard { .. }
            | Event::Excused { .. }
            | Event::Send { .. }
            | Event::Refused { .. }
            | Event::ReadAcked { .. }
            | Event::Receipt { .. }
            | Event::ServerStarted
            | Event::Settled {} => {}
        }
    }

    fn add_member(&mut self, at: usize, chat: &'h str, user: &'h str, index: &Index<'h>) {
        let late = index.active_at(chat).is_some_and(|active| active < at);
        if self.members.get(chat, user).is_some() {
            return;
        }
        self.members.or_insert(chat, user, Membership { at, late });
        self.delivery_mut(chat, user).base = (!late).then_some(0);
        let start_max = self.start_max(index, chat, user);
        for device in self.devices.with_first_mut(user) {
            device.start_by(chat, start_max);
        }
    }

    fn subscribe(
        &mut self,
        user: &'h str,
        device: &'h str,
        subscription: Subscription<'h>,
        index: &Index<'h>,
    ) {
        let memberships = self.members.iter().filter(|(_, member, _)| *member == user);
        let chats =
            memberships.map(|(chat, ..)| chat).filter(|chat| subscription.chats.covers(chat));
        let starts = chats.map(|chat| (chat, self.start_max(index, chat, user))).collect();
        self.device_mut(user, device).subscribe(subscription, starts);
    }

    fn receive(&mut self, event: &'h Event) {
        let Event::Received { user, device, chat, seq, after, qos, .. } = event else {
            return;
        };
        let seq = *seq;
        let start = after.map_or(seq, |after| after.saturating_add(1)).min(seq);
        if self.device_mut(user, device).receive(chat, start, seq, *qos) != Reception::Tail {
            let delivery = self.delivery_mut(chat, user);
            delivery.base.get_or_insert(start.saturating_sub(1));
            delivery.covered.insert(start, seq.saturating_sub(1));
        }
        self.raise_head(chat, seq);
    }

    fn told(&mut self, at: usize, tag: u64, seq: u64, index: &Index<'h>) {
        let Some(message) = index.tagged(tag).map(|id| index.message(id)) else {
            return;
        };
        if message.acks.iter().any(|ack| ack.at == at && ack.effective) {
            self.raise_head(message.chat, seq);
        }
    }

    fn raise_head(&mut self, chat: &'h str, seq: u64) {
        let head = self.heads.entry(chat).or_default();
        *head = seq.max(*head);
    }

    fn device_mut(&mut self, user: &'h str, device: &'h str) -> &mut Device<'h> {
        self.devices.or_default(user, device)
    }

    fn delivery_mut(&mut self, chat: &'h str, user: &'h str) -> &mut Delivery {
        self.deliveries.or_default(chat, user)
    }
}
