//! The broker's host: topics and payloads on one side, commands and cursors on the other.

mod command;
mod encode;
mod environment;
mod filter;
mod open;
mod outbox;
mod outgoing;
mod publish;
mod queries;
mod reader;
mod rpc;
mod session;
mod typists;

use command::{Author, Refused};
pub use encode::message_ref;
pub use environment::{Environment, SystemEnvironment};
pub use reader::{InlineReads, Job, ReadPool, Reads};
pub use session::ChatSession;
use typists::Typists;

use std::sync::Arc;

use bluetick_broker::Host;
use bluetick_broker::host::{
    Access, Attempt, HostEvent, HostPublish, Open, SessionKey as BrokerKey,
};
use bluetick_broker::mailbox::Line;
use bluetick_broker::packet::{QoS, Reason};
use bluetick_protocol::{ChatId, UserId, is_reserved};
use xxhash_rust::xxh3::xxh3_64;

use crate::engine::{Command, PartitionNo, SessionKey, Typing};
use crate::partition::Partition;
use crate::store::{Store, StoreError};
use crate::writer::Pipeline;

/// How many sessions or answers one step of [`Bridge::sweep`] looks at.
const SESSIONS_PER_SWEEP: usize = 512;

/// How long a repeated request gets the first answer, at least, milliseconds.
const ANSWER_LIFE_MS: u64 = 24 * 3600 * 1000;

/// Who there is. The accounts are the program's business.
pub trait Directory: Send + Sync + 'static {
    /// Checks who connects and calls `done` with his name or the reason why not, at any time and
    /// on any thread.
    fn authenticate(&self, attempt: Attempt, done: Box<dyn FnOnce(Result<UserId, Reason>) + Send>);

    /// Whether a user exists. Must not block: it is asked once per message to a direct chat.
    fn exists(&self, user: &UserId) -> bool;
}

/// What an operator may set.
#[derive(Debug, Clone)]
pub struct BridgeOptions {
    /// The largest body of a message, bytes. A larger one is refused (0x95).
    pub message_bytes_max: usize,
    /// How much of the newest bodies is kept in memory for those who read along, bytes.
    pub tail_bytes_max: usize,
    /// How many members a group may have. One more is refused (0x97).
    pub group_members_max: u32,
    /// How long after it was sent a message can be edited, seconds. Then it is refused (0x87).
    pub edit_window_s: u32,
}

impl Default for BridgeOptions {
    fn default() -> Self {
        Self {
            message_bytes_max: 256 << 10,
            tail_bytes_max: 32 << 20,
            group_members_max: 1024,
            edit_window_s: 3600,
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
        let typists = Typists::default();
        let shared = Shared { pipeline, directory, environment, reads, options, typists };
        Self { shared: Arc::new(shared) }
    }

    /// Forgets answers to requests whose time is over, ends persistent sessions likewise, and starts the clock of those that a crash
    /// left without an end. Blocks on the disk; to be called at the start, before the first
    /// connection, and now and then.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn sweep(&self, starting: bool) -> Result<usize, StoreError> {
        let now = self.shared.environment.now_ms();
        let mut ended = 0;
        for partition in self.shared.pipeline.partitions() {
            self.forget_answers(partition, now)?;
            let mut after = None;
            loop {
                let store = self.shared.pipeline.store();
                let page = store.sessions(partition.no(), after.as_ref(), SESSIONS_PER_SWEEP)?;
                let Some((last, _)) = page.last() else { break };
                after = Some(last.clone());
                for (key, mut session) in page {
                    match session.disconnected_at_ms {
                        Some(_) if session.is_over(now) => {
                            ended += 1;
                            partition.submit(Command::DropSession { key }, now, None);
                        }
                        None if starting => {
                            session.disconnected_at_ms = Some(now);
                            partition.submit(Command::SaveSession { key, session }, now, None);
                        }
                        _ => {}
                    }
                }
            }
        }
        Ok(ended)
    }

    /// Says of those who were typing and have fallen silent that they are not any more. To be
    /// called a few times a second.
    pub fn tick(&self) {
        let now = self.shared.environment.now_ms();
        for (chat, user) in self.shared.typists.take_silent(now) {
            let partition = self.shared.of_chat(&chat);
            let command = Command::Typing(Typing { user, chat: chat.clone(), typing: false });
            // Somebody has to wait for it, or it would not be shown by itself.
            partition.submit(command, now, Some(Box::new(|_| ())));
        }
    }

    fn forget_answers(&self, partition: &Partition, now: u64) -> Result<(), StoreError> {
        let store = self.shared.pipeline.store();
        let mut after = None;
        loop {
            let page = store.answers(partition.no(), after.as_ref(), SESSIONS_PER_SWEEP)?;
            let Some((last, _)) = page.last() else { return Ok(()) };
            after = Some(last.clone());
            let is_over = |at_ms: u64| at_ms.saturating_add(ANSWER_LIFE_MS) < now;
            for (key, _) in page.into_iter().filter(|(_, answer)| is_over(answer.at_ms)) {
                partition.submit(Command::ForgetAnswer(key), now, None);
            }
        }
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
}

/// The partition of a name among `partitions`: fixed for the life of a data directory.
#[must_use]
pub fn partition_of(name: &str, partitions: usize) -> PartitionNo {
    let at = xxh3_64(name.as_bytes()) % partitions.max(1) as u64;
    PartitionNo(u16::try_from(at).unwrap_or(0))
}

impl Host for Bridge {
    type Session = ChatSession;

    fn authenticate(&self, attempt: Attempt, line: Line) {
        let done = move |answer: Result<UserId, Reason>| {
            let answer = answer.map(|user| user.as_str().into());
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

    fn may(&self, _: &BrokerKey, _: Access, _: &str) -> bool {
        // Plain topics are open to everybody who was let in.
        true
    }

    fn open(&self, open: Open, line: Line) -> ChatSession {
        ChatSession::open(self.shared.clone(), open, line)
    }

    fn will(&self, key: &BrokerKey, will: HostPublish) {
        let Some(key) = session_key(key) else { return };
        // Nothing of a will is ever sent again, so that there is no repeat to be known by.
        let author = Author { shared: &self.shared, key: &key, epoch: 0 };
        match author.command(HostPublish { qos: QoS::AtMostOnce, dup: false, ..will }) {
            Ok((chat, command)) => {
                self.shared.of_chat(&chat).submit(command, self.shared.now_ms(), None);
            }
            Err(Refused(reason, message)) => {
                tracing::debug!(user = %key.user, ?reason, message, "a will is refused");
            }
        }
    }

    fn end(&self, key: &BrokerKey, _epoch: u64) {
        let Some(key) = session_key(key) else { return };
        let partition = self.shared.of_user(&key.user);
        partition.submit(Command::DropSession { key }, self.shared.now_ms(), None);
    }
}

/// The engine's name of a session. `None` cannot be for a user that the directory let in.
fn session_key(key: &BrokerKey) -> Option<SessionKey> {
    let user = UserId::try_from(&*key.user).ok()?;
    Some(SessionKey { user, device: key.client_id.clone() })
}
