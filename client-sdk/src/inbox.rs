//! What waits for the application, and what it has taken.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bluetick_protocol::{ChatId, Seq};
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::client::Lifeline;
use crate::event::Event;
use crate::message::Message;

/// Presence and typing that wait, at most: the oldest make room, as they last for moments anyway.
const PASSING_MAX: usize = 256;

/// Reports on messages that nobody waits for, at most: whoever takes no events hears the newest.
const REPORTS_MAX: usize = 10_000;

/// The stream of events of a client: take them with [`Events::next`], or as a
/// [`Stream`](futures_core::Stream).
///
/// Taking a message acknowledges it: the server takes it for delivered, and its author sees the second
/// tick. With [`Builder::manual_acks`](crate::Builder::manual_acks), [`Events::ack`] does.
///
/// What is not taken is not lost and costs little: the server sends no more than
/// [`Builder::unacked_max`](crate::Builder::unacked_max) messages ahead and keeps the rest.
#[derive(Debug)]
pub struct Events {
    inbox: Arc<Inbox>,
    _lifeline: Arc<Lifeline>,
}

/// Shared by the stream of events, the handles and the connection.
#[derive(Debug, Default)]
pub(crate) struct Inbox {
    state: Mutex<State>,
    /// Something was taken or acknowledged.
    pub(crate) taken: Notify,
}

#[derive(Debug, Default)]
struct State {
    queue: VecDeque<Waiting>,
    acks: Vec<Ack>,
    waker: Option<Waker>,
    closed: bool,
    /// Nobody takes events any more.
    abandoned: bool,
}

#[derive(Debug)]
struct Waiting {
    event: Event,
    /// By which the connection knows the PUBLISH that it came in; `None`: in none, or at QoS 0.
    token: Option<Token>,
    /// Taking it is not yet acknowledging it.
    manual: bool,
}

/// A PUBLISH that is to be acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Token(pub(crate) u64);

/// What the application has done with.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Ack {
    Token(Token),
    Entry(ChatId, Seq),
}

impl Events {
    pub(crate) fn new(inbox: Arc<Inbox>, lifeline: Arc<Lifeline>) -> Self {
        Self { inbox, _lifeline: lifeline }
    }

    /// The next event; `None` once the client was closed and all that came before is taken.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub async fn next(&mut self) -> Option<Event> {
        std::future::poll_fn(|context| self.inbox.poll(context)).await
    }

    /// The next event if there is one now.
    pub fn try_next(&mut self) -> Option<Event> {
        self.inbox.take()
    }

    /// Says that a message is dealt with; its PUBACK goes out. For manual acknowledgement; else taking it
    /// says so, and this does nothing.
    ///
    /// In any order; the server is told in the order in which the messages came, as MQTT has it, so that
    /// one that is never acknowledged holds up those after it.
    pub fn ack(&self, message: &Message) {
        self.inbox.ack(message.chat.clone(), message.seq);
    }
}

/// What would have been told is told to nobody; messages stay with the server.
impl Drop for Events {
    fn drop(&mut self) {
        let mut state = self.inbox.state.lock();
        state.abandoned = true;
        // What is to be acknowledged is not: it may come to the next who connects.
        state.queue.retain(|waiting| waiting.token.is_some());
    }
}

impl futures_core::Stream for Events {
    type Item = Event;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Event>> {
        self.inbox.poll(context)
    }
}

impl Inbox {
    fn poll(&self, context: &mut Context<'_>) -> Poll<Option<Event>> {
        let mut state = self.state.lock();
        if let Some(event) = state.take() {
            self.taken.notify_one();
            return Poll::Ready(Some(event));
        }
        if state.closed {
            return Poll::Ready(None);
        }
        state.waker = Some(context.waker().clone());
        Poll::Pending
    }

    fn take(&self) -> Option<Event> {
        let event = self.state.lock().take()?;
        self.taken.notify_one();
        Some(event)
    }

    /// How many events wait.
    pub(crate) fn len(&self) -> usize {
        self.state.lock().queue.len()
    }

    /// The application has dealt with an entry.
    pub(crate) fn ack(&self, chat: ChatId, seq: Seq) {
        self.state.lock().acks.push(Ack::Entry(chat, seq));
        self.taken.notify_one();
    }

    /// What was taken or acknowledged since it was last asked.
    pub(crate) fn acks(&self) -> Vec<Ack> {
        std::mem::take(&mut self.state.lock().acks)
    }

