//! What the engine's writes mean in keys and records.

use super::kv::{KvBatch, Table};
use super::{keys, records};
use crate::engine::{Amendments, PartitionNo, Write};

/// Adds what a write means in keys and records.
pub(super) fn write(partition: PartitionNo, write: &Write, batch: &mut KvBatch) {
    match write {
        Write::Entry { chat, entry } => {
            let key = keys::entry(partition, *chat, entry.seq);
            batch.put(Table::Log, &key, |out| records::encode_entry(entry, out));
            if let Some(at_ms) = entry.expires_at_ms {
                let key = keys::expiring(partition, at_ms, *chat, entry.seq);
                batch.put(Table::State, &key, |_| ());
            }
        }
        Write::Erase { chat, entry } => {
            let key = keys::entry(partition, *chat, entry.seq);
            batch.put(Table::Log, &key, |out| records::encode_entry(entry, out));
            if let Some(at_ms) = entry.expires_at_ms {
                let key = keys::expiring(partition, at_ms, *chat, entry.seq);
                batch.delete(Table::State, &key);
            }
        }
        Write::Amendments { chat, seq, amendments } => {
            let key = keys::amendments(partition, *chat, *seq);
            if *amendments == Amendments::default() {
                batch.delete(Table::State, &key);
            } else {
                batch.put(Table::State, &key, |out| records::encode_amendments(amendments, out));
            }
        }
        Write::Id { id, chat, author, in_order, seq } => {
            let key = keys::id(partition, *chat, *author, *in_order, *id);
            batch.put(Table::Ids, &key, |out| records::encode_id(*seq, out));
        }
        Write::ChatName { id, no } => {
            let key = keys::chat_name(partition, id);
            batch.put(Table::State, &key, |out| records::encode_chat_no(*no, out));
        }
        Write::ChatOfUser { user, no } => {
            batch.put(Table::State, &keys::chat_of_user(partition, user, *no), |_| ());
        }
        Write::Chat { no, id, head, version, last_at_ms, member_count, has_info, members } => {
            let fields = records::ChatFields {
                id,
                head: *head,
                version: *version,
                last_at_ms: *last_at_ms,
                member_count: *member_count,
                has_info: *has_info,
                members,
            };
            batch.put(Table::State, &keys::chat(partition, *no), |out| {
                records::encode_chat(&fields, out);
            });
        }
        Write::ChatInfo { no, info } => {
            batch.put(Table::State, &keys::chat_info(partition, *no), |out| {
                records::encode_info(info, out);
            });
        }
        Write::Answer { key, answer } => {
            let key = keys::answer(partition, key);
            match answer {
                Some(answer) => {
                    batch.put(Table::State, &key, |out| records::encode_answer(answer, out));
                }
                None => batch.delete(Table::State, &key),
            }
        }
        Write::MemberPage { no, page, members } => {
            let key = keys::member_page(partition, *no, *page);
            batch.put(Table::State, &key, |out| records::encode_members(members, out));
        }
        Write::User { id, user } => {
            let key = keys::user(partition, id);
            batch.put(Table::State, &key, |out| records::encode_user(user, out));
        }
        Write::Stored { user, bytes } => {
            let key = keys::stored(partition, user);
            batch.put(Table::State, &key, |out| records::encode_stored(*bytes, out));
        }
        Write::Seen { user, seen } => {
            let key = keys::seen(partition, user);
            batch.put(Table::State, &key, |out| records::encode_seen(*seen, out));
        }
        Write::Alive { at_ms } => {
            let key = keys::alive(partition);
            batch.put(Table::State, &key, |out| records::encode_time(*at_ms, out));
        }
        Write::Session { key, session } => {
            let key = keys::session(partition, key);
            match session {
                Some(session) => {
                    batch.put(Table::State, &key, |out| records::encode_session(session, out));
                }
                None => batch.delete(Table::State, &key),
            }
        }
        Write::Counters(counters) => {
            let key = keys::counters(partition);
            batch.put(Table::State, &key, |out| records::encode_counters(counters, out));
        }
    }
}
