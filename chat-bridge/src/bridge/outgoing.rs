//! What goes out to a session: entries and receipts as deliveries, the first time and again.

use bluetick_broker::host::{Delivery, DeliveryId};
use bluetick_broker::packet::QoS;
use bluetick_protocol::Seq;

use super::encode::{self, Outgoing};
use super::session::Inner;
use crate::delivery::{Acked, Given, is_for};
use crate::engine::{ChatNo, Entry, PartitionNo};

/// How far back the entry before one that is delivered again is looked for.
const REFETCH_LOOKBACK: usize = 256;

impl Inner {
    pub(super) fn delivery(&self, partition: PartitionNo, given: Given, now: u64) -> Delivery {
        let part = u64::from(partition.0) * 2;
        match given {
            Given::Message { no, chat, from, entry, after, qos, compact } => {
                let reader = compact.then_some(&self.key.user);
                let outgoing = Outgoing { chat: &chat, from: &from, entry: &entry, after, reader };
                Delivery {
                    id: DeliveryId(part, no.0, entry.seq.0),
                    qos: QoS::from_bits(qos).unwrap_or(QoS::AtMostOnce),
                    message: outgoing.message(self.max_packet_bytes, now),
                }
            }
            Given::Count { no, count, version, qos, compact } => Delivery {
                id: DeliveryId(part + 1, no.0, version),
                qos: QoS::from_bits(qos).unwrap_or(QoS::AtMostOnce),
                message: encode::receipt_count(&count, compact),
            },
            Given::Receipt { no, chat, of, marks, version, qos, compact } => Delivery {
                id: DeliveryId(part + 1, no.0, version),
                qos: QoS::from_bits(qos).unwrap_or(QoS::AtMostOnce),
                message: encode::receipt(&chat, &of, &marks, compact.then_some(&self.key.user)),
            },
        }
    }

    /// A delivery again, from the store; `None`: it is not to be delivered any more. Blocks.
    pub(super) fn fetch_one(&self, id: DeliveryId) -> Option<Delivery> {
        let (no, acked) = parse_id(id)?;
        // A receipt is told anew, as the watermarks stand then.
        let Acked::Message(chat_no, seq) = acked else { return None };
        let store = self.shared.store();
        let chat = store.chat(no, chat_no).ok()??;
        let index = chat.member_index(&self.key.user)?;
        let member = chat.member(index)?;
        let (now, (without, compact)) = (self.shared.now_ms(), self.refetching());
        let read =
            |from, to| store.entries(no, chat_no, from, to, REFETCH_LOOKBACK + 1, usize::MAX);
        let is_mine = |entry: &Entry| is_for(entry, index, member, without, now);
        let mut entries = read(Seq(seq.0.saturating_sub(1)), seq).ok()?;
        let entry = entries.pop().filter(|entry| entry.seq == seq && is_mine(entry))?;
        // The first attempt may not have arrived: the hole before it is explained again.
        let mut after = None;
        let start = member.place_before(seq);
        if seq > start.next() && !entries.last().is_some_and(|before| is_mine(before)) {
            let from = Seq(seq.0.saturating_sub(REFETCH_LOOKBACK as u64));
            let before = read(from, Seq(seq.0 - 1)).ok()?;
            let last = before.iter().rev().find(|entry| is_mine(entry)).map(|entry| entry.seq);
            after = Some(last.unwrap_or(start));
        }
        let from = chat.member(entry.author)?.user.clone();
        let chat = chat.id.clone();
        let given = Given::Message { no: chat_no, chat, from, entry, after, qos: 1, compact };
        Some(self.delivery(no, given, now))
    }
}

/// A delivery's id taken apart.
pub(super) fn parse_id(id: DeliveryId) -> Option<(PartitionNo, Acked)> {
    let DeliveryId(part, chat, number) = id;
    let no = PartitionNo(u16::try_from(part / 2).ok()?);
    let acked = match part % 2 {
        0 => Acked::Message(ChatNo(chat), Seq(number)),
        _ => Acked::Receipt(ChatNo(chat), number),
    };
    Some((no, acked))
}

pub(super) fn inflight_in(no: PartitionNo, ids: &[DeliveryId]) -> Vec<(ChatNo, Seq)> {
    let mine = ids.iter().filter_map(|id| match parse_id(*id)? {
        (of, Acked::Message(chat, seq)) if of == no => Some((chat, seq)),
        _ => None,
    });
    mine.collect()
}
