//! What can be asked of chats: read from the store, as it was committed. Blocks on the disk.
//!
//! What a user may not know and what is not there have the same answer. The work of one request
//! is bounded: by its limit, and by [`LOOKED_AT_MAX`] entries.

use std::sync::Arc;

use bluetick_protocol::rpc::{
    ChatInfo, ChatList, ChatSummary, History, ListChats, MemberInfo, OfChat, Page, ReadHistory,
    RpcError, answer_ok,
};
use bluetick_protocol::{ChatId, Message, Seq, UserId};

use super::Shared;
use super::encode::message_ref;
use crate::delivery::is_for;
use crate::engine::{Chat, Entry, Member, PartitionNo};
use crate::store::StoreError;

/// How many entries one request looks at, at most: what has expired is looked at in vain.
const LOOKED_AT_MAX: u64 = 2_000;

/// How many unread messages are counted, at most.
const UNREAD_MAX: u64 = 1_000;

/// How far back the last message of a chat is looked for that is for the caller.
const LAST_LOOKBACK: u64 = 64;

/// Bytes of bodies in one answer, give or take one.
const ANSWER_BYTES_MAX: usize = 256 << 10;

/// The JSON of an answer, or why there is none.
pub(super) type Answer = Result<Vec<u8>, Failed>;

pub(super) enum Failed {
    Refused(RpcError),
    Store(StoreError),
}

impl From<StoreError> for Failed {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// A chat as one of those who are or were its members sees it.
struct View<'a> {
    shared: &'a Shared,
    partition: PartitionNo,
    chat: Chat,
    index: u32,
    now: u64,
}

impl<'a> View<'a> {
    fn of(shared: &'a Shared, user: &UserId, id: &ChatId) -> Result<Self, Failed> {
        let partition = shared.of_chat(id).no();
        let chat = shared.store().chat_by_name(partition, id)?;
        chat.and_then(|chat| Self::new(shared, partition, chat, user)).ok_or_else(|| {
            let text = "not a member, or there is no such chat or user";
            Failed::Refused(RpcError::new(RpcError::NOT_AUTHORIZED, text))
        })
    }

    fn new(shared: &'a Shared, partition: PartitionNo, chat: Chat, user: &UserId) -> Option<Self> {
        let index = chat.member_index(user).filter(|_| chat.has_begun())?;
        Some(Self { shared, partition, chat, index, now: shared.now_ms() })
    }

    fn member(&self) -> &Member {
        self.chat.member(self.index).unwrap_or_else(|| unreachable!("found by its place"))
    }

    /// The last entry that he may see.
    fn head(&self) -> Seq {
        self.member().until.map_or(self.chat.head, |until| until.min(self.chat.head))
    }

    fn is_for(&self, entry: &Entry) -> bool {
        is_for(entry, self.index, self.member(), None, self.now)
    }

    /// The newest entry up to `head` that is for him, of the last few.
    fn last(&self, head: Seq) -> Result<Vec<Arc<Entry>>, StoreError> {
        let newest = self.entries(head, head)?;
        if !newest.is_empty() {
            return Ok(newest);
        }
        let from = Seq(head.0.saturating_sub(LAST_LOOKBACK).max(1));
        let store = self.shared.store();
        let heads = store.entry_heads(self.partition, self.chat.no, from, head)?;
        match heads.iter().rfind(|entry| self.is_for(entry)) {
            Some(last) => self.entries(last.seq, last.seq),
            None => Ok(Vec::new()),
        }
    }

    /// Entries of [`from`, `to`] that are for him, rising.
    fn entries(&self, from: Seq, to: Seq) -> Result<Vec<Arc<Entry>>, StoreError> {
        let (entries_max, bytes_max) = (LOOKED_AT_MAX as usize, ANSWER_BYTES_MAX);
        let store = self.shared.store();
        let mut entries =
            store.entries(self.partition, self.chat.no, from, to, entries_max, bytes_max)?;
        entries.retain(|entry| self.is_for(entry));
        Ok(entries)
    }

    /// As [`View::entries`], with the bodies that messages have now.
    fn edited(&self, mut entries: Vec<Arc<Entry>>) -> Result<Vec<Arc<Entry>>, StoreError> {
        let (Some(first), Some(last)) = (entries.first(), entries.last()) else {
            return Ok(entries);
        };
        let (from, to) = (first.seq, last.seq);
        let store = self.shared.store();
        for (seq, amendments) in store.amendments(self.partition, self.chat.no, from, to)? {
            let Some(entry) = entries.iter_mut().find(|entry| entry.seq == seq) else { continue };
            // The newest that is for him: what was edited while its author was blocked is not.
            for edit in amendments.edits.iter().rev() {
                let edit = store.entries(self.partition, self.chat.no, *edit, *edit, 1, 0)?;
                let Some(edit) = edit.first() else { continue };
                if self.is_for(edit) {
                    let mut now = Entry::clone(entry);
                    now.body = edit.body.clone();
                    now.content_type = edit.content_type.clone();
                    *entry = Arc::new(now);
                    break;
                }
            }
        }
        Ok(entries)
    }

    fn message(&self, entry: &Entry) -> Option<Message> {
        let from = self.chat.member(entry.author)?;
        Some(Message::from(&message_ref(&self.chat.id, &from.user, entry)))
    }
}

