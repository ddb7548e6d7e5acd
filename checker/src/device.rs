//! A device as its own history tells of it: connection, session, subscriptions and a cursor a chat.

use std::collections::{BTreeMap, BTreeSet};

use crate::Scope;
use crate::message::Message;
use crate::ranges::Ranges;

/// A device: its connection, and its session with subscriptions and cursors.
#[derive(Debug, Default)]
pub(crate) struct Device<'h> {
    connected_at: Option<usize>,
    /// All that is read from here on left the server after this event.
    fresh_since: usize,
    persistent: bool,
    subscriptions: Vec<Subscription<'h>>,
    cursors: BTreeMap<&'h str, Cursor>,
    /// Ever subscribed so: its own messages may pass it by.
    no_local: bool,
}

/// A granted subscription, for messages or for receipts.
#[derive(Debug)]
pub(crate) struct Subscription<'h> {
    pub(crate) chats: &'h Scope,
    pub(crate) at: usize,
    pub(crate) qos: u8,
    pub(crate) receipts: bool,
    pub(crate) no_local: bool,
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
        let messages =
            self.subscriptions.iter().filter(|one| !one.receipts && one.chats.covers(chat));
        match messages.map(|one| one.qos).max() {
            None => Reception::Unknown,
            Some(0) => Reception::Tail,
            Some(_) => Reception::Complete,
        }
    }

    /// Event since which the device is subscribed to the chat's receipts at QoS 1 or 2.
    pub(crate) fn receipts_since(&self, chat: &str) -> Option<usize> {
        let receipts =
            self.subscriptions.iter().filter(|one| one.receipts && one.chats.covers(chat));
        receipts.filter(|one| one.qos > 0).map(|one| one.at).min()
    }

    /// Whether the message may pass the device by because it comes from itself.
    pub(crate) fn skips_own(&self, user: &str, device: &str, message: &Message<'_>) -> bool {
        self.no_local && message.sent_by(user, device)
    }

    /// What is read now left the server after this event: the connection was begun after it, or the server
    /// has answered on it what was sent after it.
    pub(crate) fn fresh_since(&self) -> usize {
        self.fresh_since
    }

    /// The server has answered what was sent at this event.
    pub(crate) fn answered(&mut self, sent_at: usize) {
        self.fresh_since = sent_at.max(self.fresh_since);
    }

    /// Whether the connection stands, unless it broke with the server that crashed at `crashed_at`.
    pub(crate) fn is_connected(&self, crashed_at: Option<usize>) -> bool {
        self.connected_at > crashed_at
    }

    pub(crate) fn connect(&mut self, at: usize, session_present: bool, persistent: bool) {
        self.disconnect(at);
        self.connected_at = Some(at);
        self.persistent = persistent;
        if !session_present {
            self.subscriptions.clear();
            self.cursors.values_mut().for_each(Cursor::lose_session);
        }
    }

    pub(crate) fn disconnect(&mut self, at: usize) {
        if self.connected_at.take().is_none() {
            return;
        }
        // The next connection is begun after this.
        self.fresh_since = at;
        self.cursors.values_mut().for_each(Cursor::lose_connection);
        if !self.persistent {
            self.end_session();
        }
    }

    pub(crate) fn end_session(&mut self) {
        self.subscriptions.clear();
        self.cursors.clear();
    }

    /// Takes a subscription in; `starts` tells where the device starts at the latest, by chat of its user.
    pub(crate) fn subscribe(
        &mut self,
        subscription: Subscription<'h>,
        starts: Vec<(&'h str, Option<u64>)>,
    ) {
        let before: Vec<_> = starts.iter().map(|(chat, _)| self.reception(chat)).collect();
        self.no_local |= subscription.no_local && !subscription.receipts;
        // The same filter again replaces the subscription (MQTT 5.0 §3.8.4), yet receipts go on as before.
        let same = self
            .subscriptions
            .iter_mut()
            .find(|one| one.chats == subscription.chats && one.receipts == subscription.receipts);
        match same {
            Some(same) if same.qos > 0 => same.qos = subscription.qos,
            Some(same) => *same = subscription,
            None => self.subscriptions.push(subscription),
        }
        for ((chat, start_max), before) in starts.into_iter().zip(before) {
            let after = self.reception(chat);
            if after == before {
                continue;
            }
            // A tail that becomes complete starts anew, behind what it has shown; so does the reverse.
            if before != Reception::Unknown {
                self.cursors.remove(chat);
            }
            self.start_by(chat, start_max);
        }
    }

    /// The device starts in this chat here at the latest, if it gets everything and has not started.
    pub(crate) fn start_by(&mut self, chat: &'h str, start_max: Option<u64>) {
        if self.reception(chat) == Reception::Complete {
            let cursor = self.cursors.entry(chat).or_default();
            cursor.start_max = cursor.start_max.or(start_max);
        }
    }

    /// Takes an entry in that explains what it skips, from `start` on.
    pub(crate) fn receive(&mut self, chat: &'h str, start: u64, seq: u64, qos: u8) -> Reception {
        let reception = self.reception(chat);
        let cursor = self.cursors.entry(chat).or_default();
        cursor.last = Some(seq);
        cursor.high = cursor.high.max(Some(seq));
        if qos > 0 {
            cursor.unacked.insert(seq);
        }
        if reception != Reception::Tail {
            cursor.start = Some(cursor.start.unwrap_or(start).min(start));
            cursor.received.insert(start, seq);
        }
        reception
    }

    pub(crate) fn acknowledge(&mut self, chat: &'h str, seq: u64) {
        let cursor = self.cursors.entry(chat).or_default();
        cursor.unacked.remove(&seq);
        cursor.acked.insert(seq);
    }
}
