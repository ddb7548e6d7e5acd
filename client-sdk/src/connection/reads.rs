//! How far one has read, until the server knows.

use std::collections::HashMap;

use bluetick_protocol::{ChatId, Seq};
use tokio::sync::oneshot;

use crate::error::Error;

/// Who waits for the server to know.
type Answer = oneshot::Sender<Result<(), Error>>;

/// Watermarks that the server does not know yet: one per chat, the greatest.
#[derive(Debug, Default)]
pub(super) struct Reads {
    chats: HashMap<ChatId, Mark>,
}

#[derive(Debug)]
struct Mark {
    seq: Seq,
    /// Under way.
    sent: Option<Seq>,
    answers: Vec<(Seq, Answer)>,
}

impl Reads {
    pub(super) fn add(&mut self, chat: ChatId, seq: Seq, answer: Answer) {
        let mark = Mark { seq, sent: None, answers: Vec::new() };
        let mark = self.chats.entry(chat).or_insert(mark);
        mark.seq = mark.seq.max(seq);
        // Who waits no longer needs no room.
        mark.answers.retain(|(_, answer)| !answer.is_closed());
        mark.answers.push((seq, answer));
    }

    /// One that is to go out.
    pub(super) fn take_next(&mut self) -> Option<(ChatId, Seq)> {
        let (chat, mark) = self.chats.iter_mut().find(|(_, mark)| mark.sent.is_none())?;
        mark.sent = Some(mark.seq);
        Some((chat.clone(), mark.seq))
    }

    /// The server knows one, or refuses it.
    pub(super) fn settle(&mut self, chat: &ChatId, seq: Seq, result: &Result<(), Error>) {
        let Some(mark) = self.chats.get_mut(chat) else { return };
        mark.sent = None;
        for (wanted, answer) in std::mem::take(&mut mark.answers) {
            if wanted <= seq || result.is_err() {
                let _heard = answer.send(result.clone());
            } else {
                mark.answers.push((wanted, answer));
            }
        }
        if mark.seq <= seq || result.is_err() {
            self.chats.remove(chat);
        }
    }

    /// The connection is lost.
    pub(super) fn rewind(&mut self) {
        for mark in self.chats.values_mut() {
            mark.sent = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_greatest_goes_out_and_answers_all() {
        let chat = ChatId::try_from("alice~bob").expect("a chat");
        let mut reads = Reads::default();
        let add = |reads: &mut Reads, seq| {
            let (answer, receiver) = oneshot::channel();
            reads.add(chat.clone(), Seq(seq), answer);
            receiver
        };
        let (mut first, mut second) = (add(&mut reads, 5), add(&mut reads, 3));
        assert_eq!(reads.take_next(), Some((chat.clone(), Seq(5))));
        assert_eq!(reads.take_next(), None);
        let mut third = add(&mut reads, 9);
        reads.settle(&chat, Seq(5), &Ok(()));
        assert_eq!((first.try_recv(), second.try_recv()), (Ok(Ok(())), Ok(Ok(()))));
        assert!(third.try_recv().is_err());
        assert_eq!(reads.take_next(), Some((chat.clone(), Seq(9))));
        reads.rewind();
        assert_eq!(reads.take_next(), Some((chat.clone(), Seq(9))));
        reads.settle(&chat, Seq(9), &Ok(()));
        assert_eq!((third.try_recv(), reads.take_next()), (Ok(Ok(())), None));
    }
}
