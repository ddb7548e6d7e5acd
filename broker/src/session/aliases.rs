//! Topic aliases towards a client (MQTT 5 §3.3.2.3.4): they last as long as its connection.

/// The topics that the client has a number for, which is their place, from 1 on.
///
/// First come, first served: a client has few topics at a time, and those of which there are many
/// messages come first.
#[derive(Debug, Default)]
pub(super) struct Aliases {
    max: u16,
    topics: Vec<Box<str>>,
}

/// A topic's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Alias {
    pub(super) number: u16,
    /// The client has it already: the topic itself need not be sent.
    pub(super) known: bool,
}

impl Aliases {
    /// For a client that takes up to `max` of them.
    pub(super) fn new(max: u16) -> Self {
        Self { max, topics: Vec::new() }
    }

    /// The number of a topic, or the one that it would get; `None`: all are taken.
    pub(super) fn of(&self, topic: &str) -> Option<Alias> {
        if self.max == 0 {
            return None;
        }
        let at = self.topics.iter().position(|had| **had == *topic);
        let number = u16::try_from(at.unwrap_or(self.topics.len()) + 1).ok()?;
        (number <= self.max).then_some(Alias { number, known: at.is_some() })
    }

    /// The client is sent the topic together with the number that [`Aliases::of`] gave.
    pub(super) fn told(&mut self, topic: &str) {
        self.topics.push(topic.into());
    }
}
