//! What was said before, for when there is no server: a redb file.
//!
//! It is a cache: what is not in it is read from the server again. A file that is damaged, or of another
//! version of this program, is made anew. A thread of its own writes it; whatever was handed over meanwhile
//! goes into one commit.

use std::collections::BTreeMap;
use std::path::Path;
use std::thread::JoinHandle;

use bluetick_client::{ChatId, Seq, UserId};
use redb::{Database, DatabaseError, ReadableTable, TableDefinition};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use crate::Failure;
use crate::app::{Conversation, Covered, Editor, Entry, Purpose, What};

const ABOUT: TableDefinition<'_, &str, &str> = TableDefinition::new("about");
const CHATS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("chats");
const ENTRIES: TableDefinition<'_, (&str, u64), &[u8]> = TableDefinition::new("entries");

/// Of the records; another one's file is made anew.
const VERSION: &str = "1";

/// Entries of a chat that are kept from one run to the next.
const ENTRIES_MAX: usize = 500;

/// Chats that are kept from one run to the next: those in which something was said last.
const CHATS_MAX: usize = 200;

/// What may wait for the thread; a further one waits for room.
const OPS_MAX: usize = 256;

/// Bytes of the file that are kept in memory.
const CACHE_BYTES: usize = 4 << 20;

/// What is kept of a chat beside its entries.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Kept {
    chat: ChatId,
    title: Option<String>,
    covered: Covered,
    head: Seq,
    read: Seq,
    last_at_ms: u64,
    muted_until_ms: u64,
    watermarks: BTreeMap<UserId, (Seq, Seq)>,
    draft: String,
}

#[derive(Debug)]
enum Op {
    Entry(Box<Entry>),
    Chat(Box<Kept>),
    Erase(ChatId, Seq),
}

/// The handle of the thread that writes.
#[derive(Debug)]
pub(crate) struct Cache {
    ops: mpsc::Sender<Op>,
    thread: JoinHandle<()>,
}

impl Kept {
    pub(crate) fn of(conversation: &Conversation) -> Self {
        Self {
            chat: conversation.chat.clone(),
            title: conversation.title.clone(),
            covered: conversation.covered.clone(),
            head: conversation.head,
            read: conversation.read,
            last_at_ms: conversation.last_at_ms,
            muted_until_ms: conversation.muted_until_ms,
            watermarks: conversation.watermarks.clone(),
            draft: match conversation.purpose {
                // It is about a message, and would be sent as one.
                Purpose::Edit(_) => String::new(),
                _ => conversation.draft.text().to_owned(),
            },
        }
    }

    fn conversation(self) -> Conversation {
        let mut conversation = Conversation::new(self.chat);
        conversation.title = self.title;
        conversation.covered = self.covered;
        conversation.head = self.head;
        conversation.read = self.read;
        conversation.last_at_ms = self.last_at_ms;
        conversation.muted_until_ms = self.muted_until_ms;
        conversation.watermarks = self.watermarks;
        conversation.draft = Editor::new(&self.draft);
        // How many are unread nobody has told yet: what is here is counted.
        conversation.told = (self.read, 0, self.read);
        conversation
    }
}

impl Cache {
    /// Opens or makes the file, forgets what is too much, and gives what is there. Blocks.
    pub(crate) fn open(
        path: &Path,
        me: &UserId,
        now_ms: u64,
    ) -> Result<(Self, Vec<Conversation>), Failure> {
        let read = open(path).and_then(|database| {
            let conversations = load(&database, me, now_ms).map_err(|error| error.to_string())?;
            Ok((database, conversations))
        });
        let (database, conversations) = match read {
            Ok(read) => read,
            Err(why) if why == IN_USE => return Err(Failure::Other(why)),
            // Damaged, or of another version: it is a cache.
            Err(_) => {
                std::fs::remove_file(path).map_err(Failure::other)?;
                (open(path).map_err(Failure::Other)?, Vec::new())
            }
        };
        let (sender, receiver) = mpsc::channel(OPS_MAX);
        let thread = std::thread::Builder::new().name("cache".to_owned());
        let thread =
            thread.spawn(move || write_all(&database, receiver)).map_err(Failure::other)?;
        Ok((Self { ops: sender, thread }, conversations))
    }

    pub(crate) async fn keep(&self, entry: Entry) {
        self.hand_over(Op::Entry(Box::new(entry))).await;
    }

    pub(crate) async fn keep_chat(&self, kept: Kept) {
        self.hand_over(Op::Chat(Box::new(kept))).await;
    }

