//! The broker's host: topics and payloads on one side, commands and cursors on the other.

mod command;
mod differences;
mod encode;
mod environment;
mod filter;
mod looker;
#[cfg(test)]
mod memory;
mod open;
mod outbox;
mod outgoing;
mod people;
mod presence;
mod publish;
mod queries;
mod quotas;
mod reader;
mod records;
mod rpc;
mod session;
mod settings;
mod subscriptions;
mod typists;

use command::{Author, Refused};
pub use encode::message_ref;
pub use environment::{Environment, SystemEnvironment};
use people::People;
use quotas::Unsaved;
pub use quotas::{QuotaStats, Quotas};
pub use reader::{InlineReads, Job, ReadPool, Reads};
use records::Records;
pub use session::ChatSession;
use typists::Typists;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};

use bluetick_broker::Host;
use bluetick_broker::host::{
    Access, Attempt, HostEvent, HostPublish, Open, SessionKey as BrokerKey, Sessions,
};
use bluetick_broker::mailbox::Line;
use bluetick_broker::packet::{QoS, Reason};
use bluetick_protocol::{ChatId, Seq, UserId, is_reserved, is_send};
use parking_lot::Mutex;
use xxhash_rust::xxh3::xxh3_64;

use crate::engine::{ChatNo, Command, PartitionNo, SavedSession, Seen, SessionKey, Typing};
use crate::partition::{Observer, Partition};
use crate::store::{Store, StoreError};
use crate::writer::Pipeline;

/// How many records are read from the store at a time.
const RECORDS_PER_PAGE: usize = 512;

/// How many messages are erased by one command, so that others get their turn.
const EXPIRED_PER_COMMAND: usize = 32;

/// How often it is stored that the server is alive: how wrong "last seen" may be after a crash.
const ALIVE_EVERY_MS: u64 = 30_000;

/// How long a repeated request gets the first answer, at least, milliseconds.
const ANSWER_LIFE_MS: u64 = 24 * 3600 * 1000;

/// Who there is. The accounts are the program's business.
pub trait Directory: Send + Sync + 'static {
    /// Checks who connects and calls `done` with his name or the reason why not, at any time and
    /// on any thread.
    fn authenticate(&self, attempt: Attempt, done: Box<dyn FnOnce(Result<UserId, Reason>) + Send>);

    /// Whether a user exists. Must not block: it is asked once per message to a direct chat.
    fn exists(&self, user: &UserId) -> bool;

    /// Whether a client of a user may do this with a plain topic. Must not block: it is asked once
    /// per message and subscription.
    fn may(&self, key: &BrokerKey, access: Access, topic_or_filter: &str) -> bool;
}

/// What an operator may set.
#[derive(Debug, Clone)]
pub struct BridgeOptions {
    /// The largest body of a message, bytes. A larger one is refused (0x83).
    pub message_bytes_max: usize,
    /// How many members a group may have. One more is refused (0x97).
    pub group_members_max: u32,
    /// How long after it was sent a message can be edited, seconds. Then it is refused (0x87).
    pub edit_window_s: u32,
    /// How much one user may ask. More is refused (0x97).
    pub quotas: Quotas,
    /// Who may subscribe to `$SYS`.
    pub operators: Operators,
}

/// Who runs the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operators {
    /// All users: for trying things out.
    Everybody,
    /// These.
    Only(BTreeSet<UserId>),
}

impl Operators {
    fn has(&self, user: &str) -> bool {
        match self {
            Self::Everybody => true,
            Self::Only(users) => UserId::try_from(user).is_ok_and(|user| users.contains(&user)),
        }
    }
}

impl Default for BridgeOptions {
    fn default() -> Self {
        Self {
            message_bytes_max: 256 << 10,
            group_members_max: 1024,
            edit_window_s: 3600,
            quotas: Quotas::default(),
            operators: Operators::Only(BTreeSet::new()),
        }
    }
}

/// The chats of a server, as host of a broker. Cheap to clone.
#[derive(Clone)]
pub struct Bridge {
    shared: Arc<Shared>,
}

