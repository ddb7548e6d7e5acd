//! What is known of one chat.

use std::collections::BTreeMap;

use bluetick_client::{ChatId, ChatKind, GroupEvent, MessageId, ReceiptCount, Role, Seq, UserId};

use super::covered::Covered;
use super::editor::Editor;
use super::entry::{Entry, What};

/// Messages of a chat in memory, at most; the oldest make room, and are read again from the server.
const ENTRIES_MAX: usize = 2_000;

/// How far a message of one's own got.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Tick {
    /// In the outbox: on this machine alone.
    Waiting,
    /// On the server's disk: ✓.
    Stored,
    /// On a device of each of the others: ✓✓.
    Delivered,
    /// Read by each of them: blue.
    Read,
}

/// What became of a message by later entries.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Changes {
    /// The newest edit: its place and its text.
    pub(crate) edited: Option<(Seq, String)>,
    pub(crate) deleted: bool,
    /// By user: the place of his newest reaction, and the emoji; empty: taken back.
    pub(crate) reactions: BTreeMap<UserId, (Seq, String)>,
}

/// A message of one's own on its way to the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Outgoing {
    pub(crate) local: u64,
    /// Once it is in the outbox.
    pub(crate) id: Option<MessageId>,
    pub(crate) text: String,
    pub(crate) reply_to: Option<Seq>,
    pub(crate) at_ms: u64,
    /// Why it will not be sent.
    pub(crate) failed: Option<String>,
}

/// What the composer does with its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Purpose {
    #[default]
    Say,
    Reply(Seq),
    Edit(Seq),
}

/// Where the window over the messages stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Scroll {
    /// At the end, and stays there.
    #[default]
    Newest,
    /// At the first message after this one, if not all of what follows fits.
    FirstAfter(Seq),
    /// This line of this message is on top.
    Top(Seq, usize),
    /// Wherever this message is seen.
    Show(Seq),
}

/// A member of a group, as the server tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Member {
    pub(crate) user: UserId,
    pub(crate) role: Role,
}

/// What is known of one chat.
#[derive(Debug, Clone)]
pub(crate) struct Conversation {
    pub(crate) chat: ChatId,
    pub(crate) title: Option<String>,
    /// What is shown: messages, and what happened to the group.
    pub(crate) entries: BTreeMap<Seq, Entry>,
    /// By the message that they are about, which need not be here.
    changes: BTreeMap<Seq, Changes>,
    pub(crate) covered: Covered,
    /// The newest place that was heard of.
    pub(crate) head: Seq,
    /// The newest place that came by itself since the program was started.
    pub(crate) live: Option<Seq>,
    /// When something was last said, Unix milliseconds.
    pub(crate) last_at_ms: u64,
    /// How far one has read oneself.
    pub(crate) read: Seq,
    /// What the server said of it: read up to, unread, head.
    pub(crate) told: (Seq, u64, Seq),
    /// How far each member got: delivered, read.
    pub(crate) watermarks: BTreeMap<UserId, (Seq, Seq)>,
    /// In a large group.
    pub(crate) count: Option<ReceiptCount>,
    pub(crate) members: Option<Vec<Member>>,
    pub(crate) muted_until_ms: u64,
    /// One is no member any more.
    pub(crate) left: bool,
    pub(crate) outgoing: Vec<Outgoing>,
    /// Edits, deletions and reactions on their way: what of, and the message.
    pub(crate) changing: BTreeMap<u64, Seq>,
    /// Who types, and until when that holds.
    pub(crate) typing: BTreeMap<UserId, u64>,
    pub(crate) draft: Editor,
    pub(crate) purpose: Purpose,
    pub(crate) scroll: Scroll,
    /// Lines to go down, or up if negative, with the next frame.
    pub(crate) scroll_by: isize,
    /// Where the line "new" stands: after this message.
    pub(crate) new_after: Option<Seq>,
    /// A page of history is under way.
    pub(crate) loading: bool,
    /// What the head was when that page was asked for.
    pub(crate) asked_head: Seq,
    /// The last page was refused: it is not asked for again on this connection.
    pub(crate) refused: bool,
    /// It was opened when not all that is unread was here: where to begin is known with the last page.
    pub(crate) fresh: bool,
    /// Pages that were loaded to get back to what is unread.
    pub(crate) pages_back: u32,
}