/// `chats.info`: of members only, and of one who was removed as little as of a stranger.
pub(super) fn info(shared: &Shared, user: &UserId, of: OfChat) -> Answer {
    let view = View::of(shared, user, &of.chat)?;
    if !view.member().is_active() {
        let text = "not a member, or there is no such chat or user";
        return Err(Failed::Refused(RpcError::new(RpcError::NOT_AUTHORIZED, text)));
    }
    let members = view.chat.members.iter().filter(|member| member.is_active());
    let no = shared.of_user(user).no();
    let reads = match shared.people.get(user) {
        Some(person) => !person.hides_reading(),
        None => !shared.store().user(no, user)?.hides_reading,
    };
    let members = members.map(|member| {
        let marks = member.shown(member.user == *user, reads);
        let (delivered, read) = (marks.delivered, marks.read);
        MemberInfo { user: member.user.clone(), role: member.role, delivered, read }
    });
    let info = view.chat.info.clone();
    Ok(answer_ok(&ChatInfo {
        chat: of.chat,
        title: info.title,
        description: info.description,
        picture: info.picture,
        admins_only: info.admins_only,
        ttl_s: info.ttl_s,
        members: members.collect(),
    }))
}

/// `chats.history`: what he was a member for, in pages.
pub(super) fn history(shared: &Shared, user: &UserId, read: ReadHistory) -> Answer {
    let view = View::of(shared, user, &read.chat)?;
    let limit = usize::from(read.limit);
    let head = view.head();
    let mut looked_at = 0;
    let mut found = Vec::new();
    match read.page {
        Page::After(after) => {
            let to = Seq(after.0.saturating_add(LOOKED_AT_MAX)).min(head);
            found = view.entries(after.next(), to)?;
            found.truncate(limit);
        }
        Page::Newest | Page::Before(_) => {
            let mut before = match read.page {
                Page::Before(before) => before.min(head.next()),
                _ => head.next(),
            };
            // Backwards in steps of a page, as the store reads forwards.
            while found.len() < limit && before > Seq(1) && looked_at < LOOKED_AT_MAX {
                let step = (limit - found.len()) as u64;
                let from = Seq(before.0.saturating_sub(step).max(1));
                let mut page = view.entries(from, Seq(before.0 - 1))?;
                looked_at += step;
                before = from;
                page.append(&mut found);
                found = page;
            }
        }
    }
    let found = view.edited(found)?;
    let mut bytes = 0;
    let newest_first = !matches!(read.page, Page::After(_));
    let mut messages = Vec::with_capacity(found.len());
    // Where it gets too much, the end is kept that the next page goes on from.
    let mut take = |entry: &Entry| {
        bytes += entry.body.len();
        let fits = bytes <= ANSWER_BYTES_MAX || messages.is_empty();
        if fits {
            messages.extend(view.message(entry));
        }
        fits
    };
    if newest_first {
        let _all = found.iter().rev().all(|entry| take(entry));
        messages.reverse();
    } else {
        let _all = found.iter().all(|entry| take(entry));
    }
    Ok(answer_ok(&History { messages }))
}

/// `chats.list`: the newest first.
pub(super) fn list(shared: &Shared, user: &UserId, list: ListChats) -> Answer {
    let cursor = match list.cursor.as_deref().map(Place::parse) {
        Some(None) => {
            let text = "'cursor' has to be the 'next' of an earlier answer";
            return Err(Failed::Refused(RpcError::new(RpcError::ARGUMENTS, text)));
        }
        cursor => cursor.flatten(),
    };
    let store = shared.store();
    let mut views = Vec::new();
    for partition in shared.pipeline.partitions() {
        let no = partition.no();
        for chat_no in store.chats_of_user(no, user)? {
            let Some(chat) = store.chat(no, chat_no)? else { continue };
            let Some(view) = View::new(shared, no, chat, user) else { continue };
            let place = Place { at_ms: view.chat.last_at_ms, partition: no.0, chat: chat_no.0 };
            if cursor.is_none_or(|cursor| place < cursor) {
                views.push((place, view));
            }
        }
    }
    views.sort_unstable_by(|(a, _), (b, _)| b.cmp(a));
    let limit = usize::from(list.limit);
    let next = views.get(limit).and_then(|_| views.get(limit.checked_sub(1)?));
    let next = next.map(|(place, _)| place.to_string());
    views.truncate(limit);
    let chats = views.iter().map(|(_, view)| summary(view)).collect::<Result<_, StoreError>>()?;
    Ok(answer_ok(&ChatList { chats, next }))
}

fn summary(view: &View<'_>) -> Result<ChatSummary, StoreError> {
    let member = view.member();
    let head = view.head();
    let read = member.marks.read;
    let counted = Seq(read.0.saturating_add(UNREAD_MAX)).min(head);
    let heads =
        view.shared.store().entry_heads(view.partition, view.chat.no, read.next(), counted)?;
    let unread = heads.iter().filter(|entry| {
        entry.author != view.index && entry.is_message() && !entry.deleted && view.is_for(entry)
    });
    let last = view.edited(view.last(head)?)?;
    Ok(ChatSummary {
        chat: view.chat.id.clone(),
        title: view.chat.info.title.clone(),
        head,
        delivered: member.marks.delivered,
        read,
        unread: unread.count() as u64,
        muted_until_ms: member.muted_until_ms.filter(|until| *until > view.now),
        last: last.first().and_then(|entry| view.message(entry)).map(Box::new),
    })
}

/// Where a page ends: newest first, then by what tells chats apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    at_ms: u64,
    partition: u16,
    chat: u64,
}

impl Place {
    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('-');
        let place = Self {
            at_ms: parts.next()?.parse().ok()?,
            partition: parts.next()?.parse().ok()?,
            chat: parts.next()?.parse().ok()?,
        };
        parts.next().is_none().then_some(place)
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}-{}", self.at_ms, self.partition, self.chat)
    }
}
