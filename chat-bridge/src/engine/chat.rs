//! A chat in memory: its members, their watermarks and cursors, and the newest entries.

use std::collections::VecDeque;
use std::sync::Arc;

use bluetick_protocol::{ChatId, ChatKind, MessageId, Role, Seq, UserId};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use super::batch::{Batch, Write};
use super::entry::Entry;
use super::{DeviceId, Millis};

/// The number of a chat within its partition; names are long and numbers make short keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ChatNo(pub u64);

/// Set in numbers made of names: those that are counted up never get there.
const MADE_OF_A_NAME: u64 = 1 << 63;

impl ChatNo {
    /// The number of a direct chat is made of its name, so that its record is found with one
    /// look-up in place of two. Where another chat has it, the chat gets the next number, as groups
    /// do, which `None` is for.
    #[must_use]
    pub fn of_direct(id: &ChatId) -> Option<Self> {
        let direct = id.kind() == ChatKind::Direct;
        direct.then(|| Self(xxh3_64(id.as_str().as_bytes()) | MADE_OF_A_NAME))
    }
}

/// How many members share one stored record. A direct chat is whole in one record; in a group an
/// acknowledgement rewrites one page and not a thousand members.
pub const MEMBERS_PER_PAGE: usize = 16;

/// Of so many messages of a member whose ids came in their order, one has a record that says where it
/// is. The others are found from there: fewer records for each message sent, more reads for each that
/// is sent again.
pub const NAMED_PER_INDEX: u8 = 16;

/// How far a member got, and which receipts there are for him. All only ever rise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Watermarks {
    /// Up to here a device of the member has acknowledged.
    pub delivered: Seq,
    /// Up to here the member said he has read.
    pub read: Seq,
    /// Up to here others know that: `read`, except of who has read receipts off.
    pub read_told: Seq,
    /// When what others know last changed.
    pub at_ms: Millis,
    /// The chat's receipt version of the last change of what others know.
    pub version: u64,
    /// The chat's receipt version of the last change of `delivered`.
    pub delivered_version: u64,
    /// The chat's receipt version of the last change of `read`: his own devices are told that.
    pub read_version: u64,
    /// The chat's receipt version at which a watermark of another member last newly covered a
    /// message of this one: beyond his cursor, there is a receipt for him.
    pub news: u64,
    /// The same of `delivered` alone: all the news there is for who has read receipts off.
    pub delivered_news: u64,
}

impl Watermarks {
    /// The chat's receipt version of the last change of any of them.
    #[must_use]
    pub fn newest_version(&self) -> u64 {
        // What changes `delivered` changes `version` as well.
        self.version.max(self.read_version)
    }
}

/// Where a persistent session of a member is in this chat.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    /// The device (MQTT client id).
    pub device: DeviceId,
    /// Which session of that device; a cursor of an earlier one is void.
    pub epoch: u64,
    /// Messages acknowledged up to here; `None`: not subscribed to messages yet.
    pub seq: Option<Seq>,
    /// Receipts acknowledged up to this version; `None`: not subscribed to receipts yet.
    pub receipts: Option<u64>,
}

/// A member of a chat. Members keep their place in the list for ever: entries name their author
/// by it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Who.
    pub user: UserId,
    /// What he may do.
    pub role: Role,
    /// The first entry that he is entitled to.
    pub since: Seq,
    /// The partition's tick when he joined.
    pub joined_tick: u64,
    /// The last entry he is entitled to, once he is no longer a member.
    pub until: Option<Seq>,
    /// Earlier memberships: the first and the last entry of each.
    pub past: Vec<(Seq, Seq)>,
    /// How far he got, as decided.
    pub marks: Watermarks,
    /// Receipts that some device of his has acknowledged, up to this version.
    pub receipts_told: u64,
    /// The greatest version 7 id he ever used here: a greater one is new without a look-up.
    pub newest_id: Option<MessageId>,
    /// The message that has it. From there [`Entry::previous_named`] leads down through all whose
    /// ids came in their order, and so they need no record of their own, but every
    /// [`NAMED_PER_INDEX`]th, from which a search begins.
    pub newest_named: Seq,
    /// How many of those there are since the last with a record.
    pub unindexed: u8,
    /// His newest message here; each names the one before ([`Entry::previous`]).
    pub last_sent: Seq,
    /// His persistent sessions.
    pub cursors: Vec<Cursor>,
    /// He wants no notifications of this chat before then.
    pub muted_until_ms: Option<Millis>,
    /// He has blocked the other user of this direct chat, who is told how far he had got then.
    /// Boxed: hardly anybody has, and chats in memory are many.
    pub blocks: Option<Box<Watermarks>>,
    /// How far he got, as committed: see [`Member::told`].
    #[serde(skip)]
    pub visible: Watermarks,
    /// [`Member::newest_named`], as committed.
    #[serde(skip)]
    pub committed_named: Seq,
    /// The batch that last changed `marks`.
    #[serde(skip)]
    marked_in: u64,
}

