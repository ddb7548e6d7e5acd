//! The same pairs with a chat server: every message has its receipt, and its sender the server's acknowledgement.

use crate::error::Error;
use crate::generator::message::{Body, body_index};
use crate::generator::xmpp::fleet::{Fleet, Side, Traffic};
use crate::generator::xmpp::stanza::{Id, Stanza};
use crate::settings::WINDOW;

/// Messages after which a sender asks for an acknowledgement: a tenth of the window, so that it is never all of it that
/// he waits for, and seldom enough that asking costs little.
const ASK_EVERY: u64 = 10;

/// All pairs; connection `2n` is the sender of pair `n`, `2n + 1` its receiver.
pub(super) struct Conversations {
    pairs: Vec<Pair>,
    /// Messages of each pair.
    quota: u64,
    /// Time is up: what is in flight is waited for, nothing more is sent.
    stopped: bool,
    sent: u64,
    acked: u64,
    pub(super) received: u64,
    pub(super) receipts: u64,
    body: Body,
}

#[derive(Default)]
struct Pair {
    sender: String,
    receiver: String,
    sent: u64,
    acked: u64,
    received: u64,
    receipts: u64,
}

impl Conversations {
    /// `pairs` pairs that send `messages` in all.
    pub(super) fn new(pairs: usize, messages: u64) -> Self {
        let pair = |number| {
            let [sender, receiver] = users(number);
            Pair { sender, receiver, ..Pair::default() }
        };
        Self {
            pairs: (0..pairs).map(pair).collect(),
            quota: messages.div_ceil(pairs as u64),
            stopped: false,
            sent: 0,
            acked: 0,
            received: 0,
            receipts: 0,
            body: Body::default(),
        }
    }

    /// Fills every sender's window.
    pub(super) fn prime(&mut self, fleet: &mut Fleet) -> Result<(), Error> {
        for number in 0..self.pairs.len() {
            self.fill_window(number, &mut fleet.side(2 * number));
        }
        fleet.flush()
    }

    /// Nothing more is sent.
    pub(super) fn stop(&mut self) {
        self.stopped = true;
    }

    fn fill_window(&mut self, number: usize, side: &mut Side<'_>) {
        let pair = &mut self.pairs[number];
        while !self.stopped && pair.sent < self.quota && side.unacked() < u32::from(WINDOW) {
            let body = self.body.fill(pair.sent, false);
            side.send(&pair.receiver, Id::of_message(pair.sent), body);
            pair.sent += 1;
            self.sent += 1;
            if pair.sent.is_multiple_of(ASK_EVERY) || pair.sent == self.quota {
                side.ask();
            }
        }
    }

    /// Every message sent has been acknowledged and received, its sender has the receipt, and no more are to be sent.
    pub(super) fn counted(&self) -> bool {
        let all = self.quota * self.pairs.len() as u64;
        let done = [self.acked, self.received, self.receipts].iter().all(|&it| it == self.sent);
        done && (self.stopped || self.sent == all)
    }

    pub(super) fn missing(&self) -> String {
        format!(
            "{} acknowledgements, {} deliveries and {} receipts of {} messages",
            self.sent - self.acked,
            self.sent - self.received,
            self.sent - self.receipts,
            self.sent
        )
    }
}

impl Traffic for Conversations {
    fn handle_stanza(
        &mut self,
        conn: usize,
        stanza: &Stanza<'_>,
        side: &mut Side<'_>,
    ) -> Result<(), Error> {
        let (number, is_sender) = (conn / 2, conn.is_multiple_of(2));
        let pair = &mut self.pairs[number];
        match *stanza {
            Stanza::Ack { .. } if is_sender => {
                let acked = pair.sent - u64::from(side.unacked());
                self.acked += acked - pair.acked;
                pair.acked = acked;
                self.fill_window(number, side);
            }
            Stanza::Receipt { of } if is_sender && of == Id::of_message(pair.receipts) => {
                pair.receipts += 1;
                self.receipts += 1;
            }
            Stanza::Message { id, body }
                if !is_sender
                    && id == Id::of_message(pair.received)
                    && body_index(body) == Some((pair.received, false)) =>
            {
                side.receipt(&pair.sender, id);
                pair.received += 1;
                self.received += 1;
            }
            ref other => {
                let who = if is_sender { "sender" } else { "receiver" };
                return Err(Error::Wrong(format!(
                    "pair {number}: {other:?} to the {who}; received {}, receipts {}, sent {}",
                    pair.received, pair.receipts, pair.sent
                )));
            }
        }
        Ok(())
    }
}

/// The sender and the receiver of pair `number`.
pub(crate) fn users(number: usize) -> [String; 2] {
    [format!("s{number}"), format!("r{number}")]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generator::xmpp::fleet::Stream;

    struct Rig {
        conversations: Conversations,
        streams: [Stream; 2],
        out: Vec<u8>,
    }

    impl Rig {
        fn new() -> Self {
            let conversations = Conversations::new(1, 2);
            let mut rig = Self { conversations, streams: Default::default(), out: Vec::new() };
            let mut side = Side::new(&mut rig.streams[0], &mut rig.out);
            rig.conversations.fill_window(0, &mut side);
            rig
        }

        fn hear(&mut self, conn: usize, stanza: &Stanza<'_>) -> Result<(), Error> {
            let mut side = Side::new(&mut self.streams[conn], &mut self.out);
            if let Stanza::Ack { handled } = *stanza {
                side.handle_ack(handled);
            }
            self.conversations.handle_stanza(conn, stanza, &mut side)
        }

        fn deliver(&mut self, index: u64) -> Result<(), Error> {
            let body = Body::default().fill(index, false).to_vec();
            self.hear(1, &Stanza::Message { id: Id::of_message(index), body: &body })
        }

        fn tell(&mut self, index: u64) -> Result<(), Error> {
            self.hear(0, &Stanza::Receipt { of: Id::of_message(index) })
        }
    }

    #[test]
    fn a_message_counts_with_its_acknowledgement_delivery_and_receipt() {
        let mut rig = Rig::new();
        for index in 0..2 {
            rig.deliver(index).unwrap();
            rig.tell(index).unwrap();
        }
        assert!(!rig.conversations.counted(), "nothing is acknowledged");
        rig.hear(0, &Stanza::Ack { handled: 2 }).unwrap();
        assert!(rig.conversations.counted(), "{}", rig.conversations.missing());
        let said = String::from_utf8_lossy(&rig.out);
        assert_eq!(said.matches("<r ").count(), 1, "it is asked for once: {said}");
        assert_eq!(said.matches("<received ").count(), 2, "{said}");
    }

    #[test]
    fn losses_and_doubles_end_the_run() {
        let mut rig = Rig::new();
        assert!(rig.deliver(1).is_err(), "a hole");
        rig.deliver(0).unwrap();
        assert!(rig.deliver(0).is_err(), "a double");
        assert!(rig.tell(1).is_err(), "a receipt of what was not delivered first");
        rig.tell(0).unwrap();
        assert!(rig.tell(0).is_err(), "a receipt twice");
        let missing = rig.conversations.missing();
        assert_eq!(missing, "2 acknowledgements, 1 deliveries and 1 receipts of 2 messages");
    }
}
