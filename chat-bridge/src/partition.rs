//! A partition: its chats, who is attached to them, and the commands that wait.
//!
//! This is the interface between sessions and chats: attach and detach, submit a command and be
//! told its outcome, pull after a cursor. Only owned values cross it and nothing is held across a
//! call, so that it can be a function call (as here) or a request to another machine.

use std::collections::VecDeque;
use std::sync::{Arc, OnceLock, Weak};

use bluetick_protocol::{ChatId, Seq, UserId};
use parking_lot::Mutex;

use crate::delivery::{
    Acked, Attach, BYTES_PER_READ, Delivery, DeviceKey, ENTRIES_PER_READ, Form, Given, IsTyping,
    Outbox, ReadJob, Subscriber,
};
use crate::engine::{
    Advance, Batch, ChatNo, Command, Counters, Engine, Facts, Millis, Outcome, PartitionNo,
    Subscribe, SubscriptionKind, Write,
};
use crate::store::{Store, StoreError, Supplied};

/// How many commands are decided before others get at the partition's state.
const COMMANDS_PER_LOCK: usize = 64;

/// How many chats stay in memory while nothing goes on in them.
const RESIDENT_CHATS_MAX: usize = 65_536;

/// The store did not take the command's batch: nothing was acknowledged, and whether it is
/// stored is unknown. Try again later, with the same message id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the store does not take writes at the moment; try again with the same message id")]
pub struct Unavailable;

/// Called with the outcome of a command, once, after its commit. Must not block.
pub type Reply = Box<dyn FnOnce(Result<Outcome, Unavailable>) + Send>;

/// Told what commits have come to.
pub trait Observer: Send + Sync {
    /// What a user's messages take in the store has changed by so many bytes. Must not block.
    fn stored(&self, user: &UserId, bytes: i64);

    /// An entry's body was erased. Must not block.
    fn erased(&self, partition: PartitionNo, chat: ChatNo, seq: Seq);
}

/// Wakes who works for the partitions.
pub trait Worker: Send + Sync {
    /// A command was submitted; `urgent`: somebody waits for its outcome.
    fn submitted(&self, urgent: bool);

    /// A read from the store is to be made.
    fn read(&self, partition: PartitionNo, job: ReadJob);
}

/// What an operator may set.
#[derive(Debug, Clone)]
pub struct PartitionOptions {
    /// How much memory the newest entries may take, which are kept for those who read along, about,
    /// bytes.
    pub tail_bytes_max: usize,
    /// In groups with more members than this, an author is told how many have his newest message,
    /// and not who.
    pub receipts_members_max: u32,
}

impl Default for PartitionOptions {
    fn default() -> Self {
        Self { tail_bytes_max: 64 << 20, receipts_members_max: 64 }
    }
}

/// How much there is of what in a partition.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PartitionCounts {
    /// Devices that are attached.
    pub devices: usize,
    /// Chats that were ever made: there is no end to one.
    pub chats: u64,
    /// Chats in memory.
    pub resident_chats: usize,
    /// Commands that wait to be decided.
    pub commands_waiting: usize,
}

struct Submission {
    command: Command,
    now: Millis,
    reply: Option<Reply>,
    device: Option<Subscriber>,
}

/// One partition.
pub struct Partition {
    no: PartitionNo,
    core: Mutex<Core>,
    inbox: Mutex<Vec<Submission>>,
    worker: Arc<dyn Worker>,
    observer: OnceLock<Arc<dyn Observer>>,
}

struct Core {
    engine: Engine,
    delivery: Delivery,
    /// Entries kept in memory, oldest first, with what they take.
    tail: VecDeque<(ChatNo, Seq, usize)>,
    tail_bytes: usize,
    tail_bytes_max: usize,
}

/// Commands of one partition that were decided together, with those who wait for them.
#[derive(Default)]
pub struct Decided {
    /// What to store.
    pub batch: Batch,
    replies: Vec<(Reply, Outcome)>,
}

impl Decided {
    /// Whether somebody waits for it: a sender for his acknowledgement.
    #[must_use]
    pub fn is_urgent(&self) -> bool {
        !self.replies.is_empty()
    }

    /// Whether there is neither anything to store nor anybody to answer.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.batch.is_empty() && self.replies.is_empty()
    }
}