impl Member {
    /// A member who joins at `since`.
    #[must_use]
    pub fn new(user: UserId, role: Role, since: Seq, joined_tick: u64) -> Self {
        // What came before he joined counts as delivered: it is not for him.
        let before = Seq(since.0.saturating_sub(1));
        let marks = Watermarks {
            delivered: before,
            read: before,
            read_told: before,
            ..Watermarks::default()
        };
        Self {
            user,
            role,
            since,
            joined_tick,
            until: None,
            past: Vec::new(),
            marks,
            receipts_told: 0,
            newest_id: None,
            newest_named: Seq::ZERO,
            unindexed: 0,
            committed_named: Seq::ZERO,
            last_sent: Seq::ZERO,
            cursors: Vec::new(),
            muted_until_ms: None,
            blocks: None,
            visible: marks,
            marked_in: 0,
        }
    }

    /// How far he got, for others to know: as committed, and not beyond where he stood when he
    /// blocked the one who asks.
    #[must_use]
    pub fn told(&self) -> &Watermarks {
        self.blocks
            .as_deref()
            .filter(|then| then.version <= self.visible.version)
            .unwrap_or(&self.visible)
    }

    /// How far he got, as it is told: to himself, or to another who has read receipts on
    /// (`reads`) or off.
    #[must_use]
    pub fn shown(&self, to_himself: bool, reads: bool) -> Watermarks {
        if to_himself {
            return self.visible;
        }
        let told = *self.told();
        Watermarks { read: if reads { told.read_told } else { Seq::ZERO }, ..told }
    }

    /// Whether he is entitled to the entry `seq`.
    #[must_use]
    pub fn may_read(&self, seq: Seq) -> bool {
        (seq >= self.since && self.until.is_none_or(|until| seq <= until))
            || self.past.iter().any(|(first, last)| (*first..=*last).contains(&seq))
    }

    /// His memberships, the present one last: the first and the last entry of each.
    fn memberships(&self) -> impl DoubleEndedIterator<Item = (Seq, Seq)> {
        let present = (self.since, self.until.unwrap_or(Seq(u64::MAX)));
        self.past.iter().copied().chain([present])
    }

    /// The entry before his first membership.
    #[must_use]
    pub fn start(&self) -> Seq {
        let first = self.memberships().next().map_or(self.since, |(first, _)| first);
        Seq(first.0.saturating_sub(1))
    }

    /// Where a device of his is that has all that is for him up to `seq`.
    #[must_use]
    pub fn place_at(&self, seq: Seq) -> Seq {
        let last = self.memberships().rfind(|(first, _)| *first <= seq);
        last.map_or(self.start(), |(_, last)| last.min(seq))
    }

    /// Where a device of his is before the membership that `seq` belongs to.
    #[must_use]
    pub fn place_before(&self, seq: Seq) -> Seq {
        let first = self.memberships().rfind(|(first, _)| *first <= seq).map(|(first, _)| first);
        self.place_at(Seq(first.unwrap_or(seq).0.saturating_sub(1)))
    }

    /// He is a member again, from `since` on, with nothing but his past.
    pub(super) fn rejoin(&mut self, since: Seq, joined_tick: u64) {
        if let Some(until) = self.until.take() {
            self.past.push((self.since, until));
        }
        self.since = since;
        self.joined_tick = joined_tick;
        self.role = Role::Member;
    }

    /// Whether he is a member now.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.until.is_none()
    }

    /// The cursor of a session, if it has one here.
    #[must_use]
    pub fn cursor(&self, device: &DeviceId, epoch: u64) -> Option<&Cursor> {
        self.cursors.iter().find(|cursor| cursor.epoch == epoch && cursor.device == *device)
    }

    /// Notes a message of his with an id; gives the place of the one whose id was the greatest, if
    /// this one's is greater, and whether this one is to have a record.
    pub(super) fn name(&mut self, id: MessageId, seq: Seq) -> Named {
        if !id.is_v7() || self.newest_id.is_some_and(|newest| id <= newest) {
            return Named::Alone;
        }
        self.newest_id = Some(id);
        let previous = std::mem::replace(&mut self.newest_named, seq);
        self.unindexed = self.unindexed.saturating_add(1);
        let indexed = self.unindexed >= NAMED_PER_INDEX;
        if indexed {
            self.unindexed = 0;
        }
        Named::InOrder { previous, indexed }
    }

    /// Makes or finds the cursor of a session; one of an earlier session of that device goes.
    pub(super) fn cursor_or_insert(&mut self, device: &DeviceId, epoch: u64) -> &mut Cursor {
        let fresh = Cursor { device: device.clone(), epoch, seq: None, receipts: None };
        let at = match self.cursors.iter().position(|cursor| cursor.device == *device) {
            Some(at) => {
                if self.cursors[at].epoch != epoch {
                    self.cursors[at] = fresh;
                }
                at
            }
            None => {
                self.cursors.push(fresh);
                self.cursors.len() - 1
            }
        };
        &mut self.cursors[at]
    }
}