    /// Something happened that is not to be acknowledged. How many of these wait is bounded by their
    /// kind: see [`State::make_room`].
    pub(crate) fn push(&self, event: Event) {
        let mut state = self.state.lock();
        if state.abandoned {
            return;
        }
        state.make_room(&event);
        state.push(Waiting { event, token: None, manual: false });
    }

    /// Something came that is to be acknowledged. The server sends a bounded number of these ahead.
    pub(crate) fn deliver(&self, event: Event, token: Token, manual: bool) {
        self.state.lock().push(Waiting { event, token: Some(token), manual });
    }

    /// The session goes on: receipts that were not taken come again.
    pub(crate) fn forget_receipts(&self) {
        let is_receipt =
            |event: &Event| matches!(event, Event::Receipt(_) | Event::ReceiptCount(_));
        self.state.lock().queue.retain(|waiting| !is_receipt(&waiting.event));
    }

    pub(crate) fn close(&self) {
        let mut state = self.state.lock();
        state.closed = true;
        state.wake();
    }
}

impl State {
    fn take(&mut self) -> Option<Event> {
        let Waiting { event, token, manual } = self.queue.pop_front()?;
        self.acks.extend(token.filter(|_| !manual).map(Ack::Token));
        Some(event)
    }

    fn push(&mut self, waiting: Waiting) {
        self.queue.push_back(waiting);
        self.wake();
    }

    fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    /// What lasts for a moment takes the place of what it is newer than.
    fn make_room(&mut self, event: &Event) {
        let older = |waiting: &Waiting| match (&waiting.event, event) {
            (Event::Connection(_), Event::Connection(_)) => true,
            (Event::Presence(old), Event::Presence(new)) => old.user == new.user,
            (Event::Typing(old), Event::Typing(new)) => {
                (&old.user, &old.chat) == (&new.user, &new.chat)
            }
            _ => false,
        };
        self.queue.retain(|waiting| !older(waiting));
        let passing = |event: &Event| matches!(event, Event::Presence(_) | Event::Typing(_));
        let report = |event: &Event| {
            matches!(event, Event::Sent(_) | Event::NotSent { .. } | Event::Missed { .. })
        };
        self.limit(passing, PASSING_MAX);
        if self.limit(report, REPORTS_MAX) {
            tracing::warn!("nobody takes events: the oldest report is dropped");
        }
    }

    /// Makes room for one more of these, if there are so many; whether it had to.
    fn limit(&mut self, is_one: impl Fn(&Event) -> bool, max: usize) -> bool {
        let mut those = self.queue.iter().enumerate().filter(|(_, it)| is_one(&it.event));
        let oldest = those.next().map(|(at, _)| at);
        let is_full = those.count() + 1 >= max;
        match oldest.filter(|_| is_full) {
            Some(oldest) => self.queue.remove(oldest).is_some(),
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use bluetick_protocol::{Presence, Receipt, UserId};

    use super::*;
    use crate::event::Connection;

    fn user(name: &str) -> UserId {
        UserId::try_from(name).expect("a user")
    }

    fn presence(name: &str, online: bool) -> Event {
        Event::Presence(Presence { user: user(name), online, last_seen_ms: None })
    }

    fn receipt(delivered: u64) -> Event {
        let chat = ChatId::try_from("alice~bob").expect("a chat");
        let (delivered, read) = (Seq(delivered), Seq::ZERO);
        Event::Receipt(Receipt { chat, user: user("bob"), delivered, read, at_ms: 0 })
    }

    #[test]
    fn what_is_taken_is_acknowledged_and_what_is_not_is_not() {
        let inbox = Inbox::default();
        inbox.deliver(receipt(1), Token(1), false);
        inbox.deliver(receipt(2), Token(2), true);
        inbox.deliver(receipt(3), Token(3), false);
        assert_eq!(inbox.acks(), []);
        assert_eq!((inbox.take(), inbox.take()), (Some(receipt(1)), Some(receipt(2))));
        assert_eq!(inbox.acks(), [Ack::Token(Token(1))]);
        inbox.forget_receipts();
        assert_eq!((inbox.take(), inbox.acks()), (None, vec![]));
    }

    #[test]
    fn what_lasts_for_a_moment_is_bounded() {
        let inbox = Inbox::default();
        for no in 0..2 * PASSING_MAX {
            inbox.push(Event::Connection(Connection::Connecting));
            inbox.push(presence(&format!("u{no}"), true));
            inbox.push(presence("bob", no % 2 == 0));
        }
        let taken: Vec<_> = std::iter::from_fn(|| inbox.take()).collect();
        assert_eq!(taken.len(), PASSING_MAX + 1);
        assert_eq!(taken.last(), Some(&presence("bob", false)));
    }
}