pub(crate) struct Shared {
    pipeline: Arc<Pipeline>,
    directory: Arc<dyn Directory>,
    environment: Arc<dyn Environment>,
    reads: Arc<dyn Reads>,
    options: BridgeOptions,
    typists: Typists,
    people: People,
    quota_stats: QuotaStats,
    unsaved: Unsaved,
    records: Records,
    /// Where bodies were erased that may still be on the disk: the first and the last by chat.
    erased: Mutex<BTreeMap<(PartitionNo, ChatNo), (Seq, Seq)>>,
    /// When an earlier run of the server was last known to be alive, by partition.
    alive_before: OnceLock<Vec<u64>>,
    /// When this one is next to say that it is.
    alive_due_ms: AtomicU64,
    /// The broker's sessions, to end one.
    sessions: OnceLock<Arc<dyn Sessions>>,
}

/// What commits are observed for: not an owner of what it observes.
struct Bookkeeper(Weak<Shared>);

impl Observer for Bookkeeper {
    fn stored(&self, user: &UserId, bytes: i64) {
        let Some(shared) = self.0.upgrade() else { return };
        if let Some(person) = shared.people.get(user) {
            person.usage.stored(bytes);
        }
        shared.unsaved.add(user, bytes);
    }

    fn erased(&self, partition: PartitionNo, chat: ChatNo, seq: Seq) {
        let Some(shared) = self.0.upgrade() else { return };
        let mut erased = shared.erased.lock();
        let (first, last) = erased.entry((partition, chat)).or_insert((seq, seq));
        (*first, *last) = (seq.min(*first), seq.max(*last));
    }
}

impl Bridge {
    /// A bridge over the partitions of `pipeline`.
    #[must_use]
    pub fn new(
        pipeline: Arc<Pipeline>,
        directory: Arc<dyn Directory>,
        environment: Arc<dyn Environment>,
        reads: Arc<dyn Reads>,
        options: BridgeOptions,
    ) -> Self {
        let shared = Arc::new(Shared {
            pipeline,
            directory,
            environment,
            reads,
            options,
            typists: Typists::default(),
            people: People::default(),
            quota_stats: QuotaStats::default(),
            unsaved: Unsaved::default(),
            records: Records::default(),
            erased: Mutex::default(),
            alive_before: OnceLock::new(),
            alive_due_ms: AtomicU64::new(0),
            sessions: OnceLock::new(),
        });
        for partition in shared.pipeline.partitions() {
            partition.observe(Arc::new(Bookkeeper(Arc::downgrade(&shared))));
        }
        Self { shared }
    }

    /// How often users have reached their quotas.
    #[must_use]
    pub fn quota_stats(&self) -> &QuotaStats {
        &self.shared.quota_stats
    }

    /// How many users are on line.
    #[must_use]
    pub fn users_online(&self) -> usize {
        self.shared.people.online()
    }

