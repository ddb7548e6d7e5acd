//! What the history tells of devices and members up to the event that is looked at.
//!
//! The checks look at an event with the world as it was before it; the driver then applies the event.

use std::collections::{BTreeMap, BTreeSet};

use crate::index::{Index, Message};
use crate::pairs::Pairs;
use crate::ranges::Ranges;
use crate::{Event, Scope};

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

/// A device: its connection, and its session with subscriptions and cursors.
#[derive(Debug, Default)]
pub(crate) struct Device<'h> {
    connected_at: Option<usize>,
    persistent: bool,
    subscriptions: Vec<Subscription<'h>>,
    cursors: BTreeMap<&'h str, Cursor>,
    /// Ever subscribed so: its own messages may pass it by.
    no_local: bool,
}

#[derive(Debug)]
struct Subscription<'h> {
    chats: &'h Scope,
    at: usize,
    qos: u8,
    receipts: bool,
}

/// How a device gets a chat's messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reception {
    /// No subscription is known (yet: a message may be read before the SUBACK).
    Unknown,
    /// QoS 0: a live tail, without completeness.
    Tail,
    /// QoS 1 or 2: everything in order.
    Complete,
}

/// A device in a chat.
#[derive(Debug, Default)]
pub(crate) struct Cursor {
    /// Highest `seq` of the session.
    pub(crate) high: Option<u64>,
    /// Latest `seq` of the connection.
    pub(crate) last: Option<u64>,
    /// Where the server let the device start: its first `seq`, or what that one's `after` explains.
    start: Option<u64>,
    /// The device starts here at the latest, by what was delivered when it subscribed.
    start_max: Option<u64>,
    /// Received or explained, since `start`.
    pub(crate) received: Ranges,
    /// Received in this connection, not acknowledged back.
    pub(crate) unacked: BTreeSet<u64>,
    /// Acknowledged back in this connection.
    pub(crate) acked: BTreeSet<u64>,
}

impl Cursor {
    /// The device is owed everything from here on: where it started, and at the latest where it had to.
    pub(crate) fn owed_from(&self) -> Option<u64> {
        self.start.into_iter().chain(self.start_max).min()
    }

    /// The connection ended: what is unacknowledged comes again.
    fn lose_connection(&mut self) {
        self.last = None;
        self.unacked.clear();
        self.acked.clear();
    }

    /// The server does not know the session any more. What the device is owed stays: it never ended it.
    fn lose_session(&mut self) {
        self.lose_connection();
        self.high = None;
    }
}

impl<'h> Device<'h> {
    pub(crate) fn cursor(&self, chat: &str) -> Option<&Cursor> {
        self.cursors.get(chat)
    }

    pub(crate) fn reception(&self, chat: &str) -> Reception {
        let messages = self
            .subscriptions
            .iter()
            .filter(|one| !one.receipts && one.chats.covers(chat));
        match messages.map(|one| one.qos).max() {
            None => Reception::Unknown,
            Some(0) => Reception::Tail,
            Some(_) => Reception::Complete,
        }
    }

    /// Event since which the device is subscribed to the chat's receipts at QoS 1 or 2.
    pub(crate) fn receipts_since(&self, chat: &str) -> Option<usize> {
        let receipts = self
            .subscriptions
            .iter()
            .filter(|one| one.receipts && one.chats.covers(chat));
        receipts.filter(|one| one.qos > 0).map(|one| one.at).min()
    }

    /// Whether the message may pass the device by because it comes from itself.
    pub(crate) fn skips_own(&self, user: &str, device: &str, message: &Message<'_>) -> bool {
        self.no_local && message.sent_by(user, device)
    }

    fn end_session(&mut self) {
        self.subscriptions.clear();
        self.cursors.clear();
    }

    fn disconnect(&mut self) {
        if self.connected_at.take().is_none() {
            return;
        }
        self.cursors.values_mut().for_each(Cursor::lose_connection);
        if !self.persistent {
            self.end_session();
        }
    }
}

