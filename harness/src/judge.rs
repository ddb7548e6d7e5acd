//! What devices hear and say, held against docs/asyncapi.yaml.

use bluetick_asyncapi::{Direction, Document, Mismatch};

/// So many of a device's messages are judged one by one.
const ALL_UP_TO: u32 = 50;

/// And one in so many of those that follow: they are of few forms, and a simulation has millions.
const THEN_ONE_IN: u32 = 8;

/// A device's view of the document.
#[derive(Default)]
pub(crate) struct Judge {
    messages: u32,
}

impl Judge {
    /// A message from the server.
    ///
    /// # Errors
    /// What is not as the document says, and which of its rules says so.
    pub(crate) fn heard(&mut self, topic: &str, payload: &[u8]) -> Result<(), Mismatch> {
        match self.is_next() {
            true => Document::get().check(Direction::ToClient, topic, payload, None),
            false => Ok(()),
        }
    }

    /// A PUBACK of MQTT 5 for a message that is stored. (A PUBREC that is sent again says nothing.)
    ///
    /// # Errors
    /// As [`Judge::heard`].
    pub(crate) fn acked(
        &mut self,
        topic: &str,
        properties: &[(String, String)],
    ) -> Result<(), Mismatch> {
        match self.is_next() {
            true => Document::get().check_puback(topic, properties),
            false => Ok(()),
        }
    }

    /// A message to the server.
    ///
    /// # Panics
    /// If it is not as the document says: a device that says something else shows nothing of the server.
    pub(crate) fn said(&mut self, topic: &str, payload: &[u8]) {
        if self.is_next() {
            let checked = Document::get().check(Direction::ToServer, topic, payload, None);
            checked.unwrap_or_else(|mismatch| panic!("{mismatch}"));
        }
    }

    /// Whether the next one is judged.
    fn is_next(&mut self) -> bool {
        self.messages = self.messages.wrapping_add(1);
        self.messages <= ALL_UP_TO || self.messages.is_multiple_of(THEN_ONE_IN)
    }
}
