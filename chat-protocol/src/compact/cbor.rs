//! Maps of CBOR with integer keys, written and read; what is read is checked as far as CBOR goes.

use std::fmt::Display;

use minicbor::data::Type;
use minicbor::{Decoder, Encoder};

use super::Body;
use super::error::Error;
use super::key::Key;
use crate::names::UserId;

/// What a writer's error would be; there is none.
const INFALLIBLE: &str = "memory takes it";

/// A map with at most this many entries has a head of one byte.
const ENTRIES_MAX: u8 = 23;

/// The head of a map of no entries; the number is in its lower bits.
pub(super) const MAP_HEAD: u8 = 0xa0;

/// Appends one item.
pub(super) fn encoder(out: &mut Vec<u8>) -> Encoder<&mut Vec<u8>> {
    Encoder::new(out)
}

/// Appends an integer in its shortest form.
pub(super) fn write_number(out: &mut Vec<u8>, number: u64) {
    encoder(out).u64(number).expect(INFALLIBLE);
}

/// Appends an integer of either sign in its shortest form.
pub(super) fn write_integer(out: &mut Vec<u8>, integer: i64) {
    encoder(out).i64(integer).expect(INFALLIBLE);
}

/// Appends a text string.
pub(super) fn write_text(out: &mut Vec<u8>, text: &str) {
    encoder(out).str(text).expect(INFALLIBLE);
}

/// Appends a byte string.
pub(super) fn write_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    encoder(out).bytes(bytes).expect(INFALLIBLE);
}

/// Appends a boolean.
pub(super) fn write_bool(out: &mut Vec<u8>, value: bool) {
    encoder(out).bool(value).expect(INFALLIBLE);
}

/// Appends an array of names.
pub(super) fn write_users(out: &mut Vec<u8>, users: &[UserId]) {
    encoder(out).array(users.len() as u64).expect(INFALLIBLE);
    for user in users {
        write_text(out, user.as_str());
    }
}

/// Appends a map: its head is put right when its entries are known.
pub(super) fn write_map(out: &mut Vec<u8>, fill: impl FnOnce(&mut MapWriter<'_>)) {
    let head = out.len();
    out.push(MAP_HEAD);
    let mut map = MapWriter { out, entries: 0, next_key: 0 };
    fill(&mut map);
    let entries = map.entries;
    out[head] = MAP_HEAD | entries;
}

/// A map on its way out. Keys have to rise.
pub(super) struct MapWriter<'a> {
    out: &'a mut Vec<u8>,
    entries: u8,
    next_key: u8,
}

impl MapWriter<'_> {
    /// Writes the key; the value has to follow.
    pub(super) fn key(&mut self, key: u8) -> &mut Vec<u8> {
        debug_assert!(self.next_key <= key && self.entries < ENTRIES_MAX, "key {key} is too late");
        self.next_key = key + 1;
        self.entries += 1;
        write_number(self.out, u64::from(key));
        self.out
    }

    pub(super) fn number(&mut self, key: Key, number: u64) {
        write_number(self.key(key.number()), number);
    }

    pub(super) fn maybe_number(&mut self, key: Key, number: Option<u64>) {
        if let Some(number) = number {
            self.number(key, number);
        }
    }

    pub(super) fn text(&mut self, key: Key, text: &str) {
        write_text(self.key(key.number()), text);
    }

    pub(super) fn bytes(&mut self, key: Key, bytes: &[u8]) {
        write_bytes(self.key(key.number()), bytes);
    }

    pub(super) fn body(&mut self, body: Body<'_>) {
        match body {
            Body::Text(text) => self.text(Key::Body, text),
            Body::Bytes(bytes) => self.bytes(Key::Body, bytes),
        }
    }

    /// An array of names; nothing where there are none.
    pub(super) fn users(&mut self, key: Key, users: &[UserId]) {
        if !users.is_empty() {
            write_users(self.key(key.number()), users);
        }
    }
}

