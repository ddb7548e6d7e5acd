//! What waits to be sent, in the order in which it was handed over. No I/O and no clock.

use std::collections::BTreeMap;
use std::sync::Arc;

use bluetick_protocol::{ChatId, MessageId};
use tokio::sync::oneshot;

use super::entry::Entry;
use crate::error::{Error, ErrorKind};
use crate::pending::Sent;

/// How much may wait.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Messages.
    pub(crate) entries_max: usize,
    /// Bytes of their bodies, and some for each.
    pub(crate) bytes_max: usize,
}

/// Who is told what became of an entry.
pub(crate) type Answer = oneshot::Sender<Result<Sent, Error>>;

/// What waits to be sent. Those before `cursor` are under way.
#[derive(Debug)]
pub(crate) struct Queue {
    limits: Limits,
    slots: BTreeMap<u64, Slot>,
    cursor: u64,
    next: u64,
    /// Reserved, or in `slots`.
    entries: usize,
    bytes: usize,
    closed: bool,
}

#[derive(Debug)]
struct Slot {
    entry: Arc<Entry>,
    /// It has gone out at least once: whether the server has it is unknown until it says so.
    tried: bool,
    /// `None`: it was there when the program was started.
    answer: Option<Answer>,
}

/// What became of an entry, for those who have no [`Pending`](crate::Pending) of it.
#[derive(Debug)]
pub(crate) struct Settled {
    pub(crate) chat: ChatId,
    pub(crate) id: MessageId,
    pub(crate) result: Result<Sent, Error>,
    /// It was there when the program was started.
    pub(crate) inherited: bool,
}

