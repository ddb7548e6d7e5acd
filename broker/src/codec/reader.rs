//! The primitives of MQTT (MQTT 5 §1.5), read from a complete packet.

use super::DecodeError;

/// What is left of a packet, or of one section of it.
#[derive(Debug, Clone)]
pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The number of bytes that are left.
    pub(super) const fn len(&self) -> usize {
        self.rest.len()
    }

    /// All that is left.
    pub(super) const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Fails where something is left.
    pub(super) fn finish(&self) -> Result<(), DecodeError> {
        if self.is_empty() {
            return Ok(());
        }
        Err(DecodeError::malformed("bytes after the content of the packet"))
    }

    pub(super) fn take(&mut self, len: usize) -> Result<&'a [u8], DecodeError> {
        let Some((taken, rest)) = self.rest.split_at_checked(len) else {
            return Err(DecodeError::malformed("the packet ends too early"));
        };
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    pub(super) fn u8(&mut self) -> Result<u8, DecodeError> {
        self.array().map(u8::from_be_bytes)
    }

    pub(super) fn u16(&mut self) -> Result<u16, DecodeError> {
        self.array().map(u16::from_be_bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32, DecodeError> {
        self.array().map(u32::from_be_bytes)
    }

    /// A packet identifier: 0 is none.
    pub(super) fn packet_id(&mut self) -> Result<u16, DecodeError> {
        match self.u16()? {
            0 => Err(DecodeError::protocol("packet id 0")),
            id => Ok(id),
        }
    }

    /// A variable byte integer; the shortest form is demanded.
    pub(super) fn var_int(&mut self) -> Result<u32, DecodeError> {
        let Some(VarInt { value, bytes, is_minimal }) = var_int(self.rest)? else {
            return Err(DecodeError::malformed("the packet ends within a number"));
        };
        if !is_minimal {
            return Err(DecodeError::malformed("a number in more bytes than needed"));
        }
        self.take(bytes)?;
        Ok(value)
    }

    /// Binary data with its length before it.
    pub(super) fn binary(&mut self) -> Result<&'a [u8], DecodeError> {
        let len = self.u16()?;
        self.take(usize::from(len))
    }

    /// A string with its length before it: well-formed UTF-8 without NUL.
    pub(super) fn text(&mut self) -> Result<&'a str, DecodeError> {
        let Ok(text) = std::str::from_utf8(self.binary()?) else {
            return Err(DecodeError::malformed("a string is not utf-8"));
        };
        if text.contains('\0') {
            return Err(DecodeError::malformed("a string has a nul character"));
        }
        Ok(text)
    }
}

/// A variable byte integer as it was found.
#[derive(Debug)]
pub(super) struct VarInt {
    pub(super) value: u32,
    pub(super) bytes: usize,
    pub(super) is_minimal: bool,
}

/// The variable byte integer at the front of `bytes`; `None` where it is not complete.
pub(super) fn var_int(bytes: &[u8]) -> Result<Option<VarInt>, DecodeError> {
    let mut value = 0;
    for (index, &byte) in bytes.iter().take(4).enumerate() {
        value |= u32::from(byte & 0x7F) << (7 * index);
        if byte & 0x80 == 0 {
            let is_minimal = index == 0 || byte != 0;
            return Ok(Some(VarInt { value, bytes: index + 1, is_minimal }));
        }
    }
    if bytes.len() >= 4 {
        return Err(DecodeError::malformed("a length or number of more than four bytes"));
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::{Reader, var_int};

    #[test]
    fn a_number_is_four_bytes_at_most_and_as_short_as_can_be() {
        let read = |bytes: &[u8]| Reader::new(bytes).var_int().ok();
        assert_eq!(read(&[0]), Some(0));
        assert_eq!(read(&[0x80, 1]), Some(128));
        assert_eq!(read(&[0xFF, 0xFF, 0xFF, 0x7F]), Some(268_435_455));
        assert_eq!(read(&[0x80, 0]), None);
        assert_eq!(read(&[0x80, 0x80, 0x80, 0x80, 1]), None);
        assert_eq!(read(&[0x80]), None);
        assert!(var_int(&[0x80, 0x80, 0x80]).is_ok_and(|read| read.is_none()));
        assert!(var_int(&[0x80, 0x80, 0x80, 0x80]).is_err());
    }
}