/// The keys of a map that have been read.
#[derive(Default)]
pub(super) struct Seen(u64);

/// A payload on its way in.
pub(super) struct Reader<'b>(Decoder<'b>);

impl<'b> Reader<'b> {
    pub(super) fn new(payload: &'b [u8]) -> Self {
        Self(Decoder::new(payload))
    }

    /// Nothing may be left.
    pub(super) fn finish(self) -> Result<(), Error> {
        if self.is_at_end() { Ok(()) } else { Err(Error::Trailing { at: self.0.position() }) }
    }

    /// What kind of item comes next.
    pub(super) fn kind(&self) -> Result<Type, Error> {
        self.0.datatype().map_err(|_| self.malformed())
    }

    /// The error for an item of the wrong kind.
    pub(super) fn wrong_kind(&self, what: impl Display, expected: &'static str) -> Error {
        match self.kind() {
            Ok(found) => Error::Kind { what: what.to_string(), expected, found: name(found) },
            Err(error) => error,
        }
    }

    pub(super) fn number(&mut self, what: impl Display) -> Result<u64, Error> {
        if !is_unsigned(self.kind()?) {
            return Err(self.wrong_kind(what, "an unsigned integer"));
        }
        self.0.u64().map_err(|_| self.malformed())
    }

    /// An integer of either sign.
    pub(super) fn integer(&mut self, what: impl Display) -> Result<i64, Error> {
        let kind = self.kind()?;
        if !is_unsigned(kind) && !is_negative(kind) {
            return Err(self.wrong_kind(what, "an integer"));
        }
        // One that does not fit is more than anything here can be.
        self.0.i64().map_err(|error| match error.is_end_of_input() {
            true => self.malformed(),
            false => Error::Beyond,
        })
    }

    /// Whether an unsigned integer comes next.
    pub(super) fn is_number(&self) -> bool {
        self.kind().is_ok_and(is_unsigned)
    }

    /// Whether nothing is left.
    pub(super) fn is_at_end(&self) -> bool {
        self.0.position() == self.0.input().len()
    }

    pub(super) fn bool(&mut self, what: impl Display) -> Result<bool, Error> {
        if self.kind()? != Type::Bool {
            return Err(self.wrong_kind(what, "true or false"));
        }
        self.0.bool().map_err(|_| self.malformed())
    }

    pub(super) fn text(&mut self, what: impl Display) -> Result<&'b str, Error> {
        if self.kind()? != Type::String {
            return Err(self.wrong_kind(what, "a text string"));
        }
        match self.0.str() {
            Ok(text) => Ok(text),
            Err(error) if error.is_end_of_input() => Err(self.malformed()),
            Err(_) => Err(Error::Utf8 { what: what.to_string() }),
        }
    }

    pub(super) fn bytes(&mut self, what: impl Display) -> Result<&'b [u8], Error> {
        if self.kind()? != Type::Bytes {
            return Err(self.wrong_kind(what, "a byte string"));
        }
        self.0.bytes().map_err(|_| self.malformed())
    }

    pub(super) fn user(&mut self, what: impl Display + Copy) -> Result<UserId, Error> {
        UserId::try_from(self.text(what)?)
            .map_err(|error| Error::Name { what: what.to_string(), error })
    }

    /// How many items an array says that it has. Nobody may reserve memory for so many: that they
    /// are there is seen only as they are read.
    pub(super) fn array(&mut self, what: impl Display) -> Result<u64, Error> {
        if self.kind()? != Type::Array {
            return Err(self.wrong_kind(what, "an array"));
        }
        self.0.array().ok().flatten().ok_or_else(|| self.malformed())
    }

    /// How many entries a map says that it has; as of an array's.
    pub(super) fn map(&mut self, what: impl Display) -> Result<u64, Error> {
        if self.kind()? != Type::Map {
            return Err(self.wrong_kind(what, "a map"));
        }
        self.0.map().ok().flatten().ok_or_else(|| self.malformed())
    }

    /// The next key of a map. That it is there twice is found for all keys below 64, and so for
    /// all that have a meaning.
    pub(super) fn key(&mut self, seen: &mut Seen) -> Result<u64, Error> {
        let key = self.number("a key of the map")?;
        let bit = u32::try_from(key).ok().and_then(|key| 1_u64.checked_shl(key)).unwrap_or(0);
        if seen.0 & bit != 0 {
            return Err(Error::Twice { key });
        }
        seen.0 |= bit;
        Ok(key)
    }

    /// As [`Reader::key`], but what is no unsigned integer is passed over together with its value.
    pub(super) fn key_or_skip(&mut self, seen: &mut Seen) -> Result<Option<u64>, Error> {
        if is_unsigned(self.kind()?) {
            return self.key(seen).map(Some);
        }
        self.skip()?;
        self.skip()?;
        Ok(None)
    }

    /// Passes over an item.
    pub(super) fn skip(&mut self) -> Result<(), Error> {
        self.0.skip().map_err(|_| self.malformed())
    }

    fn malformed(&self) -> Error {
        Error::Malformed { at: self.0.position() }
    }
}

