//! What comes in over the connection, on its way to the application.

use bluetick_protocol::rpc::{History, LIMIT_MAX, Page, ReadHistory, Request};
use bluetick_protocol::{ChatId, RequestId};

use super::decode::{Incoming, decode};
use super::driver::Driver;
use super::ledger::Step;
use crate::event::Event;
use crate::inbox::Token;
use crate::message::Message;
use crate::outbox::Settled;
use crate::request::{Reply, Whose, read_answer};

impl Driver {
    /// Something was published to this device: gives what its acknowledgement waits for.
    pub(super) fn take_in(&mut self, topic: &str, payload: &[u8]) -> Option<Token> {
        match decode(topic, payload, &self.parts.settings.user) {
            Incoming::Entry(message) => {
                let arrival = self.ledger.arrive(*message);
                self.take(arrival.steps);
                arrival.token
            }
            Incoming::Event(event) => self.take_event(*event),
            Incoming::Reply(id) => {
                self.answer(&id, Ok(payload.to_vec()));
                None
            }
            Incoming::Unknown(why) => {
                tracing::warn!(topic, why, "passed over");
                None
            }
        }
    }

    /// Receipts are acknowledged when they are taken; presence and typing never.
    fn take_event(&mut self, event: Event) -> Option<Token> {
        if matches!(event, Event::Receipt(_) | Event::ReceiptCount(_)) {
            let token = self.ledger.token();
            self.parts.inbox.deliver(event, token, false);
            Some(token)
        } else {
            self.parts.inbox.push(event);
            None
        }
    }

    fn take(&mut self, steps: Vec<Step>) {
        let manual = self.parts.settings.manual_acks;
        for step in steps {
            match step {
                Step::Deliver(message, Some(token)) => {
                    self.parts.inbox.deliver((*message).into(), token, manual);
                }
                Step::Deliver(message, None) => self.parts.inbox.push((*message).into()),
                Step::Missed(chat, after, before) => {
                    tracing::warn!(%chat, %after, %before, "entries are missing");
                    self.parts.inbox.push(Event::Missed { chat, after, before });
                }
                Step::Ask(chat, after) => {
                    tracing::info!(%chat, %after, "a hole is filled from history");
                    let (page, limit) = (Page::After(after), LIMIT_MAX);
                    let request = ReadHistory { chat: chat.clone(), page, limit };
                    self.requests.add(Request::ChatsHistory(request), Whose::Repair(chat));
                }
            }
        }
    }

    /// The answer to a request, or why there is none.
    pub(super) fn answer(&mut self, id: &RequestId, reply: Reply) {
        match self.requests.take(id) {
            // Whoever asked may have stopped waiting.
            Some(Whose::Application(answer)) => drop(answer.send(reply)),
            Some(Whose::Repair(chat)) => self.repair(&chat, reply),
            // A repeat.
            None => {}
        }
    }

    fn repair(&mut self, chat: &ChatId, reply: Reply) {
        let page = reply.and_then(|payload| read_answer::<History>(&payload));
        if let Err(error) = &page {
            tracing::warn!(%chat, %error, "the history does not say");
        }
        let messages = |page: History| page.messages.into_iter().map(Message::from).collect();
        let steps = self.ledger.repair(chat, page.ok().map(messages));
        self.take(steps);
    }

    /// Tells of an entry for whose outcome nobody waits.
    pub(super) fn report(&self, settled: Settled) {
        let Settled { chat, id, result, inherited } = settled;
        match result {
            Ok(sent) if inherited => self.parts.inbox.push(Event::Sent(sent)),
            // It was sent, as whoever dropped its `Pending` expects.
            Ok(_) => {}
            Err(error) => self.parts.inbox.push(Event::NotSent { chat, id, error }),
        }
    }
}