impl<'h> World<'h> {
    pub(crate) fn device(&self, user: &str, device: &str) -> Option<&Device<'h>> {
        self.devices.get(user, device)
    }

    /// Devices that are connected, by user and client id.
    pub(crate) fn connected(&self) -> impl Iterator<Item = (&'h str, &'h str, &Device<'h>)> {
        let connected = |device: &Device<'h>| device.connected_at > self.crashed_at;
        self.devices
            .iter()
            .filter(move |(_, _, device)| connected(device))
    }

    pub(crate) fn devices_of(&self, user: &str) -> impl Iterator<Item = (&'h str, &Device<'h>)> {
        self.devices.with_first(user)
    }

    pub(crate) fn membership(&self, chat: &str, user: &str) -> Option<Membership> {
        self.members.get(chat, user).copied()
    }

    /// All memberships, as (chat, user).
    pub(crate) fn members(&self) -> impl Iterator<Item = (&'h str, &'h str, Membership)> {
        self.members
            .iter()
            .map(|(chat, user, membership)| (chat, user, *membership))
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
            && self
                .devices_of(user)
                .any(|(name, device)| device.skips_own(user, name, message))
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
            Event::Connected {
                user,
                device,
                session_present,
                persistent,
            } => {
                let device = self.device_mut(user, device);
                device.disconnect();
                device.connected_at = Some(at);
                device.persistent = *persistent;
                if !session_present {
                    device.subscriptions.clear();
                    device.cursors.values_mut().for_each(Cursor::lose_session);
                }
            }
            Event::Subscribed {
                user,
                device,
                chats,
                qos,
                receipts,
                no_local,
            } => {
                let subscription = Subscription {
                    chats,
                    at,
                    qos: *qos,
                    receipts: *receipts,
                };
                self.subscribe(user, device, subscription, *no_local, index);
            }
            Event::Disconnected { user, device } => self.device_mut(user, device).disconnect(),
            Event::SessionEnded { user, device } => self.device_mut(user, device).end_session(),
            Event::Acked {
                tag,
                seq: Some(seq),
                ..
            } => self.told(at, *tag, *seq, index),
            Event::Received { .. } => self.receive(event),
            Event::AckedBack {
                user,
                device,
                chat,
                seq,
            } => {
                let cursor = self
                    .device_mut(user, device)
                    .cursors
                    .entry(chat)
                    .or_default();
                cursor.unacked.remove(seq);
                cursor.acked.insert(*seq);
                self.delivery_mut(chat, user).covered.insert(*seq, *seq);
            }
            Event::ReadSaid {
                user, chat, seq, ..
            } => {
                let delivery = self.delivery_mut(chat, user);
                delivery.covered.insert(1, *seq);
                delivery.read_said = delivery.read_said.max(*seq);
            }
            Event::ServerCrashed => self.crashed_at = Some(at),
            Event::Excused { .. }
            | Event::Send { .. }
            | Event::Acked { seq: None, .. }
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
            if device.reception(chat) == Reception::Complete {
                device.cursors.entry(chat).or_default().start_max = start_max;
            }
        }
    }

    fn subscribe(
        &mut self,
        user: &'h str,
        name: &'h str,
        subscription: Subscription<'h>,
        no_local: bool,
        index: &Index<'h>,
    ) {
        let chats: Vec<&str> = self
            .members
            .iter()
            .filter(|(_, member, _)| *member == user)
            .map(|(chat, ..)| chat)
            .collect();
        let chats = chats
            .into_iter()
            .filter(|chat| subscription.chats.covers(chat));
        let starts: Vec<_> = chats
            .map(|chat| (chat, self.start_max(index, chat, user)))
            .collect();
        let device = self.device_mut(user, name);
        let before: Vec<_> = starts
            .iter()
            .map(|(chat, _)| device.reception(chat))
            .collect();
        device.no_local |= no_local && !subscription.receipts;
        // The same filter again replaces the subscription (MQTT 5.0 §3.8.4), yet receipts go on as before.
        let same = device
            .subscriptions
            .iter_mut()
            .find(|one| one.chats == subscription.chats && one.receipts == subscription.receipts);
        match same {
            Some(same) if same.qos > 0 => same.qos = subscription.qos,
            Some(same) => *same = subscription,
            None => device.subscriptions.push(subscription),
        }
        for ((chat, start_max), before) in starts.into_iter().zip(before) {
            let after = device.reception(chat);
            if after == before {
                continue;
            }
            // A tail that becomes complete starts anew, behind what it has shown; so does the reverse.
            if before != Reception::Unknown {
                device.cursors.remove(chat);
            }
            let cursor = device.cursors.entry(chat).or_default();
            if after == Reception::Complete && cursor.start_max.is_none() {
                cursor.start_max = start_max;
            }
        }
    }

    fn receive(&mut self, event: &'h Event) {
        let Event::Received {
            user,
            device,
            chat,
            seq,
            after,
            qos,
            ..
        } = event
        else {
            return;
        };
        let (seq, start) = (
            *seq,
            after
                .map_or(*seq, |after| after.saturating_add(1))
                .min(*seq),
        );
        let device = self.device_mut(user, device);
        let reception = device.reception(chat);
        let cursor = device.cursors.entry(chat).or_default();
        cursor.last = Some(seq);
        cursor.high = cursor.high.max(Some(seq));
        if *qos > 0 {
            cursor.unacked.insert(seq);
        }
        if reception != Reception::Tail {
            cursor.start = Some(cursor.start.unwrap_or(start).min(start));
            cursor.received.insert(start, seq);
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