impl Partition {
    /// A partition as the store has it.
    #[must_use]
    pub fn new(
        no: PartitionNo,
        counters: Counters,
        options: &PartitionOptions,
        worker: Arc<dyn Worker>,
    ) -> Self {
        let core = Core {
            engine: Engine::new(no, counters, RESIDENT_CHATS_MAX),
            delivery: Delivery::new(options.receipts_members_max as usize),
            tail: VecDeque::new(),
            tail_bytes: 0,
            tail_bytes_max: options.tail_bytes_max,
        };
        let observer = OnceLock::new();
        Self { no, core: Mutex::new(core), inbox: Mutex::default(), worker, observer }
    }

    /// Has an observer told; only the first one is.
    pub fn observe(&self, observer: Arc<dyn Observer>) {
        if self.observer.set(observer).is_err() {
            tracing::debug!("there is an observer already");
        }
    }

    /// Its number.
    #[must_use]
    pub fn no(&self) -> PartitionNo {
        self.no
    }

    /// A device goes on line. The partition does not own what it tells of it.
    pub fn attach(&self, attach: Attach, outbox: Weak<dyn Outbox>) -> DeviceKey {
        self.core.lock().delivery.attach(attach, outbox)
    }

    /// A device goes off line.
    pub fn detach(&self, key: DeviceKey) {
        let core = &mut *self.core.lock();
        core.delivery.detach(key, &mut core.engine);
    }

    /// Submits a command; commands are decided in the order they were submitted.
    pub fn submit(&self, command: Command, now: Millis, reply: Option<Reply>) {
        self.push(Submission { command, now, reply, device: None });
    }

    /// The same, but nobody waits for the answer: it may linger for company.
    pub fn submit_lazily(&self, command: Command, now: Millis, reply: Reply) {
        self.enqueue(Submission { command, now, reply: Some(reply), device: None }, false);
    }

    /// Submits a subscription of an attached device.
    pub fn subscribe(&self, command: Subscribe, now: Millis, subscriber: Subscriber, reply: Reply) {
        let command = Command::Subscribe(command);
        self.push(Submission { command, now, reply: Some(reply), device: Some(subscriber) });
    }

    fn push(&self, submission: Submission) {
        let urgent = submission.reply.is_some();
        self.enqueue(submission, urgent);
    }

    fn enqueue(&self, submission: Submission, urgent: bool) {
        self.inbox.lock().push(submission);
        self.worker.submitted(urgent);
    }

    /// A device's subscription has ended.
    pub fn unsubscribe(
        &self,
        key: DeviceKey,
        kind: SubscriptionKind,
        chat: Option<&ChatId>,
        form: Form,
    ) {
        self.core.lock().delivery.unsubscribe(key, kind, chat, form);
    }

    /// A device wants to know who is typing; see [`Delivery::watch_typing`].
    pub fn watch_typing(&self, key: DeviceKey, chat: Option<(ChatNo, ChatId)>, form: Form) {
        self.core.lock().delivery.watch_typing(key, chat, form);
    }

    /// A device does not want to know any more who is typing.
    pub fn unwatch_typing(&self, key: DeviceKey, chat: Option<&ChatId>, form: Form) {
        self.core.lock().delivery.unwatch_typing(key, chat, form);
    }

    /// A device wants to know when the members of its user's chats change, or no longer.
    pub fn watch_members(&self, key: DeviceKey, watches: bool) {
        self.core.lock().delivery.watch_members(key, watches);
    }

    /// A user has read receipts on or off; see [`Attach::reads`].
    pub fn set_reads(&self, user: &UserId, reads: bool) {
        self.core.lock().delivery.set_reads(user, reads);
    }

    /// What there is for a device, up to `messages_max` and about `bytes_max` of bodies. If it is
    /// less, [`Outbox::news`] says when there is more.
    pub fn pull(
        &self,
        key: DeviceKey,
        messages_max: usize,
        bytes_max: usize,
        now: Millis,
    ) -> Vec<Given> {
        let pulled = {
            let core = &mut *self.core.lock();
            core.delivery.pull(key, messages_max, bytes_max, now, &mut core.engine)
        };
        for job in pulled.reads {
            self.worker.read(self.no, job);
        }
        self.advance(pulled.told, now);
        pulled.given
    }

    /// A device has acknowledged.
    pub fn acked(&self, key: DeviceKey, acked: &[Acked], now: Millis) {
        let advances = {
            let core = &mut *self.core.lock();
            core.delivery.acked(key, acked, &mut core.engine)
        };
        self.advance(advances, now);
    }

