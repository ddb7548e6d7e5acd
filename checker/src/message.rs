//! A logical message with its attempts and answers, and a place in a chat's log with what was seen there.

use std::collections::BTreeSet;

use crate::{Amends, Event};

/// Place of a message in the index.
pub(crate) type MessageId = usize;

/// One logical message: all attempts with one tag, or with one id of one user in one chat.
#[derive(Debug)]
pub(crate) struct Message<'h> {
    pub(crate) tag: u64,
    pub(crate) chat: &'h str,
    pub(crate) user: &'h str,
    /// Lower case: the form of a UUID is the client's.
    pub(crate) id: Option<String>,
    pub(crate) amends: Option<Amends>,
    pub(crate) attempts: Vec<Attempt<'h>>,
    pub(crate) acks: Vec<Ack>,
    /// How often it was refused.
    pub(crate) refusals: usize,
    /// First [`Received`](crate::Event::Received) that may be this message though it cannot be told from another.
    pub(crate) maybe_seen_at: Option<usize>,
    /// Where it stands in the log, as told or seen.
    pub(crate) seqs: BTreeSet<u64>,
}

#[derive(Debug)]
pub(crate) struct Attempt<'h> {
    pub(crate) at: usize,
    pub(crate) device: &'h str,
    pub(crate) session: u64,
    pub(crate) version: u8,
    pub(crate) body: &'h str,
}

#[derive(Debug)]
pub(crate) struct Ack {
    pub(crate) at: usize,
    pub(crate) seq: Option<u64>,
    /// It says that the message is stored: see [`Index::build`](crate::index::Index::build).
    pub(crate) effective: bool,
}

/// One place in a chat's log, with the content first seen there.
#[derive(Debug, Default)]
pub(crate) struct Entry<'h> {
    pub(crate) seen: Option<Content<'h>>,
    pub(crate) message: Option<MessageId>,
    /// First event that shows that the place is taken.
    pub(crate) known_at: usize,
}

/// What a device got at a place in the log.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Content<'h> {
    pub(crate) at: usize,
    pub(crate) from: &'h str,
    pub(crate) id: Option<&'h str>,
    pub(crate) body: Option<&'h str>,
    pub(crate) amends: Option<Amends>,
}

impl<'h> Content<'h> {
    /// What a [`Received`](Event::Received) tells.
    pub(crate) fn of(at: usize, event: &'h Event) -> Option<Self> {
        let Event::Received { id, from, body, amends, .. } = event else { return None };
        Some(Self { at, from, id: id.as_deref(), body: body.as_deref(), amends: *amends })
    }

    /// Whether the rest of what is told names a message though there is no body: a deletion has none.
    pub(crate) fn is_deletion(&self) -> bool {
        matches!(self.amends, Some(Amends::Delete(_)))
    }

    /// Whether both can be the same entry: what both tell is equal.
    pub(crate) fn agrees(&self, other: &Content<'_>) -> bool {
        let ids_agree = match (self.id, other.id) {
            (Some(one), Some(two)) => one.eq_ignore_ascii_case(two),
            _ => true,
        };
        let bodies_agree = match (self.body, other.body) {
            (Some(one), Some(two)) => one == two,
            _ => true,
        };
        let amends_agree = self.amends == other.amends;
        self.from == other.from && ids_agree && bodies_agree && amends_agree
    }
}

impl Message<'_> {
    pub(crate) fn first_at(&self) -> usize {
        self.attempts.first().map_or(0, |attempt| attempt.at)
    }

    /// At how many places of the log it may stand, of what was sent before `at`: without an id it is
    /// recognised as the same within a session only.
    pub(crate) fn places_max(&self, at: usize) -> usize {
        if self.id.is_some() {
            return 1;
        }
        let attempts = self.attempts.iter().filter(|attempt| attempt.at < at);
        attempts.map(|attempt| (attempt.device, attempt.session)).collect::<BTreeSet<_>>().len()
    }

    pub(crate) fn sent_by(&self, user: &str, device: &str) -> bool {
        self.user == user && self.attempts.iter().any(|attempt| attempt.device == device)
    }

    /// Whether an entry's content can be this message's.
    pub(crate) fn agrees(&self, content: &Content<'_>) -> bool {
        let id_agrees = match (&self.id, content.id) {
            (Some(own), Some(other)) => own.eq_ignore_ascii_case(other),
            _ => true,
        };
        let body_agrees = content
            .body
            .is_none_or(|body| self.attempts.iter().any(|attempt| attempt.body == body));
        let amends_agrees = self.amends == content.amends;
        self.user == content.from && id_agrees && body_agrees && amends_agrees
    }

    /// The answer to the latest attempt of this device before `at`.
    pub(crate) fn attempt_of(&self, device: &str, at: usize) -> Option<&Attempt<'_>> {
        self.attempts.iter().rev().find(|attempt| attempt.device == device && attempt.at < at)
    }
}
