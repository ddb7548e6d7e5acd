//! Every stored value, in one place: a version byte, then bincode.
//!
//! The records are types of their own and not the engine's: the engine may change, what is on
//! disk may not. `tests/golden.rs` holds the bytes still.

mod chat;
mod log;
pub(super) mod plain;
mod user;

pub(super) use chat::{
    ChatFields, decode_chat, decode_info, decode_members, encode_chat, encode_info, encode_members,
};
pub(super) use log::{
    decode_amendments, decode_entry, decode_entry_head, encode_amendments, encode_entry,
};
pub(super) use user::{
    decode_answer, decode_seen, decode_session, decode_user, encode_answer, encode_seen,
    encode_session, encode_user,
};

use bincode::config::{Configuration, Limit, LittleEndian, Varint, standard};
use bincode::{BorrowDecode, Decode, Encode};
use bluetick_protocol::{MessageId, Role, Seq, UserId};

use super::kv::StoreError;
use crate::engine::{ChatNo, Counters};

/// The version of the whole layout; a database with another one is not opened.
pub const SCHEMA_VERSION: u32 = 4;

const RECORD_VERSION: u8 = 1;

/// What the lengths in a record may claim, bytes in memory: above the largest packet of MQTT, and
/// so above every body. Without it a length that lies is a panic, or all of the memory.
const CLAIMED_BYTES_MAX: usize = 512 << 20;

const CONFIG: Configuration<LittleEndian, Varint, Limit<CLAIMED_BYTES_MAX>> =
    standard().with_limit::<CLAIMED_BYTES_MAX>();

#[derive(Encode, Decode)]
enum RoleRecord {
    Owner,
    Admin,
    Member,
}

#[derive(Encode, Decode)]
struct CountersRecord {
    next_chat: u64,
    tick: u64,
}

#[derive(Encode, Decode)]
struct SchemaRecord {
    version: u32,
    partitions: u16,
}

pub(super) fn encode_id(seq: Seq, out: &mut Vec<u8>) {
    encode(&seq.0, out);
}

pub(super) fn decode_id(bytes: &[u8]) -> Result<Seq, StoreError> {
    decode(bytes).map(Seq)
}

pub(super) fn encode_chat_no(no: ChatNo, out: &mut Vec<u8>) {
    encode(&no.0, out);
}

pub(super) fn decode_chat_no(bytes: &[u8]) -> Result<ChatNo, StoreError> {
    decode(bytes).map(ChatNo)
}

pub(super) fn encode_stored(bytes: i64, out: &mut Vec<u8>) {
    encode(&bytes, out);
}

pub(super) fn decode_stored(bytes: &[u8]) -> Result<i64, StoreError> {
    decode(bytes)
}

pub(super) fn encode_time(at_ms: u64, out: &mut Vec<u8>) {
    encode(&at_ms, out);
}

pub(super) fn decode_time(bytes: &[u8]) -> Result<u64, StoreError> {
    decode(bytes)
}

pub(super) fn encode_counters(counters: &Counters, out: &mut Vec<u8>) {
    encode(&CountersRecord { next_chat: counters.next_chat, tick: counters.tick }, out);
}

pub(super) fn decode_counters(bytes: &[u8]) -> Result<Counters, StoreError> {
    let record: CountersRecord = decode(bytes)?;
    Ok(Counters { next_chat: record.next_chat, tick: record.tick })
}

pub(super) fn encode_schema(partitions: u16, out: &mut Vec<u8>) {
    encode(&SchemaRecord { version: SCHEMA_VERSION, partitions }, out);
}

/// The schema version and the number of partitions.
pub(super) fn decode_schema(bytes: &[u8]) -> Result<(u32, u16), StoreError> {
    let record: SchemaRecord = decode(bytes)?;
    Ok((record.version, record.partitions))
}

fn encode(record: &impl Encode, out: &mut Vec<u8>) {
    out.push(RECORD_VERSION);
    bincode::encode_into_std_write(record, out, CONFIG).expect("a Vec takes every record");
}

fn content(bytes: &[u8]) -> Result<&[u8], StoreError> {
    match bytes.split_first() {
        Some((&RECORD_VERSION, content)) => Ok(content),
        Some(_) => Err(StoreError::Corrupt("a record has a version this program does not know")),
        None => Err(StoreError::Corrupt("a record is empty")),
    }
}

fn decode<T: Decode<()>>(bytes: &[u8]) -> Result<T, StoreError> {
    let (record, read) = bincode::decode_from_slice(content(bytes)?, CONFIG)
        .map_err(|_| StoreError::Corrupt("a record cannot be decoded"))?;
    whole(record, read, bytes)
}

fn borrow_decode<'a, T: BorrowDecode<'a, ()>>(bytes: &'a [u8]) -> Result<T, StoreError> {
    let (record, read) = bincode::borrow_decode_from_slice(content(bytes)?, CONFIG)
        .map_err(|_| StoreError::Corrupt("a record cannot be decoded"))?;
    whole(record, read, bytes)
}

fn whole<T>(record: T, read: usize, bytes: &[u8]) -> Result<T, StoreError> {
    if read + 1 == bytes.len() {
        Ok(record)
    } else {
        Err(StoreError::Corrupt("a record has more bytes than it should"))
    }
}

fn role_record(role: Role) -> RoleRecord {
    match role {
        Role::Owner => RoleRecord::Owner,
        Role::Admin => RoleRecord::Admin,
        Role::Member => RoleRecord::Member,
    }
}

fn role(record: RoleRecord) -> Role {
    match record {
        RoleRecord::Owner => Role::Owner,
        RoleRecord::Admin => Role::Admin,
        RoleRecord::Member => Role::Member,
    }
}

fn user(name: &str) -> Result<UserId, StoreError> {
    UserId::try_from(name).map_err(|_| StoreError::Corrupt("a user's name is none"))
}

fn message_id(bytes: [u8; 16]) -> Result<MessageId, StoreError> {
    MessageId::from_bytes(bytes).ok_or(StoreError::Corrupt("a message id is nil"))
}

#[cfg(test)]
mod tests {
    use super::{RECORD_VERSION, decode};

    /// As it comes from a disk that has lost its mind.
    #[test]
    fn a_length_that_lies_is_an_error() {
        for lie in [u64::MAX, u64::MAX >> 8, 1 << 40, 1 << 30] {
            let mut record = vec![RECORD_VERSION, 0xFD];
            record.extend(lie.to_le_bytes());
            assert!(decode::<Vec<u64>>(&record).is_err(), "{lie} numbers");
            assert!(decode::<Vec<u8>>(&record).is_err(), "{lie} bytes");
            assert!(decode::<String>(&record).is_err(), "{lie} characters");
        }
    }
}