pub(super) const fn is_unsigned(kind: Type) -> bool {
    matches!(kind, Type::U8 | Type::U16 | Type::U32 | Type::U64)
}

const fn is_negative(kind: Type) -> bool {
    matches!(kind, Type::I8 | Type::I16 | Type::I32 | Type::I64 | Type::Int)
}

/// What people call it.
const fn name(kind: Type) -> &'static str {
    match kind {
        Type::U8 | Type::U16 | Type::U32 | Type::U64 => "an unsigned integer",
        Type::I8 | Type::I16 | Type::I32 | Type::I64 | Type::Int => "a negative integer",
        Type::F16 | Type::F32 | Type::F64 => "a floating-point number",
        Type::Bool => "a boolean",
        Type::Null => "null",
        Type::Bytes => "a byte string",
        Type::String => "a text string",
        Type::Array => "an array",
        Type::Map => "a map",
        Type::BytesIndef | Type::StringIndef => "a string of indefinite length",
        Type::ArrayIndef => "an array of indefinite length",
        Type::MapIndef => "a map of indefinite length",
        Type::Tag => "a tagged item",
        Type::Undefined | Type::Simple | Type::Break | Type::Unknown(_) => "another item of CBOR",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_is_none_is_told_from_one_that_is_cut_off() {
        let what = "the payload";
        assert_eq!(Reader::new(b"\x62h\xff").text(what), Err(Error::Utf8 { what: what.into() }));
        for cut in [&b"\x62h"[..], b"\x78", b"\x7b\xff\xff\xff\xff\xff\xff\xff\xff", b""] {
            let error = Reader::new(cut).text(what).expect_err("cut off");
            assert!(matches!(error, Error::Malformed { .. }), "{cut:x?}: {error}");
        }
    }

    #[test]
    fn a_key_that_is_there_twice_is_found() {
        // 24 says that the number is in the next byte.
        let mut reader = Reader::new(&[0, 23, 24, 63, 23]);
        let mut seen = Seen::default();
        for key in [0, 23, 63] {
            assert_eq!(reader.key(&mut seen), Ok(key));
        }
        assert_eq!(reader.key(&mut seen), Err(Error::Twice { key: 23 }));
    }

    #[test]
    fn what_is_skipped_may_be_anything() {
        // [_ {1: [2, 3], "a": h''}, 4(0.5)], and after it a number.
        let bytes = b"\x9f\xa2\x01\x82\x02\x03\x61a\x40\xc4\xf9\x38\x00\xff\x07";
        let mut reader = Reader::new(bytes);
        assert_eq!((reader.skip(), reader.number("n")), (Ok(()), Ok(7)));
        assert_eq!(reader.finish(), Ok(()));
        assert!(Reader::new(&[0x9b; 64]).skip().is_err(), "great arrays of nothing");
    }
}
