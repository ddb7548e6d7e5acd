//! Where a subscription starts in each chat.

use bluetick_protocol::{Seq, UserId};

use super::Engine;
use super::batch::{Batch, Facts, Need, SubscriptionStart};
use super::chat::{ChatNo, Member};
use super::command::{Outcome, Refused, SessionKey, Subscribe, SubscriptionKind, Unsubscribe};

impl Engine {
    pub(super) fn decide_subscribe(
        &mut self,
        subscribe: &Subscribe,
        facts: &Facts,
        batch: &mut Batch,
    ) -> Result<Outcome, Need> {
        let numbers = match &subscribe.chat {
            Some(id) => {
                let Some(no) = self.find(id, facts)? else {
                    return Ok(Outcome::Refused(Refused::NotAMember));
                };
                let chat = self.chats.get(no).ok_or(Need::ChatNo(no))?;
                if chat.active_index(&subscribe.user).is_none() {
                    return Ok(Outcome::Refused(Refused::NotAMember));
                }
                vec![no]
            }
            None => self.chats_of(&subscribe.user, facts)?,
        };
        self.all_resident(&numbers)?;
        let keeps_cursors = !subscribe.live && subscribe.session.is_some();
        let tick = match subscribe.resumed {
            Some(tick) => tick,
            None if keeps_cursors => self.next_tick(batch),
            None => self.counters.tick,
        };
        let mut starts = Vec::with_capacity(numbers.len());
        for no in numbers {
            if let Some(start) = self.start_in(subscribe, no, batch) {
                starts.push(start);
            }
        }
        Ok(Outcome::Subscribed { tick, chats: starts })
    }

    pub(super) fn decide_unsubscribe(
        &mut self,
        unsubscribe: &Unsubscribe,
        facts: &Facts,
        batch: &mut Batch,
    ) -> Result<Outcome, Need> {
        let numbers = match &unsubscribe.chat {
            Some(id) => self.find(id, facts)?.into_iter().collect(),
            None => self.chats_of(&unsubscribe.user, facts)?,
        };
        self.all_resident(&numbers)?;
        let (device, epoch) = &unsubscribe.session;
        for no in numbers {
            let Some(chat) = self.chats.get_mut(no) else { continue };
            let Some(index) = chat.member_index(&unsubscribe.user) else { continue };
            let Some(member) = chat.member_mut(index) else { continue };
            if member.cursor(device, *epoch).is_none() {
                continue;
            }
            let cursor = member.cursor_or_insert(device, *epoch);
            match unsubscribe.kind {
                SubscriptionKind::Messages => cursor.seq = None,
                SubscriptionKind::Receipts => cursor.receipts = None,
            }
            chat.mark_dirty(index);
            self.touch(no, batch);
        }
        Ok(Outcome::Unsubscribed)
    }

    /// Forgets the cursors of a device in all chats of its user.
    pub(super) fn decide_forget_device(
        &mut self,
        key: &SessionKey,
        epoch: Option<u64>,
        facts: &Facts,
        batch: &mut Batch,
    ) -> Result<Outcome, Need> {
        let numbers = self.chats_of(&key.user, facts)?;
        self.all_resident(&numbers)?;
        for no in numbers {
            let Some(chat) = self.chats.get_mut(no) else { continue };
            let Some(index) = chat.member_index(&key.user) else { continue };
            let Some(member) = chat.member_mut(index) else { continue };
            let had = member.cursors.len();
            member.cursors.retain(|cursor| {
                cursor.device != key.device || epoch.is_some_and(|epoch| epoch != cursor.epoch)
            });
            if member.cursors.len() < had {
                chat.mark_dirty(index);
                self.touch(no, batch);
            }
        }
        Ok(Outcome::Saved)
    }

    fn all_resident(&self, numbers: &[ChatNo]) -> Result<(), Need> {
        let missing = numbers.iter().find(|no| self.chats.get(**no).is_none());
        missing.map_or(Ok(()), |no| Err(Need::ChatNo(*no)))
    }

    /// All chats of a user, stored or not yet.
    fn chats_of(&self, user: &UserId, facts: &Facts) -> Result<Vec<ChatNo>, Need> {
        let stored = facts.chats_of_user.as_ref().ok_or_else(|| Need::ChatsOfUser(user.clone()))?;
        let mut numbers = stored.clone();
        // A chat that was made by a batch not yet committed is in memory and not in the store.
        numbers.extend(self.uncommitted_chats.iter().filter_map(|(_, no)| {
            self.chats.get(*no)?.member_index(user)?;
            Some(*no)
        }));
        numbers.sort_unstable();
        numbers.dedup();
        Ok(numbers)
    }

    fn start_in(
        &mut self,
        subscribe: &Subscribe,
        no: ChatNo,
        batch: &mut Batch,
    ) -> Option<SubscriptionStart> {
        let chat = self.chats.get_mut(no)?;
        let head = chat.head;
        let index = chat.member_index(&subscribe.user)?;
        let member = chat.member_mut(index)?;
        if subscribe.live {
            let (seq, receipts) = (member.place_at(head), member.receipts_told);
            return Some(SubscriptionStart { chat: no, member: index, seq, receipts });
        }
        let Some((device, epoch)) = &subscribe.session else {
            let (seq, receipts) = (member.marks.delivered, member.receipts_told);
            return Some(SubscriptionStart { chat: no, member: index, seq, receipts });
        };
        let (fresh_seq, fresh_receipts) = fresh_start(member, subscribe.resumed);
        let had = member.cursor(device, *epoch);
        let had = had.map_or((None, None), |cursor| (cursor.seq, cursor.receipts));
        let (seq, receipts) = (had.0.unwrap_or(fresh_seq), had.1.unwrap_or(fresh_receipts));
        // A first subscription pins the start: what other devices acknowledge from now on is still
        // to come to this one. A renewed or resumed one changes nothing.
        let pins = match subscribe.kind {
            SubscriptionKind::Messages => had.0.is_none(),
            SubscriptionKind::Receipts => had.1.is_none(),
        };
        if pins && subscribe.resumed.is_none() {
            let cursor = member.cursor_or_insert(device, *epoch);
            match subscribe.kind {
                SubscriptionKind::Messages => cursor.seq = Some(seq),
                SubscriptionKind::Receipts => cursor.receipts = Some(receipts),
            }
            chat.mark_dirty(index);
            self.touch(no, batch);
        }
        Some(SubscriptionStart { chat: no, member: index, seq, receipts })
    }
}

/// Where a session that has no cursor in a chat starts: at the beginning in a chat that was joined
/// while it was subscribed (`resumed` is the tick of its subscription), else at what no device of
/// the user has yet. Had he been a member when it subscribed, it would have a cursor: so the first
/// membership counts, not the present one.
fn fresh_start(member: &Member, resumed: Option<u64>) -> (Seq, u64) {
    if resumed.is_some_and(|tick| member.joined_tick > tick) {
        (member.start(), 0)
    } else {
        (member.marks.delivered, member.receipts_told)
    }
}
