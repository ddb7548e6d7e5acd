//! Promise 2, *Once*: one id of one user in one chat makes one message, and every answer says so.
//!
//! - The same (chat, author, id) never stands at two places, whoever sees them.
//! - A message without a client's id is recognised only as MQTT's own retransmission, in its session. So it
//!   may stand once for each session it was sent in, and no more. The id that the server gave it never
//!   stands twice.
//! - All answers to one message tell the same `seq` (without id: all answers in one session).
//! - All answers to one request to change a group are the same, whatever has changed since.
//! - A request takes effect once: nobody is made a member, or removed, more often than there are requests
//!   for it that may have done so. Judged when everything has settled.
//! - `duplicate` is honest. Two answers cannot both be the first. An attempt written after an answer was
//!   read is a repeat. An only attempt is none, unless its connection broke in between (the client library
//!   may then have sent it again by itself). An answer that says *repeat* to the first attempt that is
//!   answered is fine: an earlier one may have been stored and its answer lost. And answers on two
//!   connections may be read in another order than the server gave them.

use std::collections::{BTreeMap, BTreeSet};

use super::{Check, Moment};
use crate::message::{Content, Message, MessageId};
use crate::{Ask, Event, Promise, Violation};

#[derive(Default)]
pub(super) struct Once<'h> {
    places: BTreeMap<Key<'h>, BTreeSet<u64>>,
    answers: BTreeMap<(MessageId, Scope<'h>), Vec<Answer>>,
    /// By chat and number of the request.
    requests: BTreeMap<(&'h str, u64), &'h Option<Vec<String>>>,
    /// Effects that were reported.
    reported: BTreeSet<String>,
    /// Where the latest connection of a device ended.
    disconnected: BTreeMap<(&'h str, &'h str), usize>,
}

/// What must not be at two places.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Key<'h> {
    Message(MessageId),
    /// An id that no recorded attempt gave.
    Id(&'h str, &'h str, String),
}

/// Within which the server recognises a repeat: everywhere by id, else in (device, session).
type Scope<'h> = Option<(&'h str, u64)>;

struct Answer {
    at: usize,
    seq: Option<u64>,
    duplicate: Option<bool>,
}

impl<'h> Check<'h> for Once<'h> {
    fn observe(&mut self, moment: Moment<'_, 'h>, event: &'h Event, found: &mut Vec<Violation>) {
        match event {
            Event::Disconnected { user, device } | Event::Connected { user, device, .. } => {
                self.disconnected.insert((user, device), moment.at);
            }
            Event::Acked { user, device, tag, seq, duplicate } => {
                let answer = Answer { at: moment.at, seq: *seq, duplicate: *duplicate };
                let Some(id) = moment.index.tagged(*tag) else {
                    return;
                };
                let message = moment.index.message(id);
                if !message.acks.iter().any(|ack| ack.at == moment.at && ack.effective) {
                    return;
                }
                found.extend(self.answered(moment, (user, device), id, answer));
                if let Some(seq) = seq {
                    found.extend(self.place(moment, Key::Message(id), message.chat, *seq));
                }
            }
            Event::Answered { chat, request, users } => {
                let first = *self.requests.entry((chat, *request)).or_insert(users);
                if first != users {
                    let what = format!(
                        "request {request} in {chat} was answered {first:?} and then {users:?}"
                    );
                    found.push(moment.broken(Promise::Once, what));
                }
            }
            Event::Settled {} => found.extend(self.effects(moment)),
            Event::Received { chat, seq, id, from, .. } => {
                let Some(content) = Content::of(moment.at, event) else { return };
                let told = moment.index.entry(chat, *seq).and_then(|entry| entry.message);
                let told = told.filter(|told| moment.index.message(*told).agrees(&content));
                let message = told.or_else(|| moment.index.recognise(chat, &content).ok());
                let client_id =
                    message.is_some_and(|message| moment.index.message(message).id.is_some());
                if let Some(id) = id.as_ref().filter(|_| !client_id) {
                    let key = Key::Id(chat, from, id.to_ascii_lowercase());
                    found.extend(self.place(moment, key, chat, *seq));
                }
                if let Some(message) = message {
                    found.extend(self.place(moment, Key::Message(message), chat, *seq));
                }
            }
            _ => {}
        }
    }
}

