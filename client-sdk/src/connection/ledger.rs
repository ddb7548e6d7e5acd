//! Which entries of which chats have come: each once, in order, without holes. No I/O and no clock.

use std::collections::{BTreeMap, HashMap, VecDeque};

use bluetick_protocol::{ChatId, Seq};

use crate::inbox::{Ack, Token};
use crate::message::Message;

/// Which entries have come, and which of them the application has not dealt with.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    chats: HashMap<ChatId, Progress>,
    entries: HashMap<Token, (ChatId, Seq)>,
    tokens: u64,
}

#[derive(Debug, Default)]
struct Progress {
    /// The last that was given to the application, or is explained; `None`: nothing has come yet.
    high: Option<Seq>,
    /// Those that came and are not dealt with. As many as the server sends ahead.
    open: BTreeMap<Seq, Token>,
    /// What came after a hole, while the history is asked for what should be in it.
    held: VecDeque<(Message, Token)>,
}

/// What to do with an entry that came.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Arrival {
    /// Its PUBLISH is acknowledged with this one; `None`: now, as it is dealt with.
    pub(super) token: Option<Token>,
    /// What to give to the application.
    pub(super) steps: Vec<Step>,
}

/// Something to do, in this order.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// To give to the application.
    Deliver(Box<Message>, Option<Token>),
    /// To ask the history for what comes after a place.
    Ask(ChatId, Seq),
    /// To say that entries between two places are not to be had.
    Missed(ChatId, Seq, Seq),
}

impl Ledger {
    /// A token for what belongs to no chat's log.
    pub(super) fn token(&mut self) -> Token {
        self.tokens += 1;
        Token(self.tokens)
    }

    /// An entry came.
    pub(super) fn arrive(&mut self, message: Message) -> Arrival {
        let next = self.token();
        let (chat, seq) = (message.chat.clone(), message.seq);
        let progress = self.chats.entry(chat.clone()).or_default();
        if let Some(token) = progress.open.get(&seq) {
            return Arrival { token: Some(*token), steps: Vec::new() };
        }
        if progress.high.is_some_and(|high| seq <= high) {
            return Arrival { token: None, steps: Vec::new() };
        }
        progress.open.insert(seq, next);
        progress.held.push_back((message, next));
        // If others are held, the history is being asked.
        let steps = if progress.held.len() == 1 { progress.release() } else { Vec::new() };
        self.entries.insert(next, (chat, seq));
        Arrival { token: Some(next), steps }
    }

    /// What the history has after the place that was asked for, rising; `None`: it does not say.
    pub(super) fn repair(&mut self, chat: &ChatId, page: Option<Vec<Message>>) -> Vec<Step> {
        let Some(progress) = self.chats.get_mut(chat) else { return Vec::new() };
        progress.repair(chat, page.unwrap_or_default())
    }

    /// The application has dealt with something: gives the token of its PUBLISH.
    pub(super) fn acknowledge(&mut self, ack: Ack) -> Option<Token> {
        let token = match ack {
            Ack::Token(token) => token,
            Ack::Entry(chat, seq) => *self.chats.get(&chat)?.open.get(&seq)?,
        };
        if let Some((chat, seq)) = self.entries.remove(&token)
            && let Some(progress) = self.chats.get_mut(&chat)
        {
            progress.open.remove(&seq);
        }
        Some(token)
    }
}

impl Progress {
    /// Gives what is held up to the next hole.
    fn release(&mut self) -> Vec<Step> {
        let mut steps = Vec::new();
        while let Some((message, _)) = self.held.front() {
            let high = self.high.unwrap_or_else(|| before(message.seq));
            if last_missing(message) > high {
                steps.push(Step::Ask(message.chat.clone(), high));
                break;
            }
            self.high = Some(message.seq);
            if let Some((message, token)) = self.held.pop_front() {
                steps.push(Step::Deliver(Box::new(message), Some(token)));
            }
        }
        steps
    }

    fn repair(&mut self, chat: &ChatId, page: Vec<Message>) -> Vec<Step> {
        let (mut steps, mut is_news) = (Vec::new(), false);
        let (Some(high), Some((first, _))) = (&mut self.high, self.held.front()) else {
            return steps;
        };
        let missing = last_missing(first);
        for mut message in page {
            if message.seq <= *high || message.seq > missing {
                continue;
            }
            if last_missing(&message) > *high {
                steps.push(Step::Missed(chat.clone(), *high, message.seq));
            }
            *high = message.seq;
            is_news = true;
            message.repaired = true;
            steps.push(Step::Deliver(Box::new(message), None));
        }
        if *high < missing && is_news {
            steps.push(Step::Ask(chat.clone(), *high));
            return steps;
        }
        if *high < missing {
            steps.push(Step::Missed(chat.clone(), *high, Seq(missing.0.saturating_add(1))));
            *high = missing;
        }
        steps.extend(self.release());
        steps
    }
}

