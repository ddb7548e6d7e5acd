//! What a member sets for himself in a chat: that he wants no notifications, or nothing of the
//! other one. Nobody is told.

use bluetick_protocol::ChatKind;

use super::batch::{Batch, Facts, Need};
use super::chat::ChatNo;
use super::command::{Answer, Outcome, Prefer, Preference, Refused};
use super::{Engine, Millis};

impl Engine {
    pub(super) fn decide_prefer(
        &mut self,
        prefer: &Prefer,
        facts: &Facts,
        now: Millis,
        batch: &mut Batch,
    ) -> Result<Outcome, Need> {
        let found = match prefer.preference {
            Preference::Mute(_) => self.find(&prefer.chat, facts)?,
            // A block may come before the first message.
            Preference::Block(_) => self.find_any(&prefer.chat, facts)?,
        };
        let by = &prefer.request.user;
        let active = |no: ChatNo| Some((no, self.chats.get(no)?.active_index(by)?));
        let place = found.and_then(active);
        let stranger = Outcome::Refused(Refused::NotAMember);
        if matches!(prefer.preference, Preference::Mute(_)) && place.is_none() {
            return Ok(stranger);
        }
        if let Some(answer) = self.answered(&prefer.request, facts)? {
            return Ok(outcome(&answer, true));
        }
        let result = match (prefer.preference, place) {
            (_, Some((no, index))) => {
                self.prefer(prefer.preference, no, index, batch);
                Ok(Vec::new())
            }
            (Preference::Block(true), None) => match prefer.chat.direct_members() {
                Some((a, b)) if prefer.peer_exists && a != b && (a == *by || b == *by) => {
                    let no = self.create(&prefer.chat, &[a, b], facts, batch);
                    let index = self.chats.get(no).and_then(|chat| chat.member_index(by));
                    self.prefer(prefer.preference, no, index.unwrap_or_default(), batch);
                    Ok(Vec::new())
                }
                _ => Err(Refused::NotAMember),
            },
            (Preference::Block(false), None) if prefer.peer_exists => Ok(Vec::new()),
            _ => Err(Refused::NotAMember),
        };
        let answer = Answer { at_ms: now, result };
        let outcome = outcome(&answer, false);
        self.answer(&prefer.request, answer, batch);
        Ok(outcome)
    }

    fn prefer(&mut self, preference: Preference, no: ChatNo, index: u32, batch: &mut Batch) {
        self.touch(no, batch);
        let Some(chat) = self.chats.get_mut(no) else { return };
        let direct = chat.id.kind() == ChatKind::Direct;
        let Some(member) = chat.member_mut(index) else { return };
        match preference {
            Preference::Mute(until) => member.muted_until_ms = until,
            Preference::Block(true) if direct && member.blocks.is_none() => {
                member.blocks = Some(Box::new(member.marks));
            }
            Preference::Block(true) => {}
            Preference::Block(false) => member.blocks = None,
        }
        chat.mark_dirty(index);
    }
}

/// A repeat is answered like the first, but what has changed since stands.
fn outcome(answer: &Answer, repeated: bool) -> Outcome {
    match answer.outcome() {
        Outcome::Changed(_) => Outcome::Preferred { repeated },
        other => other,
    }
}
