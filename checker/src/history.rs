//! A history: events in the order observed, kept as JSON lines so that a failing run can be read again.

use std::fmt;
use std::io::{self, BufRead, Write};

use crate::Event;

/// Events in the order observed.
///
/// Clients that run at once share one history: an event takes its place when it is recorded (see
/// [`Event`] for when that is).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    events: Vec<Event>,
}

impl History {
    /// Appends what was observed last.
    pub fn push(&mut self, event: Event) {
        self.events.push(event);
    }

    /// All events, in the order observed.
    #[must_use]
    pub fn events(&self) -> &[Event] {
        &self.events
    }

    /// Number of events.
    #[must_use]
    pub fn len(&self) -> usize {
        self.events.len()
    }

    /// Whether nothing was observed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// Writes one JSON object a line.
    ///
    /// # Errors
    /// What the writer says.
    pub fn write_json_lines(&self, mut to: impl Write) -> io::Result<()> {
        for event in &self.events {
            serde_json::to_writer(&mut to, event)?;
            to.write_all(b"\n")?;
        }
        to.flush()
    }

    /// Reads what [`write_json_lines`](Self::write_json_lines) wrote; empty lines are skipped.
    ///
    /// # Errors
    /// What the reader says, or the first line that is no event. A history cut short by a crash of its
    /// writer ends in such a line.
    pub fn read_json_lines(from: impl BufRead) -> Result<Self, ReadError> {
        let mut events = Vec::new();
        for (index, line) in from.lines().enumerate() {
            let line = line.map_err(ReadError::Io)?;
            if line.trim().is_empty() {
                continue;
            }
            let event = serde_json::from_str(&line)
                .map_err(|source| ReadError::Line { line: index + 1, source })?;
            events.push(event);
        }
        Ok(Self { events })
    }
}

impl From<Vec<Event>> for History {
    fn from(events: Vec<Event>) -> Self {
        Self { events }
    }
}

impl FromIterator<Event> for History {
    fn from_iter<I: IntoIterator<Item = Event>>(events: I) -> Self {
        Self { events: events.into_iter().collect() }
    }
}

impl Extend<Event> for History {
    fn extend<I: IntoIterator<Item = Event>>(&mut self, events: I) {
        self.events.extend(events);
    }
}

/// Why a history could not be read.
#[derive(Debug)]
pub enum ReadError {
    /// The reader failed.
    Io(io::Error),
    /// A line is no event.
    Line {
        /// Line number, from 1.
        line: usize,
        /// What is wrong with it.
        source: serde_json::Error,
    },
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(_) => f.write_str("the history cannot be read"),
            Self::Line { line, .. } => write!(f, "line {line} of the history is no event"),
        }
    }
}

impl std::error::Error for ReadError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io(source) => Some(source),
            Self::Line { source, .. } => Some(source),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{History, ReadError};
    use crate::{Event, Scope};

    #[test]
    fn json_lines_read_back_as_written() {
        let history = History::from(vec![
            Event::Member { chat: "c".into(), user: "alice".into() },
            Event::Subscribed {
                user: "alice".into(),
                device: "phone".into(),
                chats: Scope::Chat("c".into()),
                qos: 1,
                receipts: false,
                no_local: true,
            },
            Event::ServerCrashed,
            Event::Settled {},
        ]);
        let mut bytes = Vec::new();
        history.write_json_lines(&mut bytes).unwrap();
        assert_eq!(bytes.iter().filter(|byte| **byte == b'\n').count(), history.len());
        assert_eq!(History::read_json_lines(bytes.as_slice()).unwrap(), history);
    }

    #[test]
    fn a_line_that_is_no_event_is_named() {
        let error = History::read_json_lines(&b"{\"event\":\"server_crashed\"}\n\n{\"event\":"[..])
            .unwrap_err();
        assert!(matches!(error, ReadError::Line { line: 3, .. }), "{error:?}");
    }
}