impl Conversation {
    pub(crate) fn new(chat: ChatId) -> Self {
        Self {
            chat,
            title: None,
            entries: BTreeMap::new(),
            changes: BTreeMap::new(),
            covered: Covered::default(),
            head: Seq::ZERO,
            live: None,
            last_at_ms: 0,
            read: Seq::ZERO,
            told: (Seq::ZERO, 0, Seq::ZERO),
            watermarks: BTreeMap::new(),
            count: None,
            members: None,
            muted_until_ms: 0,
            left: false,
            outgoing: Vec::new(),
            changing: BTreeMap::new(),
            typing: BTreeMap::new(),
            draft: Editor::default(),
            purpose: Purpose::Say,
            scroll: Scroll::Newest,
            scroll_by: 0,
            new_after: None,
            loading: false,
            asked_head: Seq::ZERO,
            refused: false,
            fresh: false,
            pages_back: 0,
        }
    }

    pub(crate) fn is_group(&self) -> bool {
        self.chat.kind() == ChatKind::Group
    }

    /// The other one of a direct chat; oneself for one's notes.
    pub(crate) fn partner(&self, me: &UserId) -> Option<UserId> {
        let (first, second) = self.chat.direct_members()?;
        Some(if first == *me { second } else { first })
    }

    /// What it is called.
    pub(crate) fn name(&self, me: &UserId) -> String {
        match (self.partner(me), &self.title) {
            (Some(user), _) if user == *me => "notes to myself".to_owned(),
            (Some(user), _) => user.as_str().to_owned(),
            (None, Some(title)) => title.clone(),
            (None, None) => self.chat.as_str().to_owned(),
        }
    }

    /// Puts an entry where it belongs; gives the message whose body is not to be kept any more.
    pub(crate) fn add(&mut self, entry: Entry, me: &UserId) -> Option<Seq> {
        let (seq, from) = (entry.seq, entry.from.clone());
        if seq > self.head {
            self.head = seq;
        }
        if entry.is_message() {
            self.last_at_ms = self.last_at_ms.max(entry.at_ms);
        }
        if let Some(id) = entry.id {
            self.outgoing.retain(|outgoing| outgoing.id != Some(id));
        }
        let mut erased = None;
        match &entry.what {
            What::Edit { of, text } => {
                let changes = self.changes.entry(*of).or_default();
                if !changes.deleted && changes.edited.as_ref().is_none_or(|(by, _)| *by < seq) {
                    changes.edited = Some((seq, text.clone()));
                }
            }
            What::Delete { of } => {
                let changes = self.changes.entry(*of).or_default();
                erased = Some(*of);
                changes.edited = None;
                changes.deleted = true;
                if let Some(entry) = self.entries.get_mut(of) {
                    entry.what = What::Gone;
                }
            }
            What::React { to, emoji } => {
                let reactions = &mut self.changes.entry(*to).or_default().reactions;
                let newest = reactions.entry(from).or_insert((Seq::ZERO, String::new()));
                if newest.0 < seq {
                    *newest = (seq, emoji.clone());
                }
            }
            What::Group(event) => {
                self.regroup(event, seq, &from, me);
                self.entries.insert(seq, entry);
            }
            What::Text { .. } | What::File { .. } | What::Gone => {
                self.typing.remove(&from);
                let gone = self.changes.get(&seq).is_some_and(|changes| changes.deleted);
                let what = if gone { What::Gone } else { entry.what };
                self.entries.insert(seq, Entry { what, ..entry });
            }
        }
        self.bound();
        erased
    }

    /// What happened to the group. Who is in it is asked of the server again.
    fn regroup(&mut self, event: &GroupEvent, seq: Seq, from: &UserId, me: &UserId) {
        let is_newest = seq == self.head;
        match event {
            GroupEvent::Created { title: Some(title), .. } if self.title.is_none() => {
                self.title = Some(title.clone());
            }
            GroupEvent::Updated { title: Some(title), .. } if is_newest => {
                self.title = Some(title.clone());
            }
            GroupEvent::Added { members } if is_newest && members.contains(me) => self.left = false,
            GroupEvent::Removed { members } if is_newest && members.contains(me) => {
                self.left = true
            }
            GroupEvent::Left if is_newest && from == me => self.left = true,
            _ => {}
        }
        if is_newest {
            self.members = None;
        }
    }

    fn bound(&mut self) {
        // Whoever has scrolled up wants to see what is old.
        while self.entries.len() > ENTRIES_MAX && self.scroll == Scroll::Newest {
            self.entries.pop_first();
            if let Some((first, _)) = self.entries.first_key_value() {
                self.covered.forget_before(first.0);
                self.changes = self.changes.split_off(first);
            }
        }
    }

