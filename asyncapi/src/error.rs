//! What is wrong with the document, and with what was said.

use std::fmt;

use crate::Direction;

/// Characters of a payload that are shown, at most.
const SHOWN_CHARS_MAX: usize = 2000;

/// Why the document cannot be asked.
#[derive(Debug, thiserror::Error)]
pub enum DocumentError {
    /// It is no YAML.
    #[error("docs/asyncapi.yaml: {0}")]
    Yaml(#[from] serde_saphyr::Error),
    /// Something is not there, or of another kind.
    #[error("docs/asyncapi.yaml: {at}: {what}")]
    Form {
        /// JSON pointer.
        at: String,
        /// What is wrong there.
        what: String,
    },
}

impl DocumentError {
    pub(crate) fn form(at: impl Into<String>, what: impl fmt::Display) -> Self {
        Self::Form { at: at.into(), what: what.to_string() }
    }
}

/// What was said is not what the document says: topic, payload, and each rule that it breaks with the
/// place of that rule.
#[derive(Debug)]
pub struct Mismatch {
    pub(crate) direction: Direction,
    pub(crate) topic: String,
    pub(crate) payload: Vec<u8>,
    /// One a line.
    pub(crate) faults: Vec<String>,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { direction, topic, payload, faults } = self;
        let payload: String =
            String::from_utf8_lossy(payload).chars().take(SHOWN_CHARS_MAX).collect();
        write!(f, "not as docs/asyncapi.yaml has it: {topic} {direction}: {payload:?}")?;
        for fault in faults {
            write!(f, "\n  {fault}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Mismatch {}
