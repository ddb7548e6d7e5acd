//! The handle.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bluetick_protocol::rpc::{
    ChatList, Created, DeviceInfo, Devices, Empty, LastSeen, ListChats, NoArguments, OfUser,
    Profile, RemoveDevice, Request, SetPrivacy, SetProfile,
};
use bluetick_protocol::rpc::{CreateGroup, LIMIT_DEFAULT};
use bluetick_protocol::{ChatId, MessageId, UserId};
use parking_lot::Mutex;
use serde::de::DeserializeOwned;
use tokio::sync::{Notify, Semaphore, mpsc, oneshot, watch};

use crate::builder::Builder;
use crate::chat::Chat;
use crate::connection::Command;
use crate::credentials::Password;
use crate::error::{Error, ErrorKind};
use crate::event::Connection;
use crate::outbox::{Entry, Outbox, Verb};
use crate::pending::Pending;
use crate::request::{Whose, read_answer};

/// A user's device. Cheap to clone; all clones share one connection.
///
/// The connection ends with [`Client::close`], or when all clones and the [`Events`](crate::Events) are
/// gone. Methods may be called from any task, before the connection stands as well.
#[derive(Clone)]
pub struct Client {
    pub(crate) inner: Arc<Inner>,
    _lifeline: Arc<Lifeline>,
}

/// What the handles share.
pub(crate) struct Inner {
    pub(crate) user: UserId,
    pub(crate) outbox: Arc<Outbox>,
    pub(crate) commands: mpsc::Sender<Command>,
    pub(crate) state: watch::Sender<Connection>,
    pub(crate) last_loss: Arc<Mutex<Option<String>>>,
    pub(crate) password: Password,
    pub(crate) requests: Semaphore,
    pub(crate) request_timeout: Duration,
}

/// The connection ends when the last of these is dropped.
#[derive(Debug)]
pub(crate) struct Lifeline(pub(crate) Arc<Notify>);

impl Drop for Lifeline {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

/// A message that waits in the outbox: see [`Client::queued`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Queued {
    /// Where to.
    pub chat: ChatId,
    /// Its id.
    pub id: MessageId,
    /// When it was queued, Unix milliseconds of this machine's clock.
    pub at_ms: u64,
    /// Its body; of a reaction the emoji, of a deletion nothing.
    pub body: Vec<u8>,
    /// Whether it is a message, rather than an edit, a deletion or a reaction.
    pub is_message: bool,
}

impl From<&Entry> for Queued {
    fn from(entry: &Entry) -> Self {
        let head = &entry.head;
        Self {
            chat: head.chat.clone(),
            id: head.id,
            at_ms: head.at_ms,
            body: entry.body.clone(),
            is_message: head.verb == Verb::Send,
        }
    }
}

impl Client {
    /// Begins with where the server is: `mqtt://host[:1883]`, `mqtts://host[:8883]`,
    /// `ws://host[:80]/mqtt`, `wss://host[:443]/mqtt`.
    pub fn builder(url: impl Into<String>) -> Builder {
        Builder::new(url.into())
    }

    pub(crate) fn new(inner: Inner, lifeline: Arc<Lifeline>) -> Self {
        Self { inner: Arc::new(inner), _lifeline: lifeline }
    }

    /// Whose device it is.
    #[must_use]
    pub fn user(&self) -> &UserId {
        &self.inner.user
    }

    /// A chat, by its name. Asks nobody: whether there is one is told when something is done with it.
    #[must_use]
    pub fn chat(&self, chat: &ChatId) -> Chat {
        Chat::new(self.clone(), chat.clone())
    }

    /// The direct chat with a user, which is there from the first message on; with oneself it is for notes.
    #[must_use]
    pub fn chat_with(&self, user: &UserId) -> Chat {
        Chat::new(self.clone(), ChatId::direct(&self.inner.user, user))
    }