/// The last entry before this one that must have come before it.
fn last_missing(message: &Message) -> Seq {
    let last = before(message.seq);
    message.after.map_or(last, |after| after.min(last))
}

fn before(seq: Seq) -> Seq {
    Seq(seq.0.saturating_sub(1))
}

#[cfg(test)]
mod tests {
    use bluetick_protocol::UserId;

    use super::*;
    use crate::message::Change;

    fn chat() -> ChatId {
        ChatId::try_from("alice~bob").expect("a chat")
    }

    fn entry(seq: u64, after: Option<u64>) -> Message {
        Message {
            chat: chat(),
            seq: Seq(seq),
            id: None,
            from: UserId::try_from("bob").expect("a user"),
            at_ms: 0,
            content_type: "text/plain".to_owned(),
            body: None,
            reply_to: None,
            mentions: Vec::new(),
            expires_at_ms: None,
            deleted: false,
            omitted_bytes: None,
            repaired: false,
            change: Change::None,
            after: after.map(Seq),
        }
    }

    /// What is delivered, asked and missed, in short.
    fn told(steps: &[Step]) -> Vec<String> {
        let tell = |step: &Step| match step {
            Step::Deliver(message, token) => {
                assert_eq!(message.repaired, token.is_none());
                format!("{}{}", message.seq, if message.repaired { "r" } else { "" })
            }
            Step::Ask(_, after) => format!("?{after}"),
            Step::Missed(_, after, before) => format!("-{after}..{before}"),
        };
        steps.iter().map(tell).collect()
    }

    #[test]
    fn each_comes_once_and_a_repeat_waits_for_the_same() {
        let mut ledger = Ledger::default();
        let first = ledger.arrive(entry(7, None));
        assert_eq!(told(&first.steps), ["7"]);
        let token = first.token.expect("open");
        assert_eq!(ledger.arrive(entry(7, None)), Arrival { token: Some(token), steps: vec![] });
        assert_eq!(ledger.acknowledge(Ack::Entry(chat(), Seq(7))), Some(token));
        assert_eq!(ledger.acknowledge(Ack::Entry(chat(), Seq(7))), None);
        assert_eq!(ledger.arrive(entry(7, None)), Arrival { token: None, steps: vec![] });
        assert_eq!(ledger.arrive(entry(3, None)), Arrival { token: None, steps: vec![] });
        assert_eq!(told(&ledger.arrive(entry(8, None)).steps), ["8"]);
    }

    #[test]
    fn what_after_explains_is_no_hole() {
        let mut ledger = Ledger::default();
        for (seq, after) in [(3, Some(1)), (4, None), (9, Some(4)), (12, Some(2))] {
            let steps = ledger.arrive(entry(seq, after)).steps;
            assert_eq!(told(&steps), [seq.to_string()]);
        }
    }

    #[test]
    fn a_hole_is_filled_from_history_before_anything_else_is_told() {
        let mut ledger = Ledger::default();
        ledger.arrive(entry(1, None));
        assert_eq!(told(&ledger.arrive(entry(6, None)).steps), ["?1"]);
        let held = ledger.arrive(entry(7, None));
        assert!(held.token.is_some() && held.steps.is_empty());
        // A repeat while it is held.
        assert_eq!(ledger.arrive(entry(6, None)).steps, []);
        let steps = ledger.repair(&chat(), Some(vec![entry(2, None), entry(3, None)]));
        assert_eq!(told(&steps), ["2r", "3r", "?3"]);
        let page = vec![entry(5, Some(3)), entry(6, None), entry(7, None)];
        assert_eq!(told(&ledger.repair(&chat(), Some(page))), ["5r", "6", "7"]);
        assert_eq!(told(&ledger.repair(&chat(), Some(vec![entry(9, None)]))), [""; 0]);
    }

    #[test]
    fn what_the_history_has_not_is_told() {
        let mut ledger = Ledger::default();
        ledger.arrive(entry(1, None));
        ledger.arrive(entry(5, None));
        ledger.arrive(entry(9, Some(7)));
        let steps = ledger.repair(&chat(), Some(vec![entry(3, None)]));
        assert_eq!(told(&steps), ["-1..3", "3r", "?3"]);
        assert_eq!(told(&ledger.repair(&chat(), Some(vec![]))), ["-3..5", "5", "?5"]);
        assert_eq!(told(&ledger.repair(&chat(), None)), ["-5..8", "9"]);
    }
}
