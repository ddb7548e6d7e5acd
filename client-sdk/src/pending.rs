//! Queued, and sent: two types.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bluetick_protocol::{ChatId, MessageId, Seq};
use tokio::sync::oneshot;

use crate::error::Error;
use crate::outbox::Outbox;

/// A message is on the server's stable storage and has its place in the chat: one tick.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Sent {
    /// In which chat.
    pub chat: ChatId,
    /// Its id.
    pub id: MessageId,
    /// Its place; [`Seq::ZERO`] with [`Builder::bare_acks`](crate::Builder::bare_acks), which has the
    /// server not tell it.
    pub seq: Seq,
    /// When it was stored, Unix milliseconds of the server's clock; 0 with bare acks.
    pub at_ms: u64,
    /// It had been stored before: an earlier attempt had got there, and its answer was lost.
    pub duplicate: bool,
}

/// A message that is queued, and not yet sent. Await it to know that it is sent.
///
/// It goes out whether this is awaited or not: with an outbox on disk, it is there already and survives
/// the program; without one it is in memory. Whoever drops it hears of a failure by
/// [`Event::NotSent`](crate::Event::NotSent).
///
/// # Cancel safety
/// Dropping it does not unsend; [`Pending::cancel`] does, while it has not gone out.
#[must_use = "the message is queued, not sent: await it, or say `let _queued =`"]
pub struct Pending {
    id: MessageId,
    chat: ChatId,
    no: u64,
    outbox: Arc<Outbox>,
    answer: oneshot::Receiver<Result<Sent, Error>>,
}

impl Pending {
    pub(crate) fn new(
        (no, id, chat): (u64, MessageId, ChatId),
        outbox: Arc<Outbox>,
        answer: oneshot::Receiver<Result<Sent, Error>>,
    ) -> Self {
        Self { id, chat, no, outbox, answer }
    }

    /// Its id: the same however often it goes out.
    #[must_use]
    pub const fn id(&self) -> MessageId {
        self.id
    }

    /// Where to.
    #[must_use]
    pub const fn chat(&self) -> &ChatId {
        &self.chat
    }

    /// Takes it back, if it has never gone out: true if it is certain, and on disk, that it is not sent
    /// and never will be (awaiting it gives [`ErrorKind::Cancelled`](crate::ErrorKind::Cancelled) then).
    ///
    /// # Errors
    /// [`ErrorKind::Storage`](crate::ErrorKind::Storage): this program does not send it, but the next one
    /// on the same outbox may.
    pub async fn cancel(&self) -> Result<bool, Error> {
        self.outbox.cancel(self.no).await
    }
}

impl Future for Pending {
    /// # Errors
    /// [`ErrorKind::Refused`](crate::ErrorKind::Refused), `Expired`, `Cancelled`, `Closed`.
    type Output = Result<Sent, Error>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let answer = Pin::new(&mut self.answer).poll(context);
        answer.map(|answer| answer.unwrap_or_else(|_| Err(Error::closed())))
    }
}

impl fmt::Debug for Pending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pending").field("id", &self.id).field("chat", &self.chat).finish()
    }
}