    /// Takes a message out, and what it was edited into.
    pub(crate) async fn erase(&self, chat: ChatId, seq: Seq) {
        self.hand_over(Op::Erase(chat, seq)).await;
    }

    async fn hand_over(&self, op: Op) {
        // If the thread has ended, it has said why; the program goes on without a cache.
        let _kept = self.ops.send(op).await;
    }

    /// Writes what is left. Blocks.
    pub(crate) fn close(self) {
        drop(self.ops);
        // A panic of the thread was told on standard error.
        let _ended = self.thread.join();
    }
}

const IN_USE: &str = "another `bluetick chat` of this account runs on this machine; \
                      --state-dir names another place for a second one";

fn open(path: &Path) -> Result<Database, String> {
    let opened = Database::builder().set_cache_size(CACHE_BYTES).create(path);
    let database = opened.map_err(|error| match error {
        DatabaseError::DatabaseAlreadyOpen => IN_USE.to_owned(),
        error => error.to_string(),
    })?;
    let prepare = || -> Result<bool, redb::Error> {
        let write = database.begin_write()?;
        let is_ours;
        {
            let mut about = write.open_table(ABOUT)?;
            let version = about.get("version")?.map(|version| version.value().to_owned());
            is_ours = version.as_deref().is_none_or(|version| version == VERSION);
            about.insert("version", VERSION)?;
            write.open_table(CHATS)?;
            write.open_table(ENTRIES)?;
        }
        if is_ours {
            write.commit()?;
        }
        Ok(is_ours)
    };
    match prepare() {
        Ok(true) => Ok(database),
        Ok(false) => Err("of another version".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

fn load(database: &Database, me: &UserId, now_ms: u64) -> Result<Vec<Conversation>, redb::Error> {
    let write = database.begin_write()?;
    let mut conversations = Vec::new();
    {
        let mut chats = write.open_table(CHATS)?;
        let mut entries = write.open_table(ENTRIES)?;
        let mut kept = Vec::new();
        for record in chats.iter()? {
            let (_, record) = record?;
            // What is no record of this version is as if it were not there.
            kept.extend(serde_json::from_slice::<Kept>(record.value()).ok());
        }
        kept.sort_by_key(|kept: &Kept| std::cmp::Reverse(kept.last_at_ms));
        for (at, kept) in kept.into_iter().enumerate() {
            let name = kept.chat.as_str().to_owned();
            let max = if at < CHATS_MAX { ENTRIES_MAX } else { 0 };
            if max == 0 {
                chats.remove(name.as_str())?;
            }
            let mut places = Vec::new();
            for record in entries.range((name.as_str(), 0)..=(name.as_str(), u64::MAX))? {
                places.push(record?.0.value().1);
            }
            let first = places.len().saturating_sub(max);
            for place in places.drain(..first) {
                entries.remove((name.as_str(), place))?;
            }
            if max == 0 {
                continue;
            }
            let mut conversation = kept.conversation();
            if first > 0 {
                conversation.covered.forget_before(places.first().copied().unwrap_or(u64::MAX));
            }
            for place in places {
                let record = entries.get((name.as_str(), place))?;
                let entry = record.and_then(|it| serde_json::from_slice::<Entry>(it.value()).ok());
                match entry.filter(|entry| !entry.is_expired(now_ms)) {
                    Some(entry) => drop(conversation.add(entry, me)),
                    None => drop(entries.remove((name.as_str(), place))?),
                }
            }
            conversations.push(conversation);
        }
    }
    write.commit()?;
    Ok(conversations)
}

fn write_all(database: &Database, mut ops: mpsc::Receiver<Op>) {
    let mut batch = Vec::new();
    while ops.blocking_recv_many(&mut batch, OPS_MAX) > 0 {
        // Off the screen's way: told once the screen is given back. The next batch may succeed.
        if let Err(error) = write(database, &batch) {
            crate::screen::say_at_end(format!("the cache of what was said: {error}"));
        }
        batch.clear();
    }
}

fn write(database: &Database, batch: &[Op]) -> Result<(), redb::Error> {
    let json = |value: Result<Vec<u8>, serde_json::Error>| {
        value.expect("names, numbers and texts have a JSON form")
    };
    let write = database.begin_write()?;
    {
        let mut chats = write.open_table(CHATS)?;
        let mut entries = write.open_table(ENTRIES)?;
        for op in batch {
            match op {
                Op::Entry(entry) => {
                    let record = json(serde_json::to_vec(entry));
                    entries.insert((entry.chat.as_str(), entry.seq.0), record.as_slice())?;
                }
                Op::Chat(kept) => {
                    let record = json(serde_json::to_vec(kept));
                    chats.insert(kept.chat.as_str(), record.as_slice())?;
                }
                Op::Erase(chat, seq) => erase(&mut entries, chat, *seq)?,
            }
        }
    }
    write.commit()?;
    Ok(())
}

fn erase(
    entries: &mut redb::Table<'_, (&str, u64), &[u8]>,
    chat: &ChatId,
    seq: Seq,
) -> Result<(), redb::Error> {
    let mut gone = Vec::new();
    for record in entries.range((chat.as_str(), seq.0)..=(chat.as_str(), u64::MAX))? {
        let (key, record) = record?;
        let entry = serde_json::from_slice::<Entry>(record.value()).ok();
        let of = entry.and_then(|entry| match entry.what {
            What::Edit { of, .. } => Some(of),
            _ => None,
        });
        if key.value().1 == seq.0 || of == Some(seq) {
            gone.push((key.value().1, record.value().to_vec()));
        }
    }
    for (place, record) in gone {
        match serde_json::from_slice::<Entry>(&record) {
            // That there was something stays.
            Ok(entry) if place == seq.0 && !entry.is_expired(u64::MAX) => {
                let entry = Entry { what: What::Gone, ..entry };
                let record =
                    serde_json::to_vec(&entry).expect("names and numbers have a JSON form");
                entries.insert((chat.as_str(), place), record.as_slice())?;
            }
            _ => drop(entries.remove((chat.as_str(), place))?),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(seq: u64, text: &str) -> Entry {
        let (chat, from) = (ChatId::try_from("alice~bob"), UserId::try_from("bob"));
        let what = What::Text { text: text.to_owned(), reply_to: None };
        let (chat, from) = (chat.expect("a chat"), from.expect("a user"));
        Entry { chat, seq: Seq(seq), id: None, from, at_ms: seq, expires_at_ms: None, what }
    }

    /// Writes, and reads in a second run.
    async fn reopened(path: &Path, entries: Vec<Entry>, erased: Option<Seq>) -> Vec<Conversation> {
        let me = UserId::try_from("alice").expect("a user");
        let (cache, _) = Cache::open(path, &me, 0).expect("opened");
        let mut conversation = Conversation::new(ChatId::try_from("alice~bob").expect("a chat"));
        for entry in entries {
            conversation.covered.add(entry.seq.0, entry.seq.0);
            conversation.add(entry.clone(), &me);
            cache.keep(entry).await;
        }
        cache.keep_chat(Kept::of(&conversation)).await;
        if let Some(seq) = erased {
            cache.erase(conversation.chat.clone(), seq).await;
        }
        cache.close();
        let (cache, conversations) = Cache::open(path, &me, 0).expect("opened");
        assert!(matches!(Cache::open(path, &me, 0), Err(Failure::Other(why)) if why == IN_USE));
        cache.close();
        conversations
    }

    #[tokio::test]
    async fn what_was_said_is_there_in_the_next_run_and_what_was_deleted_is_not() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("cache");
        let edit = What::Edit { of: Seq(1), text: "a second secret".to_owned() };
        let edit = Entry { what: edit, ..said(3, "") };
        let entries = vec![said(1, "a secret"), said(2, "hi"), edit];
        let conversations = reopened(&path, entries.clone(), None).await;
        assert_eq!(conversations[0].text(Seq(1)), Some("a second secret"));
        let conversations = reopened(&path, entries, Some(Seq(1))).await;
        assert_eq!(conversations[0].entries[&Seq(1)].what, What::Gone);
        assert_eq!(conversations[0].text(Seq(2)), Some("hi"));
        assert!(conversations[0].changes(Seq(1)).is_none());
    }

    #[tokio::test]
    async fn it_is_bounded_and_knows_what_it_has_forgotten() {
        let dir = tempfile::tempdir().expect("a folder");
        let all = ENTRIES_MAX as u64 + 10;
        let entries = (1..=all).map(|seq| said(seq, "hi")).collect();
        let conversations = reopened(&dir.path().join("cache"), entries, None).await;
        assert_eq!(conversations[0].entries.len(), ENTRIES_MAX);
        assert_eq!(conversations[0].covered.start_of(all), Some(11));
    }

    #[tokio::test]
    async fn a_damaged_file_is_made_anew() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("cache");
        std::fs::write(&path, "no database").expect("written");
        assert_eq!(reopened(&path, vec![said(1, "hi")], None).await.len(), 1);
    }
}
