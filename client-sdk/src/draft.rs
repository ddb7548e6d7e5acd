//! A message that is not sent yet.

use std::time::Duration;

use bluetick_protocol::{MENTIONS_MAX, Seq, TTL_S_MAX, UserId, check_content_type};
use serde::{Deserialize, Serialize};

use crate::error::Error;

/// What to send: a body, and what is to be said of it. Made of a text or of bytes:
///
/// ```
/// use std::time::Duration;
/// use bluetick_client::{Draft, Seq};
///
/// let plain: Draft = "hi".into();
/// let more = Draft::text("*hi*").content_type("text/markdown").reply_to(Seq(3)).ttl(Duration::from_secs(3600));
/// # let _both = (plain, more);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    pub(crate) header: Header,
    pub(crate) body: Vec<u8>,
    pub(crate) give_up: Option<Duration>,
}

/// All of a draft that is stored beside its body.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Header {
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub(crate) content_type: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) reply_to: Option<Seq>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) mentions: Vec<UserId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ttl_s: Option<u32>,
}

impl Draft {
    /// A text, `text/plain`.
    #[must_use]
    pub fn text(text: impl Into<String>) -> Self {
        Self::bytes(text.into().into_bytes())
    }

    /// Bytes of any kind: `text/plain` where they are UTF-8, else `application/octet-stream`, unless
    /// [`Draft::content_type`] says something else.
    #[must_use]
    pub fn bytes(body: impl Into<Vec<u8>>) -> Self {
        Self { header: Header::default(), body: body.into(), give_up: None }
    }

    /// What the body is: 1 to 127 bytes, such as `image/png`.
    #[must_use]
    pub fn content_type(mut self, content_type: impl Into<String>) -> Self {
        self.header.content_type = Some(content_type.into());
        self
    }

    /// The message that it answers.
    #[must_use]
    pub fn reply_to(mut self, seq: Seq) -> Self {
        self.header.reply_to = Some(seq);
        self
    }

    /// One whom it mentions; at most 64.
    #[must_use]
    pub fn mention(mut self, user: UserId) -> Self {
        self.header.mentions.push(user);
        self
    }

    /// How long it lives once it is sent, in whole seconds (at least one, at most ten years): the server
    /// forgets it then.
    #[must_use]
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.header.ttl_s = Some(u32::try_from(ttl.as_secs()).unwrap_or(u32::MAX));
        self
    }

    /// How long it may wait in the outbox, by the wall clock. If it could not be sent by then, it is not
    /// sent: its [`Pending`](crate::Pending) says [`ErrorKind::Expired`](crate::ErrorKind::Expired). A
    /// message that is under way when the time is over is not taken back.
    #[must_use]
    pub fn give_up_after(mut self, wait: Duration) -> Self {
        self.give_up = Some(wait);
        self
    }

    /// What the server would refuse anyway is said before it waits in the outbox.
    pub(crate) fn check(&self) -> Result<(), Error> {
        if let Some(content_type) = &self.header.content_type {
            check_content_type(content_type).map_err(|error| Error::invalid(error.to_string()))?;
        }
        if self.header.reply_to == Some(Seq::ZERO) {
            return Err(Error::invalid("'reply_to' has to be the seq of a message: 1 or greater"));
        }
        if self.header.mentions.len() > MENTIONS_MAX {
            return Err(Error::invalid(format!("a message mentions at most {MENTIONS_MAX} users")));
        }
        if self.header.ttl_s.is_some_and(|ttl_s| !(1..=TTL_S_MAX).contains(&ttl_s)) {
            return Err(Error::invalid(format!("a ttl has 1 to {TTL_S_MAX} seconds")));
        }
        Ok(())
    }
}

impl From<&str> for Draft {
    fn from(text: &str) -> Self {
        Self::text(text)
    }
}

impl From<String> for Draft {
    fn from(text: String) -> Self {
        Self::text(text)
    }
}

impl From<Vec<u8>> for Draft {
    fn from(body: Vec<u8>) -> Self {
        Self::bytes(body)
    }
}

impl From<&[u8]> for Draft {
    fn from(body: &[u8]) -> Self {
        Self::bytes(body)
    }
}
