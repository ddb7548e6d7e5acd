//! What goes out to a session: entries and receipts as deliveries, the first time and again.

use std::sync::Arc;

use bluetick_broker::Message;
use bluetick_broker::host::{Delivery, DeliveryId};
use bluetick_broker::packet::QoS;
use bluetick_protocol::compact::{LastMessage, LastReceipt};
use bluetick_protocol::{Receipt, Seq};

use super::encode::{self, Outgoing, fits};
use super::session::Inner;
use crate::delivery::{Acked, Form, Given, is_for};
use crate::engine::{ChatNo, Entry, PartitionNo, Watermarks};
use crate::store::StoreError;

/// How far back the entry before one that is delivered again is looked for.
const REFETCH_LOOKBACK: usize = 256;

impl Inner {
    /// What a device is given, as it goes out. Of each that is given it has to be called once, in the
    /// order in which they are sent: a difference is one to what was sent before it.
    pub(super) fn delivery(&self, partition: PartitionNo, given: Given, now: u64) -> Delivery {
        let part = u64::from(partition.0) * 2;
        let (id, qos, message) = match given {
            Given::Message { no, chat, from, entry, after, qos, form } => {
                // At QoS 0 a client may miss some.
                let differs = form == Form::Differences && qos > 0;
                let last = differs.then(|| self.last_message(&chat)).flatten();
                let outgoing = Outgoing {
                    chat: &chat,
                    from: &from,
                    entry: &entry,
                    after,
                    form,
                    reader: &self.key.user,
                    last,
                };
                let message = outgoing.message(self.max_packet_bytes, now);
                if form == Form::Differences {
                    let told = differs && fits(&message, self.max_packet_bytes);
                    let told = told.then(|| LastMessage::new(entry.seq, entry.at_ms));
                    self.told_message(partition, no, &chat, told);
                }
                (DeliveryId(part, no.0, entry.seq.0), qos, message)
            }
            Given::Count { no, count, version, qos, form } => {
                (DeliveryId(part + 1, no.0, version), qos, encode::receipt_count(&count, form))
            }
            Given::Receipt { no, chat, of, marks, version, qos, form } => {
                let id = DeliveryId(part + 1, no.0, version);
                let Watermarks { delivered, read, at_ms, .. } = marks;
                let receipt = Receipt { chat, user: of, delivered, read, at_ms };
                (id, qos, self.receipt(receipt, qos, form))
            }
        };
        Delivery { id, qos: QoS::from_bits(qos).unwrap_or(QoS::AtMostOnce), message }
    }

    fn receipt(&self, receipt: Receipt, qos: u8, form: Form) -> Arc<Message> {
        let reader = &self.key.user;
        if form != Form::Differences {
            return encode::receipt(&receipt, form, reader, None);
        }
        let of = (receipt.chat.clone(), receipt.user.clone());
        let last = self.last_receipt(&of).filter(|_| qos > 0);
        let message = encode::receipt(&receipt, form, reader, last);
        let told = qos > 0 && fits(&message, self.max_packet_bytes);
        self.told_receipt(of, told.then(|| LastReceipt::of(&receipt)));
        message
    }

    /// A delivery again, from the store; `None`: it is not to be delivered any more. Blocks.
    ///
    /// # Errors
    /// The store cannot be read: it is not known whether it is.
    pub(super) fn fetch_one(&self, id: DeliveryId) -> Result<Option<Arc<Message>>, StoreError> {
        // A receipt is told anew, as the watermarks stand then.
        let Some((no, Acked::Message(chat, seq))) = parse_id(id) else { return Ok(None) };
        let message = self.read_again(no, chat, seq)?;
        let device = self.state.lock().devices().get(usize::from(no.0)).copied();
        if message.is_none()
            && let Some((partition, device)) = self.shared.pipeline.partition(no).zip(device)
        {
            partition.withdraw(device, chat, seq);
        }
        Ok(message)
    }

    fn read_again(
        &self,
        no: PartitionNo,
        chat_no: ChatNo,
        seq: Seq,
    ) -> Result<Option<Arc<Message>>, StoreError> {
        let store = self.shared.store();
        let Some(chat) = store.chat(no, chat_no)? else { return Ok(None) };
        let index = chat.member_index(&self.key.user);
        let Some((index, member)) = index.and_then(|index| Some((index, chat.member(index)?)))
        else {
            return Ok(None);
        };
        let (now, (without, form)) = (self.shared.now_ms(), self.refetching());
        let read =
            |from, to| store.entries(no, chat_no, from, to, REFETCH_LOOKBACK + 1, usize::MAX);
        let is_mine = |entry: &Entry| is_for(entry, index, member, without, now);
        let mut entries = read(Seq(seq.0.saturating_sub(1)), seq)?;
        let entry = entries.pop().filter(|entry| entry.seq == seq && is_mine(entry));
        let Some(entry) = entry else { return Ok(None) };
        // The first attempt may not have arrived: the hole before it is explained again.
        let mut after = None;
        let start = member.place_before(seq);
        if seq > start.next() && !entries.last().is_some_and(|before| is_mine(before)) {
            let from = Seq(seq.0.saturating_sub(REFETCH_LOOKBACK as u64));
            let before = read(from, Seq(seq.0 - 1))?;
            let last = before.iter().rev().find(|entry| is_mine(entry)).map(|entry| entry.seq);
            after = Some(last.unwrap_or(start));
        }
        let Some(author) = chat.member(entry.author) else { return Ok(None) };
        let from = &author.user;
        let (chat, reader) = (&chat.id, &self.key.user);
        if form == Form::Differences {
            // It may have been acknowledged by now and not go out.
            self.told_message(no, chat_no, chat, None);
        }
        let entry = &entry;
        let outgoing = Outgoing { chat, from, entry, after, form, reader, last: None };
        Ok(Some(outgoing.message(self.max_packet_bytes, now)))
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