    /// An entry that a device was given is not sent to it again; see [`Delivery::withdraw`].
    pub fn withdraw(&self, key: DeviceKey, chat: ChatNo, seq: Seq) {
        self.core.lock().delivery.withdraw(key, chat, seq);
    }

    fn advance(&self, advances: Vec<Advance>, now: Millis) {
        for advance in advances {
            self.submit(Command::Advance(advance), now, None);
        }
    }

    /// Makes a read from the store. Blocks on the disk.
    ///
    /// # Errors
    /// The store cannot be read; the device is told to connect anew.
    pub fn run_read(&self, job: &ReadJob, store: &Store) -> Result<(), StoreError> {
        let (entries_max, bytes_max) = (ENTRIES_PER_READ, BYTES_PER_READ);
        let read = store.entries(self.no, job.chat, job.from, job.to, entries_max, bytes_max);
        let core = &mut *self.core.lock();
        let outbox = core.delivery.outbox(job.device);
        match read {
            Ok(entries) => {
                if core.delivery.handle_read(job, entries, &mut core.engine)
                    && let Some(outbox) = outbox
                {
                    outbox.news(self.no);
                }
                Ok(())
            }
            Err(error) => {
                if let Some(outbox) = outbox {
                    outbox.lost();
                }
                Err(error)
            }
        }
    }

    /// Whether commands wait.
    #[must_use]
    pub fn has_work(&self) -> bool {
        !self.inbox.lock().is_empty()
    }

    /// Decides all commands that wait, into `decided`. Blocks on the disk where state is not in
    /// memory.
    pub fn decide(&self, store: &Store, decided: &mut Decided) {
        let mut waiting = std::mem::take(&mut *self.inbox.lock()).into_iter();
        loop {
            let mut core = self.core.lock();
            for submission in waiting.by_ref().take(COMMANDS_PER_LOCK) {
                core = self.decide_one(core, submission, store, decided);
                core.engine.evict();
            }
            if waiting.len() == 0 {
                return;
            }
        }
    }

    fn decide_one<'a>(
        &'a self,
        mut core: parking_lot::MutexGuard<'a, Core>,
        submission: Submission,
        store: &Store,
        decided: &mut Decided,
    ) -> parking_lot::MutexGuard<'a, Core> {
        let Submission { command, now, reply, device } = submission;
        let mut facts = Facts::default();
        let outcome = loop {
            let need = match core.engine.decide(&command, &facts, now, &mut decided.batch) {
                Ok(outcome) => break Ok(outcome),
                Err(need) => need,
            };
            drop(core);
            let supplied = store.supply(self.no, need, &mut facts);
            core = self.core.lock();
            match supplied {
                Ok(Supplied::Chat(chat)) => core.engine.supply_chat(chat),
                Ok(Supplied::Noted) => {}
                Err(error) => {
                    tracing::error!(%error, "the store cannot be read");
                    break Err(Unavailable);
                }
            }
        };
        match outcome {
            Ok(outcome) => {
                if let (Command::Subscribe(subscribe), Some(device)) = (&command, device) {
                    core.activate(self.no, subscribe, &device, &outcome);
                }
                if let Some(reply) = reply {
                    decided.replies.push((reply, outcome));
                }
            }
            Err(unavailable) => {
                if let Some(reply) = reply {
                    reply(Err(unavailable));
                }
            }
        }
        core
    }

    /// Ends a batch: from here on it is only to be committed.
    pub fn close_batch(&self, decided: &mut Decided) {
        self.core.lock().engine.close_batch(&mut decided.batch);
    }

    /// The batch is on stable storage: shows what it decided, and tells all who wait.
    pub fn handle_committed(&self, decided: Decided) -> Replies {
        let (woken, typing, members): (Vec<_>, Vec<_>, Vec<_>) = {
            let core = &mut *self.core.lock();
            let typing = core.delivery.typing(&decided.batch, &core.engine);
            let members = core.delivery.members_changed(&decided.batch, &core.engine);
            let woken = core.delivery.handle_commit(&decided.batch, &mut core.engine);
            core.engine.handle_committed(&decided.batch);
            core.note_tail(&decided.batch);
            if let Some(observer) = self.observer.get() {
                for (chat, member, bytes) in decided.batch.stored() {
                    let member = core.engine.chat(chat).and_then(|chat| chat.member(member));
                    if let Some(member) = member.filter(|_| bytes != 0) {
                        observer.stored(&member.user, bytes);
                    }
                }
                for (chat, entry) in &decided.batch.erased {
                    observer.erased(self.no, *chat, entry.seq);
                }
            }
            let outbox = |key: &DeviceKey| core.delivery.outbox(*key);
            let typing = typing.into_iter();
            (
                woken.iter().filter_map(outbox).collect(),
                typing.filter_map(|(key, it)| Some((outbox(&key)?, it))).collect(),
                members.iter().filter_map(outbox).collect(),
            )
        };
        Replies { partition: self.no, replies: decided.replies, woken, typing, members }
    }

    /// The batch was not committed: all who wait are told.
    pub fn handle_failed(&self, decided: Decided) {
        for (reply, _) in decided.replies {
            reply(Err(Unavailable));
        }
    }

    /// After a failed commit: forgets what is ahead of the store and sends every device away.
    pub fn reset(&self, counters: Counters) {
        let core = &mut *self.core.lock();
        core.engine.reset(counters);
        core.tail.clear();
        core.tail_bytes = 0;
        for outbox in core.delivery.reset() {
            outbox.lost();
        }
    }

    /// While the store takes no writes: answers what can be answered without one.
    pub fn decide_without_store(&self, store: &Store, counters: Counters) {
        let waiting = std::mem::take(&mut *self.inbox.lock());
        for submission in waiting {
            let mut decided = Decided::default();
            drop(self.decide_one(self.core.lock(), submission, store, &mut decided));
            if decided.batch.is_empty() {
                self.close_batch(&mut decided);
                self.handle_committed(decided).tell();
            } else {
                self.handle_failed(decided);
                self.core.lock().engine.reset(counters);
            }
        }
    }

    /// The store can be neither read nor written: refuses all that waits.
    pub fn refuse_all(&self) {
        for submission in std::mem::take(&mut *self.inbox.lock()) {
            if let Some(reply) = submission.reply {
                reply(Err(Unavailable));
            }
        }
    }

    /// How much there is of what.
    #[must_use]
    pub fn counts(&self) -> PartitionCounts {
        let commands_waiting = self.inbox.lock().len();
        let core = self.core.lock();
        PartitionCounts {
            devices: core.delivery.attached(),
            chats: core.engine.chats_made(),
            resident_chats: core.engine.resident_chats(),
            commands_waiting,
        }
    }
}

