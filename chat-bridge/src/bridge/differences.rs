//! What a connection is told as differences: what the next ones are told from, and what the client has
//! acknowledged of it.

use bluetick_broker::host::DeliveryId;
use bluetick_protocol::compact::{LastMessage, LastReceipt, Recent};
use bluetick_protocol::{ChatId, Seq, UserId};

use super::outgoing::parse_id;
use super::session::Inner;
use crate::delivery::Acked;
use crate::engine::{ChatNo, PartitionNo};

/// What a connection was told last, by topic. Made for the first one: most connections have none.
///
/// It is right as long as what is noted here is what the client gets, in this order. A pull is written out
/// whole, in its order; what does not fit the client's packets is noted as nothing, and so is what is sent
/// again, which may turn out to be acknowledged already.
#[derive(Default)]
pub(super) struct Told {
    chats: Recent<ChatId, ToldChat>,
    receipts: Recent<(ChatId, UserId), Option<LastReceipt>>,
}

struct ToldChat {
    partition: PartitionNo,
    no: ChatNo,
    /// `None`: the client may not have got it, and the next one needs a map.
    last: Option<LastMessage>,
    acked: Option<Seq>,
}

impl Told {
    /// The client has acknowledged these.
    pub(super) fn acked(&mut self, ids: &[DeliveryId]) {
        for id in ids {
            let Some((partition, Acked::Message(no, seq))) = parse_id(*id) else { continue };
            let mut chats = self.chats.values_mut();
            if let Some(told) = chats.find(|told| told.partition == partition && told.no == no) {
                told.acked = told.acked.max(Some(seq));
            }
        }
    }
}

impl Inner {
    /// What the next message on a chat's topic is told from.
    pub(super) fn last_message(&self, chat: &ChatId) -> Option<LastMessage> {
        self.state.lock().told.as_ref()?.chats.get(chat)?.last
    }

    /// A message goes out; `None`: maybe.
    pub(super) fn told_message(
        &self,
        partition: PartitionNo,
        no: ChatNo,
        chat: &ChatId,
        last: Option<LastMessage>,
    ) {
        let told = &mut self.state.lock().told;
        let chats = &mut told.get_or_insert_default().chats;
        let acked = chats.get(chat).and_then(|told| told.acked);
        chats.put(chat.clone(), ToldChat { partition, no, last, acked });
    }

    /// What the next receipt of a user on a chat's topic is told from.
    pub(super) fn last_receipt(&self, of: &(ChatId, UserId)) -> Option<LastReceipt> {
        *self.state.lock().told.as_ref()?.receipts.get(of)?
    }

    /// A receipt goes out; `None`: maybe.
    pub(super) fn told_receipt(&self, of: (ChatId, UserId), last: Option<LastReceipt>) {
        let told = &mut self.state.lock().told;
        told.get_or_insert_default().receipts.put(of, last);
    }

    /// The last message of a chat that the client has acknowledged in this connection, if it gets
    /// them as differences and it is not too many chats ago.
    pub(super) fn acknowledged(&self, chat: &ChatId) -> Option<Seq> {
        self.state.lock().told.as_ref()?.chats.get(chat)?.acked
    }
}