    /// Finds out what a crash has left without an end: users who were on line were seen when the
    /// server was last known to be alive, and the clock of their sessions starts. Blocks on the
    /// disk; to be called once, before the first connection.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn recover(&self) -> Result<(), StoreError> {
        let (now, store) = (self.shared.now_ms(), self.shared.store());
        let partitions = self.shared.pipeline.partitions();
        let alive = partitions.iter().map(|partition| store.alive(partition.no()));
        let alive: Vec<u64> =
            alive.map(|at_ms| Ok(at_ms?.unwrap_or_default())).collect::<Result<_, StoreError>>()?;
        // A second call would find the same.
        let alive = self.shared.alive_before.get_or_init(|| alive);
        for (partition, alive_ms) in partitions.iter().zip(alive) {
            let no = partition.no();
            each_page(
                |after| store.all_seen(no, after, RECORDS_PER_PAGE),
                |(user, seen)| {
                    if seen.online {
                        let seen = Seen { at_ms: seen.at_ms.max(*alive_ms), online: false };
                        let command = Command::Seen { user: user.clone(), seen };
                        partition.submit(command, now, None);
                    }
                },
                |(user, _)| user,
            )?;
            each_page(
                |after| store.sessions(no, after, RECORDS_PER_PAGE),
                |(key, session)| {
                    if session.disconnected_at_ms.is_none() {
                        let session = SavedSession {
                            disconnected_at_ms: Some(now),
                            last_seen_ms: session.last_seen_ms.max(*alive_ms),
                            ..session.clone()
                        };
                        let command = Command::SaveSession { key: key.clone(), session };
                        partition.submit(command, now, None);
                    }
                },
                |(key, _)| key,
            )?;
        }
        Ok(())
    }

    /// Forgets what has had its time: answers to requests, and persistent sessions with their
    /// places in the chats. Blocks on the disk; to be called now and then.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn sweep(&self) -> Result<usize, StoreError> {
        let (now, store) = (self.shared.now_ms(), self.shared.store());
        let mut ended = 0;
        for partition in self.shared.pipeline.partitions() {
            let no = partition.no();
            let is_over = |at_ms: u64| at_ms.saturating_add(ANSWER_LIFE_MS) < now;
            each_page(
                |after| store.answers(no, after, RECORDS_PER_PAGE),
                |(key, answer)| {
                    if is_over(answer.at_ms) {
                        partition.submit(Command::ForgetAnswer(key.clone()), now, None);
                    }
                },
                |(key, _)| key,
            )?;
            each_page(
                |after| store.sessions(no, after, RECORDS_PER_PAGE),
                |(key, session)| {
                    if session.is_over(now) {
                        ended += 1;
                        partition.submit(Command::DropSession { key: key.clone() }, now, None);
                        self.shared.forget_device(key, Some(session.epoch));
                    }
                },
                |(key, _)| key,
            )?;
        }
        Ok(ended)
    }

    /// Erases messages whose time is over, a bounded number at a time; gives how many. Blocks on
    /// the disk; to be called now and then, again at once if it found any.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn expire(&self) -> Result<usize, StoreError> {
        let now = self.shared.now_ms();
        let mut erased = 0;
        for partition in self.shared.pipeline.partitions() {
            let store = self.shared.store();
            let expired = store.expired(partition.no(), now, RECORDS_PER_PAGE)?;
            erased += expired.len();
            let mut by_chat: BTreeMap<ChatNo, Vec<Seq>> = BTreeMap::new();
            for (chat, seq) in expired {
                by_chat.entry(chat).or_default().push(seq);
            }
            for (chat, seqs) in by_chat {
                for seqs in seqs.chunks(EXPIRED_PER_COMMAND) {
                    let seqs = seqs.to_vec();
                    partition.submit(Command::Expire { chat, seqs }, now, None);
                }
            }
        }
        Ok(erased)
    }

    /// Has erased bodies leave the disk; gives in how many chats. Blocks on the disk, maybe for long;
    /// to be called now and then.
    ///
    /// # Errors
    /// The store says no: the next call tries it again.
    pub fn drop_erased(&self) -> Result<usize, StoreError> {
        let erased = std::mem::take(&mut *self.shared.erased.lock());
        let ranges = erased.iter().map(|((no, chat), (first, last))| (*no, *chat, *first, *last));
        let dropped = self.shared.store().drop_erased(ranges);
        if dropped.is_err() {
            let mut again = self.shared.erased.lock();
            for (key, (first, last)) in &erased {
                let range = again.entry(*key).or_insert((*first, *last));
                *range = (range.0.min(*first), range.1.max(*last));
            }
        }
        dropped.map(|()| erased.len())
    }

    /// Has what is only counted in memory stored. To be called before the writer stops.
    pub fn flush(&self) {
        let now = self.shared.now_ms();
        for (user, bytes) in self.shared.unsaved.take() {
            let partition = self.shared.of_user(&user);
            partition.submit(Command::Stored { user, bytes }, now, None);
        }
    }
    /// Says of those who were typing and have fallen silent that they are not any more, and of
    /// those who have lost their connections that they are gone; stores that the server is alive.
    /// To be called a few times a second.
    pub fn tick(&self) {
        let now = self.shared.now_ms();
        self.shared.people.tell_who_left(now);
        if self.shared.alive_due_ms.load(Ordering::Relaxed) <= now {
            self.shared.alive_due_ms.store(now + ALIVE_EVERY_MS, Ordering::Relaxed);
            self.keep_books(now);
        }
        for (chat, user) in self.shared.typists.take_silent(now) {
            let partition = self.shared.of_chat(&chat);
            let command = Command::Typing(Typing { user, chat: chat.clone(), typing: false });
            // Somebody has to wait for it, or it would not be shown by itself.
            partition.submit(command, now, Some(Box::new(|_| ())));
        }
    }
}

impl Bridge {
    /// What is done twice a minute.
    fn keep_books(&self, now: u64) {
        if self.shared.people.online() > 0 {
            for partition in self.shared.pipeline.partitions() {
                partition.submit(Command::Alive { at_ms: now }, now, None);
            }
        }
        self.flush();
        self.shared.people.forget_idle(now);
    }
}

