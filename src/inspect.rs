//! `bluetick inspect`: what is in the data directory of a stopped server.

use std::sync::Arc;

use bluetick_bridge::bridge::{message_ref, partition_of};
use bluetick_bridge::engine::{Chat, Entry, Member, PartitionNo, SessionKey};
use bluetick_bridge::store::{RocksKv, Store, StoreError};
use bluetick_protocol::{ChatId, Seq, UserId};
use serde_json::{Value, json};

use crate::Failure;
use crate::cli::Inspect;
use crate::config::Config;
use crate::data_dir::DataDir;
use crate::output;

/// Entries read from the store at once.
const ENTRIES_PER_READ: usize = 1024;

pub(crate) fn run(config: &Config, as_json: bool, what: Inspect) -> Result<(), Failure> {
    let data_dir = DataDir::take_existing(&config.data_dir)?;
    let kv = RocksKv::open(&data_dir.database(), config.store.clone()).map_err(failure)?;
    let (store, partitions) = Store::open(Arc::new(kv), config.partitions).map_err(failure)?;
    let inspector = Inspector { store, partitions, table: Table { as_json } };
    match what {
        Inspect::Chats => inspector.chats(),
        Inspect::Chat { name } => inspector.chat(&name),
        Inspect::User { name } => inspector.user(&name),
        Inspect::Device { user, device } => inspector.device(&user, &device),
    }
}

struct Inspector {
    store: Store,
    partitions: u16,
    table: Table,
}

/// Prints rows as columns or as JSON.
struct Table {
    as_json: bool,
}

impl Table {
    fn print(&self, columns: &[&str], rows: &[Vec<Value>]) -> Result<(), Failure> {
        if self.as_json {
            for row in rows {
                let object: serde_json::Map<String, Value> =
                    columns.iter().map(ToString::to_string).zip(row.iter().cloned()).collect();
                output::line(serde_json::to_string(&object).map_err(Failure::other)?)?;
            }
            return Ok(());
        }
        let text = |value: &Value| match value {
            Value::Null => "-".to_owned(),
            Value::String(text) => text.escape_debug().to_string(),
            other => other.to_string(),
        };
        let cells: Vec<Vec<String>> =
            rows.iter().map(|row| row.iter().map(text).collect()).collect();
        let width = |at: usize| {
            let cells = cells.iter().filter_map(|row| row.get(at)).map(|cell| cell.chars().count());
            cells.chain([columns[at].len()]).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns.len()).map(width).collect();
        let line = |cells: &[String]| {
            let cells = cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
            output::line(cells.collect::<Vec<_>>().join("  ").trim_end())
        };
        line(&columns.iter().map(ToString::to_string).collect::<Vec<_>>())?;
        cells.iter().try_for_each(|row| line(row))
    }

    /// Between two tables.
    fn gap(&self) -> Result<(), Failure> {
        if self.as_json { Ok(()) } else { output::line("") }
    }
}

impl Inspector {
    fn numbers(&self) -> impl Iterator<Item = PartitionNo> + use<> {
        (0..self.partitions).map(PartitionNo)
    }

    fn chats(&self) -> Result<(), Failure> {
        let mut rows = Vec::new();
        for partition in self.numbers() {
            let mut after = None;
            loop {
                let page = self.store.chats(partition, after).map_err(failure)?;
                let Some(last) = page.last() else { break };
                after = Some(*last);
                for no in page {
                    if let Some(chat) = self.store.chat(partition, no).map_err(failure)? {
                        rows.push(vec![
                            json!(chat.id),
                            json!(chat.info.title),
                            json!(chat.head),
                            json!(chat.members.iter().filter(|member| member.is_active()).count()),
                            json!(chat.last_at_ms),
                            json!(partition.0),
                        ]);
                    }
                }
            }
        }
        self.table.print(&["chat", "title", "head", "members", "last_at", "partition"], &rows)
    }

    fn find(&self, id: &ChatId) -> Result<(PartitionNo, Chat), Failure> {
        let partition = partition_of(id.as_str(), usize::from(self.partitions));
        let chat = self.store.chat_by_name(partition, id).map_err(failure)?;
        let chat = chat.ok_or_else(|| Failure::Other(format!("there is no chat {id}")))?;
        Ok((partition, chat))
    }

    fn chat(&self, name: &str) -> Result<(), Failure> {
        let id = ChatId::try_from(name).map_err(Failure::other)?;
        let (partition, chat) = self.find(&id)?;
        let info = &chat.info;
        self.table.print(
            &["title", "description", "picture", "admins_only", "ttl_s"],
            &[vec![
                json!(info.title),
                json!(info.description),
                json!(info.picture),
                json!(info.admins_only),
                json!(info.ttl_s),
            ]],
        )?;
        self.table.gap()?;
        self.members(&chat)?;
        self.table.gap()?;
        let mut from = Seq(1);
        let mut rows = Vec::new();
        loop {
            let read = self.store.entries(
                partition,
                chat.no,
                from,
                chat.head,
                ENTRIES_PER_READ,
                usize::MAX,
            );
            let entries = read.map_err(failure)?;
            let Some(last) = entries.last() else { break };
            from = last.seq.next();
            for entry in &entries {
                rows.push(row(&chat, entry)?);
            }
        }
        self.table.print(&["seq", "at", "from", "id", "type", "changes", "body"], &rows)
    }

