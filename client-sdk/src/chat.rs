//! What one does in a chat.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bluetick_protocol::rpc::{
    ChangeMembers, Changed, ChatInfo, History, LIMIT_MAX, Mute, OfChat, Page, ReadHistory, Request,
    SetRole, SetTtl, UpdateGroup,
};
use bluetick_protocol::{ChatId, MessageId, Role, Seq, UserId, parse_reaction};
use tokio::sync::oneshot;
use uuid::Uuid;

use crate::client::Client;
use crate::connection::Command;
use crate::draft::{Draft, Header};
use crate::error::Error;
use crate::message::Message;
use crate::outbox::{Entry, Head, Verb};
use crate::pending::Pending;

/// A chat, as a handle: cheap to make and to clone.
///
/// What is *sent* ([`send`](Chat::send), [`edit`](Chat::edit), [`delete`](Chat::delete),
/// [`react`](Chat::react)) goes through the outbox and is a [`Pending`]. What is *asked* has its answer,
/// and fails with [`ErrorKind::Timeout`](crate::ErrorKind::Timeout) if none comes.
#[derive(Debug, Clone)]
pub struct Chat {
    client: Client,
    chat: ChatId,
}

/// What to change of a group; `None` leaves it, an empty text takes it away.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GroupUpdate {
    /// Its title.
    pub title: Option<String>,
    /// What it is about.
    pub description: Option<String>,
    /// Its picture's address.
    pub picture: Option<String>,
    /// Whether only owners and admins may send.
    pub admins_only: Option<bool>,
}

impl Chat {
    pub(crate) fn new(client: Client, chat: ChatId) -> Self {
        Self { client, chat }
    }

    /// Its name.
    #[must_use]
    pub fn id(&self) -> &ChatId {
        &self.chat
    }

    /// Queues a message; returns once it is in the outbox (on disk, if the outbox is there). The
    /// [`Pending`] resolves once it is sent. Order: that of the calls.
    ///
    /// # Cancel safety
    /// The message is queued or not. If the future is dropped it may be queued; it is sent then.
    /// # Errors
    /// [`ErrorKind::OutboxFull`](crate::ErrorKind::OutboxFull), `Storage`, `Invalid`, `Closed`: nothing
    /// was queued.
    pub async fn send(&self, draft: impl Into<Draft>) -> Result<Pending, Error> {
        self.put(Verb::Send, draft.into()).await
    }

    /// Queues a new body for a message of one's own.
    ///
    /// # Errors
    /// As [`Chat::send`]; the [`Pending`] says `Refused` if it is another's, deleted, or too old.
    pub async fn edit(&self, of: Seq, draft: impl Into<Draft>) -> Result<Pending, Error> {
        self.put(Verb::Edit(of), draft.into()).await
    }

    /// Queues the deletion of a message: one's own, or as an owner or admin of the group.
    ///
    /// # Errors
    /// As [`Chat::edit`].
    pub async fn delete(&self, of: Seq) -> Result<Pending, Error> {
        self.put(Verb::Delete(of), Draft::bytes([])).await
    }

    /// Queues a reaction to a message, which takes the place of the one before; empty takes it back.
    ///
    /// # Errors
    /// As [`Chat::edit`]; `Invalid`: longer than 32 bytes, or with blanks.
    pub async fn react(&self, to: Seq, emoji: &str) -> Result<Pending, Error> {
        parse_reaction(emoji.as_bytes()).map_err(|error| Error::invalid(error.to_string()))?;
        self.put(Verb::React(to), Draft::text(emoji)).await
    }

    async fn put(&self, verb: Verb, draft: Draft) -> Result<Pending, Error> {
        draft.check()?;
        let at_ms = now_ms();
        let give_up = draft.give_up.map(|wait| u64::try_from(wait.as_millis()).unwrap_or(u64::MAX));
        let header = match verb {
            Verb::Send => draft.header,
            // Nothing else means anything there.
            _ => Header { content_type: draft.header.content_type, ..Header::default() },
        };
        let head = Head {
            id: new_id(),
            chat: self.chat.clone(),
            verb,
            header,
            at_ms,
            give_up_ms: give_up.map(|wait_ms| at_ms.saturating_add(wait_ms)),
        };
        self.client.put(Entry { head, body: draft.body }).await
    }

    /// Says that one has read all up to `seq`; returns once the server has it. What is said meanwhile is
    /// said together. Lower than before it changes nothing.
    ///
    /// # Cancel safety
    /// Dropping the future does not take it back.
    /// # Errors
    /// `Refused`: not a member; `Closed`.
    pub async fn read(&self, seq: Seq) -> Result<(), Error> {
        let (answer, receiver) = oneshot::channel();
        self.client.command(Command::Read { chat: self.chat.clone(), seq, answer }).await?;
        receiver.await.unwrap_or_else(|_| Err(Error::closed()))
    }