/// Goes through all pages of something in the store.
fn each_page<T, K: Clone>(
    mut read: impl FnMut(Option<&K>) -> Result<Vec<T>, StoreError>,
    mut each: impl FnMut(&T),
    key: impl Fn(&T) -> &K,
) -> Result<(), StoreError> {
    let mut after: Option<K> = None;
    loop {
        let page = read(after.as_ref())?;
        let Some(last) = page.last() else { return Ok(()) };
        after = Some(key(last).clone());
        page.iter().for_each(&mut each);
    }
}

impl Shared {
    /// The partition that a chat belongs to.
    fn of_chat(&self, chat: &ChatId) -> &Arc<Partition> {
        self.pipeline.partition_of(chat.as_str())
    }

    /// The partition that keeps a user's sessions.
    fn of_user(&self, user: &UserId) -> &Arc<Partition> {
        self.pipeline.partition_of(user.as_str())
    }

    fn store(&self) -> &Store {
        self.pipeline.store()
    }

    fn now_ms(&self) -> u64 {
        self.environment.now_ms()
    }

    /// When a user was last seen, of whom this run of the server knows nothing yet.
    fn seen_ms(&self, partition: PartitionNo, seen: Seen) -> u64 {
        if !seen.online {
            return seen.at_ms;
        }
        let alive = self.alive_before.get().and_then(|alive| alive.get(usize::from(partition.0)));
        seen.at_ms.max(alive.copied().unwrap_or_default())
    }
}

/// The partition of a name among `partitions`: fixed for the life of a data directory.
#[must_use]
pub fn partition_of(name: &str, partitions: usize) -> PartitionNo {
    let at = xxh3_64(name.as_bytes()) % partitions.max(1) as u64;
    PartitionNo(u16::try_from(at).unwrap_or(0))
}

impl Host for Bridge {
    type Session = ChatSession;

    fn start(&self, sessions: Arc<dyn Sessions>) {
        if self.shared.sessions.set(sessions).is_err() {
            tracing::error!("a second broker around the same chats: it cannot end sessions");
        }
    }

    fn authenticate(&self, attempt: Attempt, line: Line) {
        let done = move |answer: Result<UserId, Reason>| {
            let answer = answer.map(Arc::from);
            line.host(HostEvent::Authenticated(answer));
        };
        self.shared.directory.authenticate(attempt, Box::new(done));
    }

    fn assign_client_id(&self) -> Arc<str> {
        format!("auto-{:016x}", self.shared.environment.random()).into()
    }

    fn owns(&self, topic_or_filter: &str) -> bool {
        is_reserved(topic_or_filter)
    }

    fn is_timed(&self, topic: &str) -> bool {
        is_send(topic)
    }

    fn may(&self, key: &BrokerKey, access: Access, topic_or_filter: &str) -> bool {
        if topic_or_filter.starts_with('$') {
            // What the broker says of itself.
            return self.shared.options.operators.has(&key.user);
        }
        self.shared.directory.may(key, access, topic_or_filter)
    }

    fn open(&self, open: Open, line: Line) -> ChatSession {
        ChatSession::open(self.shared.clone(), open, line)
    }

    fn will(&self, key: &BrokerKey, will: HostPublish) {
        let Some(key) = session_key(key) else { return };
        // Nothing of a will is ever sent again, so that there is no repeat to be known by.
        let person = self.shared.people.get(&key.user);
        let author = Author {
            shared: &self.shared,
            key: &key,
            epoch: 0,
            person: person.as_deref(),
            acknowledged: &|_| None,
        };
        match author.command(HostPublish { qos: QoS::AtMostOnce, dup: false, ..will }) {
            Ok((chat, command)) => {
                self.shared.of_chat(&chat).submit(command, self.shared.now_ms(), None);
            }
            Err(Refused(reason, message)) => {
                tracing::debug!(user = %key.user, ?reason, message, "a will is refused");
            }
        }
    }

    fn end(&self, key: &BrokerKey, epoch: u64) {
        let Some(key) = session_key(key) else { return };
        self.shared.forget_device(&key, Some(epoch));
        self.shared.put_session_record(key, None, None);
    }
}

/// The engine's name of a session. `None` cannot be for a user that the directory let in.
fn session_key(key: &BrokerKey) -> Option<SessionKey> {
    let user = UserId::try_from(key.user.clone()).ok()?;
    Some(SessionKey { user, device: key.client_id.clone() })
}
