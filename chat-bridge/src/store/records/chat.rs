//! Records of a chat beside its log: what is said of it, its members, how far they got.

use bincode::{Decode, Encode};
use bluetick_protocol::{ChatId, Seq};

use super::{RoleRecord, decode, encode, message_id, role, role_record, user};
use crate::engine::{Chat, ChatNo, Cursor, Info, Member, Watermarks};
use crate::store::kv::StoreError;

#[derive(Encode, Decode)]
struct ChatRecord {
    id: String,
    head: u64,
    version: u64,
    last_at_ms: u64,
    member_count: u32,
    has_info: bool,
    members: Vec<MemberRecord>,
}

#[derive(Encode, Decode)]
struct InfoRecord {
    title: Option<String>,
    description: Option<String>,
    picture: Option<String>,
    admins_only: bool,
    ttl_s: u32,
}

#[derive(Encode, Decode)]
struct MemberRecord {
    user: String,
    role: RoleRecord,
    since: u64,
    joined_tick: u64,
    until: Option<u64>,
    past: Vec<(u64, u64)>,
    marks: MarksRecord,
    receipts_told: u64,
    newest_id: Option<[u8; 16]>,
    newest_named: u64,
    unindexed: u8,
    last_sent: u64,
    cursors: Vec<CursorRecord>,
    muted_until_ms: Option<u64>,
    blocks: Option<MarksRecord>,
}

#[derive(Encode, Decode)]
struct MarksRecord {
    delivered: u64,
    read: u64,
    read_told: u64,
    at_ms: u64,
    version: u64,
    delivered_version: u64,
    read_version: u64,
    news: u64,
    delivered_news: u64,
}

#[derive(Encode, Decode)]
struct CursorRecord {
    device: String,
    epoch: u64,
    seq: Option<u64>,
    receipts: Option<u64>,
}

/// What a chat's record is made of.
pub(in crate::store) struct ChatFields<'a> {
    pub(in crate::store) id: &'a ChatId,
    pub(in crate::store) head: Seq,
    pub(in crate::store) version: u64,
    pub(in crate::store) last_at_ms: u64,
    pub(in crate::store) member_count: u32,
    pub(in crate::store) has_info: bool,
    pub(in crate::store) members: &'a [Member],
}

pub(in crate::store) fn encode_chat(chat: &ChatFields<'_>, out: &mut Vec<u8>) {
    let record = ChatRecord {
        id: chat.id.as_str().to_owned(),
        head: chat.head.0,
        version: chat.version,
        last_at_ms: chat.last_at_ms,
        member_count: chat.member_count,
        has_info: chat.has_info,
        members: chat.members.iter().map(member_record).collect(),
    };
    encode(&record, out);
}

/// The chat with the members of its first page, how many members it has in all, and whether there
/// is a record of what is said of it.
pub(in crate::store) fn decode_chat(
    no: ChatNo,
    bytes: &[u8],
) -> Result<(Chat, u32, bool), StoreError> {
    let record: ChatRecord = decode(bytes)?;
    let id = ChatId::try_from(record.id.as_str())
        .map_err(|_| StoreError::Corrupt("a chat's name is none"))?;
    let mut chat = Chat::new(no, id, Seq(record.head), record.version, record.last_at_ms);
    chat.extend_members(members(record.members)?);
    Ok((chat, record.member_count, record.has_info))
}

pub(in crate::store) fn encode_info(info: &Info, out: &mut Vec<u8>) {
    let record = InfoRecord {
        title: info.title.clone(),
        description: info.description.clone(),
        picture: info.picture.clone(),
        admins_only: info.admins_only,
        ttl_s: info.ttl_s,
    };
    encode(&record, out);
}

pub(in crate::store) fn decode_info(bytes: &[u8]) -> Result<Info, StoreError> {
    let InfoRecord { title, description, picture, admins_only, ttl_s } = decode(bytes)?;
    Ok(Info { title, description, picture, admins_only, ttl_s })
}

pub(in crate::store) fn encode_members(members: &[Member], out: &mut Vec<u8>) {
    encode(&members.iter().map(member_record).collect::<Vec<_>>(), out);
}

pub(in crate::store) fn decode_members(bytes: &[u8]) -> Result<Vec<Member>, StoreError> {
    members(decode(bytes)?)
}

fn member_record(member: &Member) -> MemberRecord {
    MemberRecord {
        user: member.user.as_str().to_owned(),
        role: role_record(member.role),
        since: member.since.0,
        joined_tick: member.joined_tick,
        until: member.until.map(|seq| seq.0),
        past: member.past.iter().map(|(first, last)| (first.0, last.0)).collect(),
        marks: marks_record(&member.marks),
        receipts_told: member.receipts_told,
        newest_id: member.newest_id.map(|id| *id.as_bytes()),
        newest_named: member.newest_named.0,
        unindexed: member.unindexed,
        last_sent: member.last_sent.0,
        cursors: member.cursors.iter().map(cursor_record).collect(),
        muted_until_ms: member.muted_until_ms,
        blocks: member.blocks.as_deref().map(marks_record),
    }
}

fn members(records: Vec<MemberRecord>) -> Result<Vec<Member>, StoreError> {
    records.into_iter().map(member).collect()
}

fn member(record: MemberRecord) -> Result<Member, StoreError> {
    let user = user(&record.user)?;
    let mut member = Member::new(user, role(record.role), Seq(record.since), record.joined_tick);
    member.until = record.until.map(Seq);
    member.past = record.past.into_iter().map(|(first, last)| (Seq(first), Seq(last))).collect();
    member.marks = marks(&record.marks);
    member.muted_until_ms = record.muted_until_ms;
    member.blocks = record.blocks.as_ref().map(|blocks| Box::new(marks(blocks)));
    member.receipts_told = record.receipts_told;
    member.newest_id = record.newest_id.map(message_id).transpose()?;
    member.newest_named = Seq(record.newest_named);
    member.unindexed = record.unindexed;
    member.last_sent = Seq(record.last_sent);
    member.cursors = record
        .cursors
        .into_iter()
        .map(|cursor| Cursor {
            device: cursor.device.into(),
            epoch: cursor.epoch,
            seq: cursor.seq.map(Seq),
            receipts: cursor.receipts,
        })
        .collect();
    Ok(member)
}

fn marks_record(marks: &Watermarks) -> MarksRecord {
    MarksRecord {
        delivered: marks.delivered.0,
        read: marks.read.0,
        read_told: marks.read_told.0,
        at_ms: marks.at_ms,
        version: marks.version,
        delivered_version: marks.delivered_version,
        read_version: marks.read_version,
        news: marks.news,
        delivered_news: marks.delivered_news,
    }
}

fn marks(record: &MarksRecord) -> Watermarks {
    Watermarks {
        delivered: Seq(record.delivered),
        read: Seq(record.read),
        read_told: Seq(record.read_told),
        at_ms: record.at_ms,
        version: record.version,
        delivered_version: record.delivered_version,
        read_version: record.read_version,
        news: record.news,
        delivered_news: record.delivered_news,
    }
}

fn cursor_record(cursor: &Cursor) -> CursorRecord {
    CursorRecord {
        device: cursor.device.to_string(),
        epoch: cursor.epoch,
        seq: cursor.seq.map(|seq| seq.0),
        receipts: cursor.receipts,
    }
}