    /// Says that one types, or no longer; nothing is stored, and without a connection nothing is said.
    /// After 6 s the server says by itself that one does no longer; to call this with every key is fine, as
    /// it is told every 3 s at most.
    ///
    /// # Errors
    /// `Closed`.
    pub async fn typing(&self, typing: bool) -> Result<(), Error> {
        self.client.command(Command::Typing { chat: self.chat.clone(), typing }).await
    }

    /// The newest messages, or those before or after a place, rising; at most `limit`, 1 to 100. Bodies
    /// are those of the newest edit; deleted messages have none.
    ///
    /// # Errors
    /// `Refused`, `Timeout`.
    pub async fn history(&self, page: Page, limit: u16) -> Result<Vec<Message>, Error> {
        let (chat, limit) = (self.chat.clone(), limit.clamp(1, LIMIT_MAX));
        let request = Request::ChatsHistory(ReadHistory { chat, page, limit });
        let history: History = self.client.request(request).await?;
        Ok(history.messages.into_iter().map(Message::from).collect())
    }

    /// What it is, who is in it, and how far they got.
    ///
    /// # Errors
    /// `Refused`, `Timeout`.
    pub async fn info(&self) -> Result<ChatInfo, Error> {
        self.client.request(Request::ChatsInfo(OfChat { chat: self.chat.clone() })).await
    }

    /// Mutes it until then, in Unix milliseconds: for applications, which find it in
    /// [`Client::chats`] on all devices. Delivery goes on.
    ///
    /// # Errors
    /// `Refused`, `Timeout`.
    pub async fn mute(&self, until_ms: u64) -> Result<(), Error> {
        let mute = Mute { chat: self.chat.clone(), until_ms: Some(until_ms) };
        self.client.change(Request::ChatsMute(mute)).await
    }

    /// Takes that back.
    ///
    /// # Errors
    /// `Refused`, `Timeout`.
    pub async fn unmute(&self) -> Result<(), Error> {
        let mute = Mute { chat: self.chat.clone(), until_ms: None };
        self.client.change(Request::ChatsMute(mute)).await
    }

    /// How long its messages live from now on, in whole seconds, at most a year; `None`: for ever.
    ///
    /// # Errors
    /// `Refused`, `Timeout`.
    pub async fn set_ttl(&self, ttl: Option<Duration>) -> Result<(), Error> {
        let ttl_s = ttl.map_or(0, |ttl| u32::try_from(ttl.as_secs()).unwrap_or(u32::MAX));
        self.client.change(Request::ChatsSetTtl(SetTtl { chat: self.chat.clone(), ttl_s })).await
    }

    /// Adds members to a group; gives those who were none before.
    ///
    /// # Errors
    /// `Refused`, `Quota`: it would have too many; `Timeout`.
    pub async fn add(
        &self,
        members: impl IntoIterator<Item = UserId>,
    ) -> Result<Vec<UserId>, Error> {
        let request = Request::GroupsAdd(self.members(members));
        let changed: Changed = self.client.request(request).await?;
        Ok(changed.members)
    }

    /// Removes members from a group; gives those who were some.
    ///
    /// # Errors
    /// `Refused`, `Timeout`.
    pub async fn remove(
        &self,
        members: impl IntoIterator<Item = UserId>,
    ) -> Result<Vec<UserId>, Error> {
        let request = Request::GroupsRemove(self.members(members));
        let changed: Changed = self.client.request(request).await?;
        Ok(changed.members)
    }

    fn members(&self, members: impl IntoIterator<Item = UserId>) -> ChangeMembers {
        ChangeMembers { chat: self.chat.clone(), members: members.into_iter().collect() }
    }

    /// Leaves a group.
    ///
    /// # Errors
    /// `Refused`, `Timeout`.
    pub async fn leave(&self) -> Result<(), Error> {
        self.client.change(Request::GroupsLeave(OfChat { chat: self.chat.clone() })).await
    }

    /// Gives a member of a group a role.
    ///
    /// # Errors
    /// `Refused`, `Timeout`.
    pub async fn set_role(&self, user: &UserId, role: Role) -> Result<(), Error> {
        let set = SetRole { chat: self.chat.clone(), user: user.clone(), role };
        self.client.change(Request::GroupsSetRole(set)).await
    }

    /// Changes what a group is.
    ///
    /// # Errors
    /// `Refused`, `Timeout`.
    pub async fn update(&self, update: GroupUpdate) -> Result<(), Error> {
        let GroupUpdate { title, description, picture, admins_only } = update;
        let chat = self.chat.clone();
        let update = UpdateGroup { chat, title, description, picture, admins_only };
        self.client.change(Request::GroupsUpdate(update)).await
    }
}

/// A new message id, later than those that this program made before.
fn new_id() -> MessageId {
    MessageId::from_uuid(Uuid::now_v7()).expect("a version 7 UUID is not nil")
}

/// Unix milliseconds of this machine's clock.
pub(crate) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