    fn members(&self, chat: &Chat) -> Result<(), Failure> {
        let members = chat.members.iter();
        let rows: Vec<_> = members
            .map(|member| {
                vec![
                    json!(member.user),
                    json!(member.role),
                    json!(member.since),
                    json!(member.until),
                    json!(earlier(member)),
                    json!(member.marks.delivered),
                    json!(member.marks.read),
                    json!(member.muted_until_ms),
                    json!(member.blocks.is_some()),
                ]
            })
            .collect();
        let columns = [
            "member",
            "role",
            "since",
            "until",
            "earlier",
            "delivered",
            "read",
            "muted_until",
            "blocks",
        ];
        self.table.print(&columns, &rows)
    }

    fn user(&self, name: &str) -> Result<(), Failure> {
        let user = UserId::try_from(name).map_err(Failure::other)?;
        let home = partition_of(user.as_str(), usize::from(self.partitions));
        let kept = self.store.user(home, &user).map_err(failure)?;
        let seen = self.store.seen(home, &user).map_err(failure)?;
        let stored_bytes = self.store.stored(home, &user).map_err(failure)?;
        self.table.print(
            &["user", "name", "last_seen", "hides_presence", "hides_reading", "stored_bytes"],
            &[vec![
                json!(name),
                json!(kept.name),
                json!(seen.map(|seen| seen.at_ms)),
                json!(kept.hides_presence),
                json!(kept.hides_reading),
                json!(stored_bytes),
            ]],
        )?;
        self.table.gap()?;
        let mut rows = Vec::new();
        for partition in self.numbers() {
            for no in self.store.chats_of_user(partition, &user).map_err(failure)? {
                let Some(chat) = self.store.chat(partition, no).map_err(failure)? else { continue };
                let member = chat.member_index(&user).and_then(|index| chat.member(index));
                let Some(member) = member else { continue };
                rows.push(vec![
                    json!(chat.id),
                    json!(chat.head),
                    json!(member.marks.delivered),
                    json!(member.marks.read),
                    json!(member.cursors.len()),
                ]);
            }
        }
        self.table.print(&["chat", "head", "delivered", "read", "cursors"], &rows)
    }

    fn device(&self, user: &str, device: &str) -> Result<(), Failure> {
        let user = UserId::try_from(user).map_err(Failure::other)?;
        let key = SessionKey { user: user.clone(), device: device.into() };
        let home = partition_of(user.as_str(), usize::from(self.partitions));
        let session = self.store.session(home, &key).map_err(failure)?;
        let session = session
            .ok_or_else(|| Failure::Other(format!("{user} has no persistent session {device}")))?;
        let filters: Vec<_> =
            session.subscriptions.iter().map(|saved| saved.filter.to_string()).collect();
        self.table.print(
            &["device", "client", "expiry_s", "last_seen", "disconnected_at", "filters"],
            &[vec![
                json!(device),
                json!(session.client),
                json!(session.expiry_s),
                json!(session.last_seen_ms),
                json!(session.disconnected_at_ms),
                json!(filters.join(" ")),
            ]],
        )?;
        self.table.gap()?;
        let mut rows = Vec::new();
        for partition in self.numbers() {
            for no in self.store.chats_of_user(partition, &user).map_err(failure)? {
                let Some(chat) = self.store.chat(partition, no).map_err(failure)? else { continue };
                let member = chat.member_index(&user).and_then(|index| chat.member(index));
                let cursor = member.and_then(|member| member.cursor(&key.device, session.epoch));
                if let Some(cursor) = cursor {
                    rows.push(vec![
                        json!(chat.id),
                        json!(chat.head),
                        json!(cursor.seq),
                        json!(cursor.receipts),
                    ]);
                }
            }
        }
        self.table.print(&["chat", "head", "acknowledged", "receipts"], &rows)
    }
}

/// Memberships that have ended, as `first-last`.
fn earlier(member: &Member) -> Option<String> {
    let past = member.past.iter().map(|(first, last)| format!("{}-{}", first.0, last.0));
    let past = past.collect::<Vec<_>>();
    (!past.is_empty()).then(|| past.join(" "))
}

/// An entry as the members get it, a column a key.
fn row(chat: &Chat, entry: &Entry) -> Result<Vec<Value>, Failure> {
    let author = chat.member(entry.author);
    let author = author.ok_or_else(|| Failure::Other("an entry has no author".to_owned()))?;
    let message = message_ref(&chat.id, &author.user, entry);
    let mut out = Vec::new();
    message.write_json(&mut out);
    let value: Value = serde_json::from_slice(&out).map_err(Failure::other)?;
    let body = value.get("body").or_else(|| value.get("body_base64")).cloned();
    let body = value.get("event").cloned().or(body).unwrap_or_default();
    let key = |name: &str| value.get(name).cloned().unwrap_or_default();
    let changes = ["edit_of", "delete_of", "react_to", "deleted"];
    let changes = changes.iter().find_map(|name| Some(format!("{name} {}", value.get(name)?)));
    // Its author was blocked.
    let changes = changes.or_else(|| entry.hidden.then(|| "hidden".to_owned()));
    Ok(vec![key("seq"), key("at"), key("from"), key("id"), key("type"), json!(changes), body])
}

fn failure(error: StoreError) -> Failure {
    Failure::Other(format!("cannot read the store: {error}"))
}
