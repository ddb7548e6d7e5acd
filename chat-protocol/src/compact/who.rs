//! Users where the topic tells who it is: left out is the other of a direct chat, 0 is the reader.

use super::cbor::{MapWriter, Reader, is_unsigned, write_number, write_text};
use super::error::Error;
use super::key::Key;
use crate::names::{ChatId, UserId};

/// For whom something is written: what he knows beforehand need not be said.
#[derive(Clone, Copy)]
pub(super) struct Reading<'a> {
    pub(super) chat: &'a ChatId,
    pub(super) reader: &'a UserId,
}

impl Reading<'_> {
    /// Whether `user` is left out: he is the other of the reader's direct chat.
    pub(super) fn is_implied(self, user: &UserId) -> bool {
        user != self.reader && self.chat.names(user) && self.chat.names(self.reader)
    }

    pub(super) fn write(self, map: &mut MapWriter<'_>, user: &UserId) {
        if self.is_implied(user) {
            return;
        }
        let out = map.key(Key::From.number());
        if user == self.reader {
            write_number(out, 0);
        } else {
            write_text(out, user.as_str());
        }
    }

    /// Reads the value of [`Key::From`].
    pub(super) fn read(self, reader: &mut Reader<'_>) -> Result<UserId, Error> {
        if !is_unsigned(reader.kind()?) {
            return reader.user(Key::From);
        }
        match reader.number(Key::From)? {
            0 => Ok(self.reader.clone()),
            _ => Err(Error::Who { what: Key::From.to_string() }),
        }
    }

    /// Who it is where nothing was said.
    pub(super) fn implied(self) -> Result<UserId, Error> {
        match self.chat.direct_members() {
            Some((first, second)) if first == *self.reader => Ok(second),
            Some((first, second)) if second == *self.reader => Ok(first),
            _ => Err(Error::Missing { what: Key::From.to_string() }),
        }
    }
}
