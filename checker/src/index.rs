//! What the whole history tells about messages: which attempts, answers and log entries belong together.
//!
//! An answer may come long after others saw the message, and the place of a message may be told only to
//! another device, so this is gathered before the checks walk through the history.
//!
//! An entry is recognised as a message by the `seq` told to its sender, else by its id, else by author and
//! body. Where two messages without id have the same body, an entry is recognised as neither, and both
//! count as seen: the checks lose sharpness, never truth.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::message::{Ack, Attempt, Content, Entry, Message, MessageId};
use crate::pairs::Pairs;
use crate::requests::{Requests, Switch};
use crate::spans::Spans;
use crate::{Amends, Ask, Event, History};

/// Everything that the checks look up regardless of where they are in the history.
#[derive(Debug, Default)]
pub(crate) struct Index<'h> {
    pub(crate) messages: Vec<Message<'h>>,
    by_tag: HashMap<u64, MessageId>,
    by_id: HashMap<(&'h str, &'h str, String), MessageId>,
    by_body: HashMap<(&'h str, &'h str, &'h str), Vec<MessageId>>,
    by_author: HashMap<(&'h str, &'h str), Vec<MessageId>>,
    by_id_alone: HashMap<String, Vec<MessageId>>,
    /// By chat and body.
    by_body_alone: Pairs<'h, Vec<MessageId>>,
    entries: BTreeMap<&'h str, BTreeMap<u64, Entry<'h>>>,
    /// Tags by chat and user.
    excused: Pairs<'h, BTreeSet<u64>>,
    /// Deletions, by chat and what they delete.
    deletions: HashMap<(&'h str, u64), Vec<MessageId>>,
    /// By chat and user.
    members: Pairs<'h, usize>,
    /// Of those whose membership changes, by chat and user.
    spans: Pairs<'h, Spans>,
    /// By chat: the entries that change who is a member.
    changes: BTreeMap<&'h str, BTreeSet<u64>>,
    active_at: BTreeMap<&'h str, usize>,
    pub(crate) requests: Requests<'h>,
    /// Messages that their author certainly sent while this user had blocked him, by chat and user.
    hidden: Pairs<'h, BTreeSet<MessageId>>,
}

impl<'h> Index<'h> {
    /// Gathers what belongs together.
    ///
    /// Over MQTT 3.1.1 a refusal is acknowledged too. So such an answer counts only if its sender was a
    /// member when he sent (of one whose membership changes nobody knows, nor of what amends), and as many answers of a message are taken as refusals as `me/errors` told.
    pub(crate) fn build(history: &'h History) -> Self {
        let mut index = Self { requests: Requests::build(history), ..Self::default() };
        let mut changes: Pairs<'_, BTreeMap<u64, bool>> = Pairs::default();
        for (at, event) in history.events().iter().enumerate() {
            match event {
                Event::Member { chat, user } => {
                    index.members.or_insert(chat, user, at);
                }
                Event::Added { chat, user, seq } => {
                    changes.or_default(chat, user).insert(*seq, true);
                    index.changes.entry(chat).or_default().insert(*seq);
                }
                Event::Removed { chat, user, seq } => {
                    changes.or_default(chat, user).insert(*seq, false);
                    index.changes.entry(chat).or_default().insert(*seq);
                }
                Event::Excused { chat, user, tag } => {
                    index.excused.or_default(chat, user).insert(*tag);
                }
                Event::Send { .. } => index.add_attempt(at, event),
                _ => {}
            }
        }
        for (chat, user, changes) in changes.iter() {
            let from_start = index.members.get(chat, user).is_some();
            index.spans.or_insert(chat, user, Spans::new(from_start, changes));
        }
        index.add_answers(history);
        for (at, event) in history.events().iter().enumerate() {
            if let Event::Received { chat, seq, .. } = event
                && let Some(content) = Content::of(at, event)
            {
                index.add_entry(chat, *seq, content);
            }
        }
        index.add_blocks();
        index
    }

    /// The message with this tag.
    pub(crate) fn tagged(&self, tag: u64) -> Option<MessageId> {
        self.by_tag.get(&tag).copied()
    }

    pub(crate) fn message(&self, id: MessageId) -> &Message<'h> {
        &self.messages[id]
    }

    /// All messages that were sent to the chat with this body, by whomever.
    pub(crate) fn with_body<'a>(
        &'a self,
        chat: &str,
        body: &str,
    ) -> impl Iterator<Item = &'a Message<'h>> {
        self.by_body_alone.get(chat, body).into_iter().flatten().map(|id| self.message(*id))
    }

    /// All messages that were sent with this id, by whomever and wherever.
    pub(crate) fn with_id<'a>(&'a self, id: &str) -> impl Iterator<Item = &'a Message<'h>> {
        let messages = self.by_id_alone.get(&id.to_ascii_lowercase());
        messages.into_iter().flatten().map(|id| self.message(*id))
    }

    pub(crate) fn entry(&self, chat: &str, seq: u64) -> Option<&Entry<'h>> {
        self.entries.get(chat)?.get(&seq)
    }

    /// The message that stands at this place, as far as it is known.
    pub(crate) fn message_at(&self, chat: &str, seq: u64) -> Option<&Message<'h>> {
        self.entry(chat, seq)?.message.map(|id| self.message(id))
    }

    /// Known entries of `first..=last`, rising.
    pub(crate) fn entries_in(
        &self,
        chat: &str,
        first: u64,
        last: u64,
    ) -> impl Iterator<Item = (u64, &Entry<'h>)> {
        let range = if first <= last { Some(first..=last) } else { None };
        let log = self.entries.get(chat);
        log.zip(range)
            .into_iter()
            .flat_map(|(log, range)| log.range(range))
            .map(|(&seq, entry)| (seq, entry))
    }

    /// Index of the event that makes the user a member, be it before or after the one looked at.
    pub(crate) fn member_at(&self, chat: &str, user: &str) -> Option<usize> {
        self.members.get(chat, user).copied()
    }

    /// The memberships of a user for whom they change.
    pub(crate) fn spans(&self, chat: &str, user: &str) -> Option<&Spans> {
        self.spans.get(chat, user)
    }

    /// All users whose memberships change, as (chat, user, memberships).
    pub(crate) fn changing(&self) -> impl Iterator<Item = (&'h str, &'h str, &Spans)> {
        self.spans.iter()
    }

    /// Whether the user, a member at some time, is entitled to the entry at this place.
    pub(crate) fn is_entitled(&self, chat: &str, user: &str, seq: u64) -> bool {
        self.spans(chat, user).is_none_or(|spans| spans.contains(seq))
    }

    /// Whether the entry at this place changes who is a member.
    pub(crate) fn is_change(&self, chat: &str, seq: u64) -> bool {
        self.changes.get(chat).is_some_and(|changes| changes.contains(&seq))
    }

    /// Whether the user is a member at any time.
    pub(crate) fn is_ever_member(&self, chat: &str, user: &str) -> bool {
        self.member_at(chat, user).is_some() || self.spans(chat, user).is_some()
    }

    /// First event that sends to the chat or reads from it.
    pub(crate) fn active_at(&self, chat: &str) -> Option<usize> {
        self.active_at.get(chat).copied()
    }

    pub(crate) fn is_excused(&self, message: &Message<'_>, user: &str) -> bool {
        self.excused.get(message.chat, user).is_some_and(|tags| tags.contains(&message.tag))
    }

    /// Whether somebody may have deleted the entry before `at`: he has asked, and was not refused each time.
    pub(crate) fn may_be_deleted(&self, chat: &str, seq: u64, at: usize) -> bool {
        let deletions = self.deletions.get(&(chat, seq)).into_iter().flatten();
        let mut asked =
            deletions.map(|id| self.message(*id)).filter(|deletion| deletion.first_at() < at);
        asked.any(|deletion| deletion.refusals < deletion.attempts.len())
    }

    /// Whether the author of the message sent it while the user had certainly blocked him.
    pub(crate) fn is_hidden(&self, chat: &str, user: &str, seq: u64) -> bool {
        let message = self.entry(chat, seq).and_then(|entry| entry.message);
        let hidden = self.hidden.get(chat, user);
        hidden.zip(message).is_some_and(|(hidden, message)| hidden.contains(&message))
    }

    /// How many places of the log make the user a member (`joins`), or end that, as far as they were seen.
    pub(crate) fn changes_of(&self, chat: &str, user: &str, joins: bool) -> usize {
        self.spans(chat, user).map_or(0, |spans| spans.changes(joins))
    }

    /// At how many places that nobody knows messages may stand that the user is excused from.
    pub(crate) fn excused_without_place(&self, chat: &str, user: &str) -> usize {
        let Some(tags) = self.excused.get(chat, user) else {
            return 0;
        };
        let unknown = |tag: &u64| {
            self.tagged(*tag).map_or(1, |id| {
                let message = self.message(id);
                message.places_max(usize::MAX).saturating_sub(message.seqs.len())
            })
        };
        tags.iter().map(unknown).sum()
    }

    /// Whether anybody has got the message, or what may be the message, before `at`.
    pub(crate) fn is_seen(&self, message: &Message<'_>, at: usize) -> bool {
        let seen = |seq: &u64| {
            let entry = self.entry(message.chat, *seq);
            entry
                .and_then(|entry| entry.seen)
                .is_some_and(|seen| seen.at < at && message.agrees(&seen))
        };
        message.seqs.iter().any(seen) || message.maybe_seen_at.is_some_and(|seen| seen < at)
    }

    /// The message that an entry with this content is.
    ///
    /// # Errors
    /// Those that it can be: none, or several that cannot be told apart.
    pub(crate) fn recognise(
        &self,
        chat: &'h str,
        content: &Content<'h>,
    ) -> Result<MessageId, Vec<MessageId>> {
        let from = content.from;
        let by_id =
            content.id.and_then(|id| self.by_id.get(&(chat, from, id.to_ascii_lowercase())));
        if let Some(found) = by_id {
            return Ok(*found);
        }
        let candidates = match content.body {
            Some(body) => self.by_body.get(&(chat, from, body)),
            None => self.by_author.get(&(chat, from)),
        };
        let candidates = candidates.into_iter().flatten().copied();
        let candidates: Vec<_> =
            candidates.filter(|id| self.message(*id).agrees(content)).collect();
        match candidates[..] {
            [one] if content.body.is_some() || content.is_deletion() => Ok(one),
            _ => Err(candidates),
        }
    }

    fn add_attempt(&mut self, at: usize, event: &'h Event) {
        let Event::Send { user, device, session, version, chat, id, body, amends, tag } = event
        else {
            return;
        };
        self.active(chat, at);
        let id = id.as_ref().map(|id| id.to_ascii_lowercase());
        let key = id.clone().map(|id| (chat.as_str(), user.as_str(), id));
        let known = self.tagged(*tag).or_else(|| self.by_id.get(key.as_ref()?).copied());
        let message = known.unwrap_or_else(|| {
            self.by_author.entry((chat, user)).or_default().push(self.messages.len());
            if let Some(Amends::Delete(seq)) = amends {
                let deletions = self.deletions.entry((chat, *seq)).or_default();
                deletions.push(self.messages.len());
            }
            self.messages.push(Message {
                tag: *tag,
                chat,
                user,
                id,
                amends: *amends,
                attempts: Vec::new(),
                acks: Vec::new(),
                refusals: 0,
                maybe_seen_at: None,
                seqs: BTreeSet::new(),
            });
            self.messages.len() - 1
        });
        self.by_tag.insert(*tag, message);
        if let Some(key) = key
            && !self.by_id.contains_key(&key)
        {
            self.by_id_alone.entry(key.2.clone()).or_default().push(message);
            self.by_id.insert(key, message);
        }
        let same_body = self.by_body.entry((chat, user, body)).or_default();
        if !same_body.contains(&message) {
            same_body.push(message);
            self.by_body_alone.or_default(chat, body).push(message);
        }
        let attempt = Attempt { at, device, session: *session, version: *version, body };
        self.messages[message].attempts.push(attempt);
    }

    fn add_answers(&mut self, history: &'h History) {
        let mut refusals: HashMap<MessageId, usize> = HashMap::new();
        for event in history.events() {
            if let Event::Refused { tag, .. } = event
                && let Some(message) = self.tagged(*tag)
            {
                *refusals.entry(message).or_default() += 1;
                self.messages[message].refusals += 1;
            }
        }
        for (at, event) in history.events().iter().enumerate() {
            let Event::Acked { user, device, tag, seq, .. } = event else {
                continue;
            };
            let Some(id) = self.tagged(*tag) else {
                continue;
            };
            let message = &self.messages[id];
            let chat = message.chat;
            let effective = match message.attempt_of(device, at) {
                Some(attempt) if attempt.version < 5 => {
                    let since = self.member_at(chat, user).filter(|since| *since < attempt.at);
                    // Nor does anybody know whether there was something to be amended.
                    let unsure = self.spans(chat, user).is_some() || message.amends.is_some();
                    let member = if unsure { seq.is_some() } else { since.is_some() };
                    let refused = refusals.get_mut(&id).filter(|left| **left > 0 && seq.is_none());
                    let taken_as_refusal = refused.map(|left| *left -= 1).is_some();
                    member && !taken_as_refusal
                }
                _ => true,
            };
            self.messages[id].acks.push(Ack { at, seq: *seq, effective });
            if let Some(seq) = seq.filter(|_| effective) {
                self.messages[id].seqs.insert(seq);
                let entry = self.entries.entry(chat).or_default().entry(seq).or_default();
                if entry.message.is_none() {
                    (entry.message, entry.known_at) = (Some(id), at);
                }
            }
        }
    }

    fn add_entry(&mut self, chat: &'h str, seq: u64, content: Content<'h>) {
        self.active(chat, content.at);
        let recognised = self.recognise(chat, &content);
        let entry = self.entries.entry(chat).or_default().entry(seq).or_default();
        if entry.message.is_none() && entry.seen.is_none() || content.at < entry.known_at {
            entry.known_at = content.at;
        }
        let told = entry.message.filter(|id| self.messages[*id].agrees(&content));
        match entry.seen {
            None => entry.seen = Some(content),
            // One device's dialect may tell what another's does not.
            Some(ref mut seen) if seen.agrees(&content) => {
                seen.id = seen.id.or(content.id);
                seen.body = seen.body.or(content.body);
            }
            Some(_) => {}
        }
        match told.map_or(recognised, Ok) {
            Ok(message) => {
                self.messages[message].seqs.insert(seq);
                entry.message.get_or_insert(message);
            }
            Err(candidates) => {
                for message in candidates {
                    self.messages[message].maybe_seen_at.get_or_insert(content.at);
                }
            }
        }
    }

    /// Whoever blocks goes without what the other sends meanwhile; where nobody knows, he may get it or not.
    fn add_blocks(&mut self) {
        let mut blocks = BTreeSet::new();
        for request in self.requests.all() {
            if let Ask::Block { chat, blocks: true } = request.ask {
                blocks.insert((chat.as_str(), request.user));
            }
        }
        for (chat, user) in blocks {
            let sent = self.messages.iter().enumerate();
            for (id, message) in sent.filter(|(_, one)| one.chat == chat && one.user != user) {
                let stored = self.stored_by(message);
                let switch = Switch::Block { chat };
                match self.requests.is_on(user, switch, message.first_at(), stored) {
                    Some(false) => {}
                    on => {
                        self.excused.or_default(chat, user).insert(message.tag);
                        if on == Some(true) {
                            self.hidden.or_default(chat, user).insert(id);
                        }
                    }
                }
            }
        }
    }

    /// The event by which the message has its place, and its only one.
    fn stored_by(&self, message: &Message<'_>) -> usize {
        let session = message.attempts.first().map(|first| (first.device, first.session));
        let is_same = |other: &Attempt<'_>| Some((other.device, other.session)) == session;
        if message.id.is_none() && !message.attempts.iter().all(is_same) {
            return usize::MAX;
        }
        let acks = message.acks.iter().filter(|ack| ack.effective).map(|ack| ack.at);
        let seen = message.seqs.iter().filter_map(|seq| self.entry(message.chat, *seq));
        acks.chain(seen.map(|entry| entry.known_at)).min().unwrap_or(usize::MAX)
    }

    fn active(&mut self, chat: &'h str, at: usize) {
        let first = self.active_at.entry(chat).or_insert(at);
        *first = at.min(*first);
    }
}