/// How the id of a message of a member will be found again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Named {
    /// It is above those before: by way of later ones.
    InOrder {
        /// The message whose id was the greatest until now; zero: there is none.
        previous: Seq,
        /// It has a record nevertheless, for a search to begin at.
        indexed: bool,
    },
    /// By a record of its own.
    Alone,
}

/// What is said of a chat as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Info {
    /// Of a group.
    pub title: Option<String>,
    /// Of a group.
    pub description: Option<String>,
    /// Of a group: a reference to a picture.
    pub picture: Option<String>,
    /// Only owners and admins may send.
    pub admins_only: bool,
    /// Seconds that messages live; 0: for ever.
    pub ttl_s: u32,
}

/// One chat: direct (two members, or one with himself) or group.
#[derive(Debug, Clone)]
pub struct Chat {
    /// Its number.
    pub no: ChatNo,
    /// Its name.
    pub id: ChatId,
    /// The newest entry, as decided.
    pub head: Seq,
    /// The newest entry, as committed: nobody may see further.
    pub committed: Seq,
    /// The receipt version of the last watermark change.
    pub version: u64,
    /// The receipt version up to which watermarks are committed.
    pub visible_version: u64,
    /// The time of the newest entry; `at` never falls within a chat.
    pub last_at_ms: Millis,
    /// In the order they joined; places never change.
    pub members: Vec<Member>,
    /// What is said of it.
    pub info: Info,
    /// Flows of attached devices: while there are any, the chat stays in memory.
    pub flows: u32,
    /// How many of its members are so now.
    active: usize,
    /// The newest entries, in order, without a hole, up to `head`.
    tail: VecDeque<Arc<Entry>>,
    /// The batch that last touched it.
    pub(super) touched_in: u64,
    /// Pages to write with the next batch, beside page 0 which holds the head.
    dirty_pages: Vec<usize>,
}

impl Chat {
    /// A chat as read from the store, or a new one with `head` zero.
    #[must_use]
    pub fn new(no: ChatNo, id: ChatId, head: Seq, version: u64, last_at_ms: Millis) -> Self {
        Self {
            no,
            id,
            head,
            committed: head,
            version,
            visible_version: version,
            last_at_ms,
            members: Vec::new(),
            info: Info::default(),
            flows: 0,
            active: 0,
            tail: VecDeque::new(),
            touched_in: 0,
            dirty_pages: Vec::new(),
        }
    }

    /// Adds members as read from the store, in order.
    pub fn extend_members(&mut self, members: impl IntoIterator<Item = Member>) {
        let members = members.into_iter();
        // Most chats have two, and a vector takes room for four at once.
        self.members.reserve_exact(members.size_hint().0);
        self.members.extend(members.map(|mut member| {
            member.visible = member.marks;
            member.committed_named = member.newest_named;
            member
        }));
        self.count_members();
    }

    /// The place of a user who is or was a member.
    #[must_use]
    pub fn member_index(&self, user: &UserId) -> Option<u32> {
        let at = self.members.iter().position(|member| member.user == *user)?;
        u32::try_from(at).ok()
    }

    /// How many members it has now.
    #[must_use]
    pub fn active_members(&self) -> usize {
        self.active
    }

    /// Counts its members anew, after some have joined or left.
    pub(super) fn count_members(&mut self) {
        self.active = self.members.iter().filter(|member| member.is_active()).count();
    }