    /// Makes a group; one is its owner.
    ///
    /// # Errors
    /// [`ErrorKind::Refused`], [`ErrorKind::Quota`], [`ErrorKind::Timeout`].
    pub async fn create_group(
        &self,
        title: impl Into<String>,
        members: impl IntoIterator<Item = UserId>,
    ) -> Result<Chat, Error> {
        let (title, members) = (title.into(), members.into_iter().collect());
        let group = CreateGroup { title, members, description: None, picture: None };
        let created: Created = self.request(Request::GroupsCreate(group)).await?;
        Ok(self.chat(&created.chat))
    }

    /// One's chats, newest first, [`LIMIT_DEFAULT`] at a time; `cursor` is
    /// [`ChatList::next`] of the page before.
    ///
    /// # Errors
    /// [`ErrorKind::Timeout`].
    pub async fn chats(&self, cursor: Option<String>) -> Result<ChatList, Error> {
        self.request(Request::ChatsList(ListChats { limit: LIMIT_DEFAULT, cursor })).await
    }

    /// What a user says of himself: oneself, or one with whom one shares a chat.
    ///
    /// # Errors
    /// [`ErrorKind::Refused`] for all others, [`ErrorKind::Timeout`].
    pub async fn profile(&self, user: &UserId) -> Result<Profile, Error> {
        self.request(Request::UsersProfile(OfUser { user: user.clone() })).await
    }

    /// Sets what one says of oneself: what is `None` stays, what is empty is taken away.
    ///
    /// # Errors
    /// [`ErrorKind::Refused`], [`ErrorKind::Timeout`].
    pub async fn set_profile(&self, profile: Profile) -> Result<(), Error> {
        let Profile { name, about, picture } = profile;
        self.change(Request::ProfileSet(SetProfile { name, about, picture })).await
    }

    /// Blocks a user: nothing of his direct chat comes any more, and he is not told so.
    ///
    /// # Errors
    /// [`ErrorKind::Refused`], [`ErrorKind::Timeout`].
    pub async fn block(&self, user: &UserId) -> Result<(), Error> {
        self.change(Request::UsersBlock(OfUser { user: user.clone() })).await
    }

    /// Takes that back.
    ///
    /// # Errors
    /// [`ErrorKind::Refused`], [`ErrorKind::Timeout`].
    pub async fn unblock(&self, user: &UserId) -> Result<(), Error> {
        self.change(Request::UsersUnblock(OfUser { user: user.clone() })).await
    }

    /// Who is told when one was last there; the answer holds both ways.
    ///
    /// # Errors
    /// [`ErrorKind::Refused`], [`ErrorKind::Timeout`].
    pub async fn set_last_seen(&self, last_seen: LastSeen) -> Result<(), Error> {
        let privacy = SetPrivacy { last_seen: Some(last_seen), receipts: None };
        self.change(Request::PrivacySet(privacy)).await
    }

    /// Whether others are told what one has read, and one what they have.
    ///
    /// # Errors
    /// [`ErrorKind::Refused`], [`ErrorKind::Timeout`].
    pub async fn set_read_receipts(&self, told: bool) -> Result<(), Error> {
        let privacy = SetPrivacy { last_seen: None, receipts: Some(told) };
        self.change(Request::PrivacySet(privacy)).await
    }

    /// One's devices: those that are connected, and those with a session.
    ///
    /// # Errors
    /// [`ErrorKind::Timeout`].
    pub async fn devices(&self) -> Result<Vec<DeviceInfo>, Error> {
        let devices: Devices = self.request(Request::DevicesList(NoArguments {})).await?;
        Ok(devices.devices)
    }

    /// Ends the session of one of one's devices, and throws it out if it is connected.
    ///
    /// # Errors
    /// [`ErrorKind::Refused`]: there is no such device; [`ErrorKind::Timeout`].
    pub async fn remove_device(&self, device: impl Into<String>) -> Result<(), Error> {
        self.change(Request::DevicesRemove(RemoveDevice { device: device.into() })).await
    }

    /// How the connection is now. [`Event::Connection`](crate::Event::Connection) tells of changes.
    #[must_use]
    pub fn connection(&self) -> Connection {
        *self.inner.state.borrow()
    }

    /// Why there is no connection, in words: for people.
    #[must_use]
    pub fn last_loss(&self) -> Option<String> {
        self.inner.last_loss.lock().clone()
    }