impl Queue {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            limits,
            slots: BTreeMap::new(),
            cursor: 0,
            next: 0,
            entries: 0,
            bytes: 0,
            closed: false,
        }
    }

    /// Takes room for an entry, which is to be pushed; or the room is given back by [`Queue::release`].
    pub(crate) fn reserve(&mut self, bytes: usize) -> Result<(), Error> {
        if self.closed {
            return Err(Error::closed());
        }
        let Limits { entries_max, bytes_max } = self.limits;
        if self.entries >= entries_max || self.bytes + bytes > bytes_max {
            let text = format!(
                "{} messages of {} bytes wait to be sent; the outbox takes {entries_max} and {bytes_max}",
                self.entries, self.bytes
            );
            return Err(Error::new(ErrorKind::OutboxFull, text));
        }
        self.entries += 1;
        self.bytes += bytes;
        Ok(())
    }

    /// The next number. Entries are pushed in the order of their numbers.
    pub(crate) fn number(&mut self) -> u64 {
        self.next += 1;
        self.next - 1
    }

    /// Gives room back.
    pub(crate) fn release(&mut self, bytes: usize) {
        self.entries -= 1;
        self.bytes -= bytes;
    }

    /// An entry for which there is room. Whatever is pushed last goes out last.
    pub(crate) fn push(&mut self, no: u64, entry: Entry, answer: Answer) {
        debug_assert!(self.slots.last_key_value().is_none_or(|(last, _)| *last < no));
        let answer = (!self.closed).then_some(answer);
        let slot = Slot { entry: Arc::new(entry), tried: false, answer };
        self.slots.insert(no, slot);
    }

    /// An entry of an earlier program. It counts, but is never too much.
    pub(crate) fn inherit(&mut self, no: u64, entry: Entry) {
        self.entries += 1;
        self.bytes += entry.bytes();
        self.next = self.next.max(no + 1);
        self.slots.insert(no, Slot { entry: Arc::new(entry), tried: false, answer: None });
    }

    /// The next to go out; it is under way then.
    pub(crate) fn take_next(&mut self) -> Option<(u64, Arc<Entry>)> {
        let (no, slot) = self.slots.range_mut(self.cursor..).next()?;
        slot.tried = true;
        self.cursor = no + 1;
        Some((*no, slot.entry.clone()))
    }

    /// Which message it is.
    pub(crate) fn name_of(&self, no: u64) -> Option<(ChatId, MessageId)> {
        let head = &self.slots.get(&no)?.entry.head;
        Some((head.chat.clone(), head.id))
    }

    /// Nothing is under way any more: all goes out once more, from the first on.
    pub(crate) fn rewind(&mut self) {
        self.cursor = 0;
    }

    /// What became of an entry. Gives it back if nobody was there to hear it; `Err`: it is gone already.
    pub(crate) fn settle(
        &mut self,
        no: u64,
        result: Result<Sent, Error>,
    ) -> Result<Option<Settled>, ()> {
        let slot = self.slots.remove(&no).ok_or(())?;
        self.release(slot.entry.bytes());
        let inherited = slot.answer.is_none();
        let unheard = match slot.answer {
            Some(answer) => answer.send(result).err(),
            None => Some(result),
        };
        let head = &slot.entry.head;
        Ok(unheard.map(|result| Settled {
            chat: head.chat.clone(),
            id: head.id,
            result,
            inherited,
        }))
    }

    /// Numbers of those that are to be given up by now, and have never gone out.
    pub(crate) fn overdue(&self, now_ms: u64) -> Vec<u64> {
        let due = |slot: &Slot| slot.entry.head.give_up_ms.is_some_and(|at_ms| at_ms <= now_ms);
        let overdue = self.slots.iter().filter(|(_, slot)| !slot.tried && due(slot));
        overdue.map(|(no, _)| *no).collect()
    }

    /// Whether it is there and has never gone out.
    pub(crate) fn is_untried(&self, no: u64) -> bool {
        self.slots.get(&no).is_some_and(|slot| !slot.tried)
    }

    /// All that wait, oldest first.
    pub(crate) fn waiting(&self) -> Vec<Arc<Entry>> {
        self.slots.values().map(|slot| slot.entry.clone()).collect()
    }

    pub(crate) fn len(&self) -> usize {
        self.entries
    }

    /// Takes nothing more; whoever waits for an answer is told that there is none.
    pub(crate) fn close(&mut self) {
        self.closed = true;
        for slot in self.slots.values_mut() {
            slot.answer = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::entry::{Head, Verb};
    use super::*;

    fn entry(body: &str, give_up_ms: Option<u64>) -> Entry {
        let head = Head {
            id: MessageId::from_bytes([7; 16]).expect("not nil"),
            chat: ChatId::try_from("alice~bob").expect("a chat"),
            verb: Verb::Send,
            header: Default::default(),
            at_ms: 0,
            give_up_ms,
        };
        Entry { head, body: body.into() }
    }

    fn queue(entries_max: usize) -> Queue {
        Queue::new(Limits { entries_max, bytes_max: 10_000 })
    }

    fn put(queue: &mut Queue, body: &str) -> oneshot::Receiver<Result<Sent, Error>> {
        let (answer, receiver) = oneshot::channel();
        let entry = entry(body, None);
        queue.reserve(entry.bytes()).expect("room");
        let no = queue.number();
        queue.push(no, entry, answer);
        receiver
    }

    fn next(queue: &mut Queue) -> Option<(u64, String)> {
        let (no, entry) = queue.take_next()?;
        Some((no, String::from_utf8_lossy(&entry.body).into_owned()))
    }

    #[test]
    fn goes_out_in_order_and_again_from_the_first_unanswered() {
        let mut queue = queue(9);
        let mut waiting: Vec<_> = ["a", "b", "c"].map(|body| put(&mut queue, body)).into();
        assert_eq!(next(&mut queue), Some((0, "a".into())));
        assert_eq!(next(&mut queue), Some((1, "b".into())));
        let error = Error::new(ErrorKind::Refused, "no");
        assert!(matches!(queue.settle(0, Err(error.clone())), Ok(None)));
        assert_eq!(waiting[0].try_recv(), Ok(Err(error.clone())));
        queue.rewind();
        let rest = [(1, "b".to_owned()), (2, "c".to_owned())];
        assert_eq!([next(&mut queue), next(&mut queue)], rest.map(Some));
        assert_eq!((next(&mut queue), queue.len()), (None, 2));
        // Nobody waits for it, so that it has to be told in another way; and only once.
        waiting.truncate(1);
        let settled = queue.settle(1, Err(error.clone())).expect("there").expect("unheard");
        assert_eq!((settled.result, settled.inherited), (Err(error.clone()), false));
        assert!(queue.settle(1, Err(error)).is_err());
    }

    #[test]
    fn is_bounded_by_number_and_by_bytes() {
        let mut queue = queue(2);
        let _held = (put(&mut queue, "a"), put(&mut queue, "b"));
        assert_eq!(queue.reserve(1).expect_err("full").kind(), ErrorKind::OutboxFull);
        queue.settle(0, Err(Error::closed())).expect("there");
        assert_eq!(queue.reserve(9_999).expect_err("full").kind(), ErrorKind::OutboxFull);
        queue.reserve(1).expect("room");
        queue.release(1);
        assert_eq!(queue.len(), 1);
        queue.close();
        assert_eq!(queue.reserve(1).expect_err("closed").kind(), ErrorKind::Closed);
    }

    #[test]
    fn only_what_never_went_out_is_given_up() {
        let mut queue = queue(9);
        for (no, give_up_ms) in [Some(5), Some(5), Some(6), None].into_iter().enumerate() {
            queue.inherit(no as u64, entry("x", give_up_ms));
        }
        assert_eq!(next(&mut queue), Some((0, "x".into())));
        queue.rewind();
        assert_eq!((queue.overdue(4), queue.overdue(5)), (vec![], vec![1]));
        assert!(!queue.is_untried(0) && queue.is_untried(1) && !queue.is_untried(9));
    }
}