    /// Whether there is anything in it. A direct chat exists from its first message on; before, it
    /// may have a record that one of its two has blocked the other, and nobody can tell.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        self.head > Seq::ZERO
    }

    /// Whether a member of a direct chat is blocked by the other one.
    #[must_use]
    pub fn is_blocked(&self, index: u32) -> bool {
        self.id.kind() == ChatKind::Direct
            && self.members.iter().zip(0..).any(|(other, at)| at != index && other.blocks.is_some())
    }

    /// A member by place.
    #[must_use]
    pub fn member(&self, index: u32) -> Option<&Member> {
        self.members.get(index as usize)
    }

    /// The place of a user who is a member now.
    #[must_use]
    pub fn active_index(&self, user: &UserId) -> Option<u32> {
        self.member_index(user).filter(|at| self.member(*at).is_some_and(Member::is_active))
    }

    /// A member by place, to change.
    pub fn member_mut(&mut self, index: u32) -> Option<&mut Member> {
        self.members.get_mut(index as usize)
    }

    /// Watermarks up to `version` are committed; gives the member whose they are.
    pub(super) fn show_version(&mut self, version: u64, index: u32) -> Option<&mut Member> {
        self.visible_version = self.visible_version.max(version);
        self.member_mut(index)
    }

    /// An entry, if it is among the newest that are kept in memory.
    #[must_use]
    pub fn tail_entry(&self, seq: Seq) -> Option<&Arc<Entry>> {
        let first = self.tail.front()?.seq;
        let at = usize::try_from(seq.0.checked_sub(first.0)?).ok()?;
        self.tail.get(at)
    }

    /// An entry is erased: so is the one in memory.
    pub(super) fn replace_tail(&mut self, entry: &Arc<Entry>) {
        let Some(first) = self.tail.front().map(|entry| entry.seq) else { return };
        let at = entry.seq.0.checked_sub(first.0).and_then(|at| usize::try_from(at).ok());
        if let Some(had) = at.and_then(|at| self.tail.get_mut(at)) {
            *had = entry.clone();
        }
    }

    /// Drops the oldest entry kept in memory if it is `seq` and committed; tells how many bytes
    /// that freed.
    pub fn drop_tail(&mut self, seq: Seq) -> bool {
        if self.tail.front().is_some_and(|entry| entry.seq == seq && seq <= self.committed) {
            self.tail.pop_front();
            if self.tail.is_empty() {
                self.tail.shrink_to_fit();
            }
            return true;
        }
        false
    }

    /// Whether nothing keeps it in memory, given that all batches up to `committed_batch` are on
    /// stable storage.
    pub(super) fn is_idle(&self, committed_batch: u64) -> bool {
        self.flows == 0 && self.touched_in <= committed_batch
    }

    pub(super) fn append(&mut self, entry: Arc<Entry>) {
        debug_assert_eq!(entry.seq, self.head.next(), "a log has no holes");
        self.head = entry.seq;
        self.last_at_ms = entry.at_ms;
        self.tail.push_back(entry);
    }

    /// Notes that a member's record has to be written with the batch.
    pub(super) fn mark_dirty(&mut self, index: u32) {
        let page = index as usize / MEMBERS_PER_PAGE;
        if page != 0 && !self.dirty_pages.contains(&page) {
            self.dirty_pages.push(page);
        }
    }

    /// Notes that a member's watermarks are to become visible with the batch `batch_no`.
    pub(super) fn mark_moved(&mut self, index: u32, batch_no: u64, batch: &mut Batch) {
        self.mark_dirty(index);
        let no = self.no;
        if let Some(member) = self.member_mut(index)
            && member.marked_in != batch_no
        {
            member.marked_in = batch_no;
            batch.moved.push((no, index));
        }
    }

    /// Adds what changed to the batch as it stands now.
    pub(super) fn write_into(&mut self, batch: &mut Batch) {
        batch.push(Write::Chat {
            no: self.no,
            id: self.id.clone(),
            head: self.head,
            version: self.version,
            last_at_ms: self.last_at_ms,
            member_count: u32::try_from(self.members.len()).unwrap_or(u32::MAX),
            has_info: self.info != Info::default(),
            members: self.members.iter().take(MEMBERS_PER_PAGE).cloned().collect(),
        });
        for page in std::mem::take(&mut self.dirty_pages) {
            let members = self.members.iter().skip(page * MEMBERS_PER_PAGE);
            batch.push(Write::MemberPage {
                no: self.no,
                page: u32::try_from(page).unwrap_or(u32::MAX),
                members: members.take(MEMBERS_PER_PAGE).cloned().collect(),
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_where_its_user_was_a_member_last() {
        let user = UserId::try_from("bob").expect("a user");
        let mut bob = Member::new(user, Role::Member, Seq(3), 1);
        bob.until = Some(Seq(6));
        bob.rejoin(Seq(9), 2);
        let places: Vec<u64> = (1..=10).map(|seq| bob.place_at(Seq(seq)).0).collect();
        assert_eq!(places, [2, 2, 3, 4, 5, 6, 6, 6, 9, 10]);
        assert_eq!((bob.start(), bob.place_before(Seq(5))), (Seq(2), Seq(2)));
        assert_eq!(bob.place_before(Seq(9)), Seq(6), "the absence has to be explained");
    }
}