    /// Takes away what has expired; gives its places.
    pub(crate) fn expire(&mut self, now_ms: u64) -> Vec<Seq> {
        let over = |entry: &&Entry| entry.is_expired(now_ms);
        let gone: Vec<Seq> = self.entries.values().filter(over).map(|entry| entry.seq).collect();
        for seq in &gone {
            self.entries.remove(seq);
            self.changes.remove(seq);
        }
        gone
    }

    pub(crate) fn changes(&self, seq: Seq) -> Option<&Changes> {
        self.changes.get(&seq)
    }

    /// The text of a message as it is now; `None`: it has none.
    pub(crate) fn text(&self, seq: Seq) -> Option<&str> {
        match &self.entries.get(&seq)?.what {
            What::Text { text, .. } => {
                let edited = self.changes.get(&seq).and_then(|changes| changes.edited.as_ref());
                Some(edited.map_or(text, |(_, text)| text))
            }
            _ => None,
        }
    }

    /// How far a message of one's own got.
    pub(crate) fn tick(&self, seq: Seq, me: &UserId) -> Tick {
        if self.changing.values().any(|of| *of == seq) {
            return Tick::Waiting;
        }
        let reached = |user: &UserId| {
            let (delivered, read) = self.watermarks.get(user).copied().unwrap_or_default();
            if read >= seq {
                Tick::Read
            } else if delivered >= seq {
                Tick::Delivered
            } else {
                Tick::Stored
            }
        };
        if let Some(partner) = self.partner(me) {
            // A note is where it was to go.
            return if partner == *me { Tick::Stored } else { reached(&partner) };
        }
        let Some(members) = &self.members else { return Tick::Stored };
        let others = members.iter().map(|member| &member.user).filter(|user| *user != me);
        let least = others.clone().map(reached).min().unwrap_or(Tick::Stored);
        let counted = self.count.as_ref().filter(|count| count.seq >= seq).map(|count| {
            let all = others.count() as u64;
            match (count.delivered_by >= all, count.read_by >= all) {
                (_, true) => Tick::Read,
                (true, false) => Tick::Delivered,
                _ => Tick::Stored,
            }
        });
        counted.map_or(least, |counted| counted.max(least))
    }

    /// How many messages of others one has not read.
    pub(crate) fn unread(&self, me: &UserId) -> u64 {
        let (told_read, told_unread, told_head) = self.told;
        let beyond = |seq: Seq| {
            let newer = self.entries.range(seq.next()..).map(|(_, entry)| entry);
            newer.filter(|entry| entry.is_message() && entry.from != *me).count() as u64
        };
        if self.read > told_read || self.covered.start_of(self.head.0) <= Some(self.read.0 + 1) {
            return beyond(self.read);
        }
        told_unread + beyond(told_head)
    }

    /// Moves one's watermark over what was on screen: up to the first message of another that was not.
    /// True if it has moved.
    pub(crate) fn saw(&mut self, shown: &[Seq], me: &UserId) -> bool {
        let before = self.read;
        let Some(end) = self.covered.end_of(self.read.0 + 1) else { return false };
        let stop = self
            .entries
            .range(self.read.next()..)
            .find(|(seq, entry)| entry.is_message() && entry.from != *me && !shown.contains(seq));
        let end = stop.map_or(end, |(seq, _)| end.min(seq.0 - 1));
        self.read = self.read.max(Seq(end));
        self.read > before
    }

    /// Gives up a reply or an edit; else a message that was refused goes back into an empty composer.
    pub(crate) fn give_up(&mut self) {
        match std::mem::take(&mut self.purpose) {
            Purpose::Edit(_) => drop(self.draft.take()),
            Purpose::Say if self.draft.is_empty() => {
                let failed = self.outgoing.iter().rposition(|outgoing| outgoing.failed.is_some());
                if let Some(at) = failed {
                    self.draft = Editor::new(&self.outgoing.remove(at).text);
                }
            }
            Purpose::Say | Purpose::Reply(_) => {}
        }
    }

    /// Puts the window at the first message that is not read.
    pub(crate) fn begin_at_unread(&mut self, me: &UserId) {
        let has_unread = self.unread(me) > 0;
        self.new_after = has_unread.then_some(self.read);
        self.scroll = if has_unread { Scroll::FirstAfter(self.read) } else { Scroll::Newest };
        self.scroll_by = 0;
    }