    /// Waits until the connection stands, or does not come by itself: see [`Connection::recovers`].
    ///
    /// # Cancel safety
    /// Nothing happens.
    pub async fn settled(&self) -> Connection {
        let mut connection = self.inner.state.subscribe();
        let settled = |state: &Connection| state.is_online() || !state.recovers();
        match connection.wait_for(settled).await {
            Ok(state) => *state,
            Err(_) => Connection::Closed,
        }
    }

    /// Takes another password from the next connection on, and ends
    /// [`Connection::CredentialsRefused`]. The connection that stands goes on.
    pub fn set_password(&self, password: impl Into<String>) {
        self.inner.password.set(password.into());
        self.begin_again();
    }

    /// Connects now: after [`Connection::TakenOver`] or [`Connection::Rejected`], or to wait no longer
    /// after a loss (the network is back, say). Does nothing while the connection stands.
    ///
    /// # Errors
    /// [`ErrorKind::Closed`].
    pub async fn reconnect(&self) -> Result<(), Error> {
        self.command(Command::Reconnect).await?;
        self.begin_again();
        Ok(())
    }

    /// The state says so before the task has heard of it: who waits for [`Client::settled`] next is not
    /// told of what is over.
    fn begin_again(&self) {
        self.inner.state.send_if_modified(|state| {
            let waits = !state.recovers() && *state != Connection::Closed;
            if waits {
                *state = Connection::Connecting;
            }
            waits
        });
    }

    /// What waits in the outbox, oldest first; what an earlier program left there included.
    #[must_use]
    pub fn queued(&self) -> Vec<Queued> {
        self.inner.outbox.waiting().iter().map(|entry| Queued::from(&**entry)).collect()
    }

    /// How many messages wait in the outbox.
    #[must_use]
    pub fn queued_len(&self) -> usize {
        self.inner.outbox.len()
    }

    /// Waits until the outbox is empty: all was sent, refused, given up or cancelled.
    ///
    /// # Cancel safety
    /// Nothing happens.
    pub async fn flush(&self) {
        self.inner.outbox.emptied().await;
    }

    /// Says goodbye to the server and ends the connection, of all clones. What is in the outbox stays
    /// there, if it is on disk; call [`Client::flush`] before if it is not. The outbox's file is free when
    /// this returns.
    pub async fn close(&self) {
        let (done, closed) = oneshot::channel();
        if self.inner.commands.send(Command::Close(done)).await.is_ok() {
            // Dropped when the connection has ended.
            let _ended = closed.await;
        }
        self.inner.outbox.close().await;
    }

    pub(crate) async fn command(&self, command: Command) -> Result<(), Error> {
        self.inner.commands.send(command).await.map_err(|_| Error::closed())
    }

    /// A request whose answer says nothing more.
    pub(crate) async fn change(&self, request: Request) -> Result<(), Error> {
        let Empty {} = self.request(request).await?;
        Ok(())
    }

    /// A request and its answer. A request that changes something is done once, however often it has to
    /// be repeated on the way.
    ///
    /// # Cancel safety
    /// Dropping the future does not take it back: whether it is done is unknown then.
    pub(crate) async fn request<T: DeserializeOwned>(&self, request: Request) -> Result<T, Error> {
        let answered = tokio::time::timeout(self.inner.request_timeout, async {
            let _permit = self.inner.requests.acquire().await.map_err(|_| Error::closed())?;
            let (answer, receiver) = oneshot::channel();
            self.command(Command::Request(request, Whose::Application(answer))).await?;
            receiver.await.unwrap_or_else(|_| Err(Error::closed()))
        });
        let payload = answered.await.unwrap_or_else(|_| {
            Err(Error::new(ErrorKind::Timeout, "no answer came in time; ask again"))
        })?;
        read_answer(&payload)
    }

    pub(crate) async fn put(&self, entry: Entry) -> Result<Pending, Error> {
        self.inner.outbox.put(entry).await
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let connection = self.connection();
        f.debug_struct("Client")
            .field("user", &self.inner.user)
            .field("connection", &connection)
            .finish_non_exhaustive()
    }
}