impl<'h> Once<'h> {
    /// Changes of membership that no request accounts for.
    fn effects<'a>(&'a mut self, moment: Moment<'a, 'h>) -> impl Iterator<Item = Violation> + 'a {
        let mut asked: BTreeMap<(&str, &str, bool), usize> = BTreeMap::new();
        for request in moment.index.requests.all() {
            let Ask::Members { chat, adds, removes } = request.ask else { continue };
            let joins = adds.iter().map(|user| (user, true));
            for (user, joins) in joins.chain(removes.iter().map(|user| (user, false))) {
                // One's own leave names nobody in its answer.
                let may = match request.users {
                    None => true,
                    Some(None) => false,
                    Some(Some(users)) => users.contains(user) || request.user == user,
                };
                *asked.entry((chat, user, joins)).or_default() += usize::from(may);
            }
        }
        asked.into_iter().filter_map(move |((chat, user, joins), asked)| {
            let times = moment.index.changes_of(chat, user, joins);
            let how = if joins { "made a member of" } else { "removed from" };
            let what = format!("{user} was {how} {chat} more often than by the requests for it");
            let broken = times > asked && self.reported.insert(what.clone());
            broken.then(|| moment.broken(Promise::Once, what))
        })
    }

    fn place(
        &mut self,
        moment: Moment<'_, 'h>,
        key: Key<'h>,
        chat: &str,
        seq: u64,
    ) -> Option<Violation> {
        let places_max = match &key {
            Key::Message(id) => moment.index.message(*id).places_max(moment.at),
            Key::Id(..) => 1,
        };
        let places = self.places.entry(key.clone()).or_default();
        let first = *places.first().unwrap_or(&seq);
        if !places.insert(seq) || places.len() <= places_max.max(1) {
            return None;
        }
        let whose = match key {
            Key::Message(id) => {
                let message = moment.index.message(id);
                format!("message {} of {}", message.tag, message.user)
            }
            Key::Id(_, from, id) => format!("id {id} of {from}"),
        };
        Some(moment.broken(
            Promise::Once,
            format!("{whose} in {chat} stands at seq {first} and at seq {seq}"),
        ))
    }

    fn answered(
        &mut self,
        moment: Moment<'_, 'h>,
        (user, device): (&'h str, &'h str),
        id: MessageId,
        answer: Answer,
    ) -> Option<Violation> {
        let message = moment.index.message(id);
        let attempt = message.attempt_of(device, moment.at)?;
        let scope = message.id.is_none().then_some((device, attempt.session));
        let earlier = self.answers.entry((id, scope)).or_default();
        let differs = earlier.iter().find(|other| {
            other.seq.is_some() && answer.seq.is_some_and(|seq| other.seq != Some(seq))
        });
        let broken_since =
            self.disconnected.get(&(user, device)).is_some_and(|at| *at > attempt.at);
        let what = if let Some(other) = differs {
            Some(format!(
                "was told seq {} and seq {}",
                other.seq.unwrap_or(0),
                answer.seq.unwrap_or(0)
            ))
        } else {
            match answer.duplicate {
                Some(false) if earlier.iter().any(|other| other.duplicate == Some(false)) => {
                    Some("was told twice that it is no repeat".into())
                }
                Some(false) if earlier.iter().any(|other| other.at < attempt.at) => {
                    Some("was sent again after an answer, and told that it is no repeat".into())
                }
                Some(true) if attempts_in(message, scope, moment.at) == 1 && !broken_since => {
                    Some("was sent once, and told that it is a repeat".into())
                }
                _ => None,
            }
        };
        earlier.push(answer);
        let whose = format!("message {} of {user}/{device} in {}", message.tag, message.chat);
        what.map(|what: String| moment.broken(Promise::Once, format!("{whose} {what}")))
    }
}

fn attempts_in(message: &Message<'_>, scope: Scope<'_>, before: usize) -> usize {
    let attempts = message.attempts.iter().filter(|attempt| attempt.at < before);
    attempts
        .filter(|attempt| scope.is_none_or(|scope| scope == (attempt.device, attempt.session)))
        .count()
}
