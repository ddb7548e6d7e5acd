//! Messages of a device that the server has not acknowledged.

use std::collections::VecDeque;

use bluetick_checker::Amends;

/// A message on its way.
#[derive(Debug, Clone, Default)]
pub(crate) struct Outgoing {
    pub(crate) tag: u64,
    pub(crate) chat: String,
    pub(crate) topic: String,
    /// The message id, if the client gives one.
    pub(crate) id: Option<String>,
    pub(crate) body: String,
    /// The entry that it changes.
    pub(crate) amends: Option<Amends>,
    /// Seconds that it lasts.
    pub(crate) expiry_s: Option<u32>,
    pub(crate) qos: u8,
    pub(crate) packet_id: u16,
    /// QoS 2: PUBREC came, PUBREL is out.
    pub(crate) released: bool,
}

/// What is not acknowledged, in the order it was first sent.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    pub(crate) messages: VecDeque<Outgoing>,
    last_packet_id: u16,
}

impl Outbox {
    pub(crate) fn next_packet_id(&mut self) -> u16 {
        loop {
            self.last_packet_id = self.last_packet_id % 999 + 1;
            let id = self.last_packet_id;
            if self.messages.iter().all(|message| message.packet_id != id) {
                return id;
            }
        }
    }

    pub(crate) fn find(&mut self, packet_id: u16) -> Option<&mut Outgoing> {
        self.messages.iter_mut().find(|message| message.packet_id == packet_id)
    }

    pub(crate) fn remove(&mut self, packet_id: u16) -> Option<Outgoing> {
        let at = self.messages.iter().position(|message| message.packet_id == packet_id)?;
        self.messages.remove(at)
    }

    /// A new session knows nothing of the packet ids of the one before.
    pub(crate) fn renumber(&mut self) {
        self.messages.retain(|message| !message.released);
        let mut messages = std::mem::take(&mut self.messages);
        for message in &mut messages {
            message.packet_id = 0;
        }
        while let Some(mut message) = messages.pop_front() {
            message.packet_id = self.next_packet_id();
            self.messages.push_back(message);
        }
    }
}