    /// The newest message.
    pub(crate) fn last(&self) -> Option<&Entry> {
        self.entries.values().rev().find(|entry| entry.is_message())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(name: &str) -> UserId {
        UserId::try_from(name).expect("a user")
    }

    fn entry(seq: u64, from: &str, what: What) -> Entry {
        let chat = ChatId::try_from("alice~bob").expect("a chat");
        Entry {
            chat,
            seq: Seq(seq),
            id: None,
            from: user(from),
            at_ms: seq,
            expires_at_ms: None,
            what,
        }
    }

    fn said(seq: u64, from: &str) -> Entry {
        entry(seq, from, What::Text { text: format!("message {seq}"), reply_to: None })
    }

    fn conversation(entries: impl IntoIterator<Item = Entry>) -> Conversation {
        let mut conversation = Conversation::new(ChatId::try_from("alice~bob").expect("a chat"));
        for entry in entries {
            conversation.covered.add(entry.seq.0, entry.seq.0);
            conversation.add(entry, &user("alice"));
        }
        conversation
    }

    #[test]
    fn changes_count_in_whatever_order_they_come() {
        let edit =
            |seq, text: &str| entry(seq, "bob", What::Edit { of: Seq(1), text: text.to_owned() });
        let react = |seq, emoji: &str| {
            entry(seq, "alice", What::React { to: Seq(1), emoji: emoji.to_owned() })
        };
        let entries =
            [said(1, "bob"), edit(2, "two"), edit(3, "three"), react(4, "a"), react(5, "b")];
        for turn in 0..entries.len() {
            let mut turned = entries.clone();
            turned.rotate_left(turn);
            let conversation = conversation(turned);
            assert_eq!(conversation.text(Seq(1)), Some("three"));
            let changes = conversation.changes(Seq(1)).expect("changed");
            assert_eq!(changes.reactions[&user("alice")], (Seq(5), "b".to_owned()));
        }
        let mut conversation = conversation(entries);
        let erased = conversation.add(entry(6, "bob", What::Delete { of: Seq(1) }), &user("alice"));
        assert_eq!(erased, Some(Seq(1)));
        conversation.add(edit(7, "again"), &user("alice"));
        assert_eq!(conversation.text(Seq(1)), None);
    }

    #[test]
    fn only_what_was_on_screen_is_read() {
        let me = user("alice");
        let mut conversation =
            conversation((1..=9).map(|seq| said(seq, if seq == 3 { "alice" } else { "bob" })));
        assert_eq!(conversation.unread(&me), 8);
        assert!(conversation.saw(&[Seq(1), Seq(2)], &me));
        assert_eq!(conversation.read, Seq(3), "one's own needs no reading");
        assert!(!conversation.saw(&[Seq(8), Seq(9)], &me), "those in between were not there");
        assert!(conversation.saw(&[Seq(4), Seq(5)], &me));
        assert_eq!((conversation.read, conversation.unread(&me)), (Seq(5), 4));
        // What is not loaded was not seen.
        conversation.add(said(11, "bob"), &me);
        conversation.covered.add(11, 11);
        assert!(conversation.saw(&(6..=11).map(Seq).collect::<Vec<_>>(), &me));
        assert_eq!(conversation.read, Seq(9));
    }

    #[test]
    fn ticks_are_those_of_the_last_member() {
        let me = user("alice");
        let mut conversation = conversation([said(1, "alice")]);
        assert_eq!(conversation.tick(Seq(1), &me), Tick::Stored);
        conversation.watermarks.insert(user("bob"), (Seq(1), Seq::ZERO));
        assert_eq!(conversation.tick(Seq(1), &me), Tick::Delivered);
        conversation.watermarks.insert(user("bob"), (Seq(1), Seq(1)));
        assert_eq!(conversation.tick(Seq(1), &me), Tick::Read);
        conversation.changing.insert(1, Seq(1));
        assert_eq!(conversation.tick(Seq(1), &me), Tick::Waiting);

        let mut group = Conversation::new(ChatId::try_from("g-000000000000").expect("a chat"));
        group.watermarks = conversation.watermarks;
        assert_eq!(group.tick(Seq(1), &me), Tick::Stored, "nobody knows who is in it");
        let member = |name| Member { user: user(name), role: Role::Member };
        group.members = Some(vec![member("alice"), member("bob")]);
        assert_eq!(group.tick(Seq(1), &me), Tick::Read);
        group.members = Some(vec![member("alice"), member("bob"), member("carol")]);
        assert_eq!(group.tick(Seq(1), &me), Tick::Stored);
        group.count = Some(ReceiptCount {
            chat: group.chat.clone(),
            seq: Seq(1),
            delivered_by: 2,
            read_by: 1,
        });
        assert_eq!(group.tick(Seq(1), &me), Tick::Delivered);
    }
}