impl Core {
    /// A subscription is decided: from now on the device is given what it is for.
    fn activate(
        &mut self,
        no: PartitionNo,
        subscribe: &Subscribe,
        subscriber: &Subscriber,
        outcome: &Outcome,
    ) {
        let Outcome::Subscribed { chats: starts, .. } = outcome else { return };
        let chat = match (&subscribe.chat, starts.first()) {
            (Some(id), Some(start)) => Some((start.chat, id.clone())),
            (Some(_), None) => return,
            (None, _) => None,
        };
        let news =
            self.delivery.subscribe(subscriber, subscribe.kind, chat, starts, &mut self.engine);
        if news && let Some(outbox) = self.delivery.outbox(subscriber.device) {
            outbox.news(no);
        }
    }

    /// Keeps the newest entries of the partition within their bound, oldest out first.
    fn note_tail(&mut self, batch: &Batch) {
        for write in &batch.writes {
            if let Write::Entry { chat, entry } = write {
                let bytes = entry.memory_bytes();
                self.tail.push_back((*chat, entry.seq, bytes));
                self.tail_bytes += bytes;
            }
        }
        while self.tail_bytes > self.tail_bytes_max {
            let Some((no, seq, bytes)) = self.tail.pop_front() else { break };
            self.tail_bytes -= bytes;
            if let Some(chat) = self.engine.chat_mut(no) {
                chat.drop_tail(seq);
            }
        }
    }
}

/// Those to be told of a commit.
#[must_use]
pub struct Replies {
    partition: PartitionNo,
    replies: Vec<(Reply, Outcome)>,
    woken: Vec<Arc<dyn Outbox>>,
    typing: Vec<(Arc<dyn Outbox>, IsTyping)>,
    members: Vec<Arc<dyn Outbox>>,
}

impl Replies {
    /// Tells them.
    pub fn tell(self) {
        // Before who has left is told that he has: from then on nothing of him is to be seen.
        for outbox in self.members {
            outbox.members_changed();
        }
        for (reply, outcome) in self.replies {
            reply(Ok(outcome));
        }
        for outbox in self.woken {
            outbox.news(self.partition);
        }
        for (outbox, typing) in self.typing {
            outbox.typing(typing);
        }
    }
}
