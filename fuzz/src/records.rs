//! Stored records with anything in them: reading is an error at worst.

use std::ops::ControlFlow;
use std::sync::{Arc, OnceLock};

use bluetick_bridge::engine::{ChatNo, Facts, Need, PartitionNo, RequestKey, SessionKey};
use bluetick_bridge::store::{Kv, KvBatch, MemoryKv, PlainStore, Store, StoreError, Table, Visit};
use bluetick_protocol::{ChatId, MessageId, Seq, UserId};

use crate::input::Input;

/// A record: table, key, value.
type Record = (Table, Vec<u8>, Vec<u8>);

/// The records of chat-bridge/tests/golden.txt, whose names these are.
const PARTITION: PartitionNo = PartitionNo(1);
const USERS: [&str; 3] = ["alice", "bob", "carol"];
const CHATS: [&str; 2] = ["alice~bob", "g-7k2m9x4q1zrt"];

pub(crate) fn run(data: &[u8]) {
    let mut input = Input(data);
    let (Some(which), Some(how)) = (input.u8(), input.u8()) else { return };
    let golden = golden();
    let (table, key, value) = &golden[usize::from(which) % golden.len()];
    let mut changed = value.clone();
    if how & 1 == 0 {
        changed = input.0.to_vec();
    } else {
        let start = usize::from(how >> 1) % value.len().max(1);
        for (byte, change) in changed.iter_mut().skip(start).zip(input.0) {
            *byte ^= change;
        }
    }
    let base: Arc<dyn Kv> = Arc::new(Changed { table: *table, key, value: changed });
    if let Ok((store, _)) = Store::open(base, 2) {
        read_all(&store);
    }
}

/// The same for what is kept of plain topics, keys as well as values: they say whose it is.
pub(crate) fn plain(data: &[u8]) {
    let mut input = Input(data);
    let (Some(which), Some(how)) = (input.u8(), input.u8()) else { return };
    let mut records = plain_golden().to_vec();
    let at = usize::from(which) % records.len();
    let (key, value) = &mut records[at];
    let changed = if how & 2 == 0 { value } else { key };
    if how & 1 == 0 {
        *changed = input.0.to_vec();
    } else {
        let start = usize::from(how >> 2) % changed.len().max(1);
        for (byte, change) in changed.iter_mut().skip(start).zip(input.0) {
            *byte ^= change;
        }
    }
    let kv = MemoryKv::default();
    let mut batch = KvBatch::default();
    for (key, value) in &records {
        batch.put(Table::Plain, key, |out| out.extend_from_slice(value));
    }
    kv.commit(&batch).expect("memory");
    if let Ok((_, writer, _)) = PlainStore::open(Arc::new(kv)) {
        writer.stop();
    }
}

/// Reads everything there is; what it is or why it cannot be read does not matter.
fn read_all(store: &Store) {
    let user = |name: &str| UserId::try_from(name).expect("the name of a user");
    let mut facts = Facts::default();
    let mut ask = |need| drop(store.supply(PARTITION, need, &mut facts));
    for name in CHATS {
        ask(Need::Chat(ChatId::try_from(name).expect("the name of a chat")));
    }
    let direct = ChatId::direct(&user("alice"), &user("bob"));
    for chat in ChatNo::of_direct(&direct).into_iter().chain([ChatNo(1)]) {
        ask(Need::ChatNo(chat));
        let (first, last) = (Seq(0), Seq(10));
        drop(store.entries(PARTITION, chat, first, last, 10, usize::MAX));
        drop(store.entry_heads(PARTITION, chat, first, last));
        drop(store.amendments(PARTITION, chat, first, last));
        for id in [0x17, 0x18, 0x19] {
            let id = MessageId::from_bytes([id; 16]).expect("an id");
            drop(store.find_id(PARTITION, chat, 0, id, Some(Seq(3))));
        }
        for seq in 1..=3 {
            ask(Need::Entry(chat, Seq(seq)));
        }
    }
    for name in USERS {
        ask(Need::ChatsOfUser(user(name)));
        ask(Need::User(user(name)));
        ask(Need::Stored(user(name)));
        for hash in (1..=5).chain([1 << 100]) {
            ask(Need::Answer(RequestKey { user: user(name), hash }));
        }
        drop(store.seen(PARTITION, &user(name)));
        drop(store.sessions_of(PARTITION, &user(name)));
    }
    let key = SessionKey { user: user("bob"), device: "bob-phone".into() };
    drop(store.session(PARTITION, &key));
    drop(store.sessions(PARTITION, None, 10));
    drop(store.all_seen(PARTITION, None, 10));
    drop(store.alive(PARTITION));
    drop(store.counters(PARTITION));
    drop(store.expired(PARTITION, u64::MAX, 10));
}

/// The golden records, read once.
fn golden() -> &'static [Record] {
    static RECORDS: OnceLock<Vec<Record>> = OnceLock::new();
    RECORDS.get_or_init(|| {
        let text = include_str!("../../chat-bridge/tests/golden.txt");
        text.lines().map(|line| record(line).expect("a golden record")).collect()
    })
}

/// Those of plain topics: key and value.
fn plain_golden() -> &'static [(Vec<u8>, Vec<u8>)] {
    static RECORDS: OnceLock<Vec<(Vec<u8>, Vec<u8>)>> = OnceLock::new();
    RECORDS.get_or_init(|| {
        let text = include_str!("../../chat-bridge/tests/plain_golden.txt");
        let record = |line: &str| {
            let (key, value) = line.split_once(':')?;
            Some((bytes(key)?, bytes(value)?))
        };
        text.lines().map(|line| record(line).expect("a golden record")).collect()
    })
}

fn record(line: &str) -> Option<Record> {
    let mut words = line.split(' ');
    let name = words.next()?;
    let table = Table::ALL.into_iter().find(|table| table.name() == name)?;
    Some((table, bytes(words.next()?)?, bytes(words.next()?)?))
}

fn bytes(hex: &str) -> Option<Vec<u8>> {
    let pair = |at: usize| u8::from_str_radix(hex.get(at..at + 2)?, 16).ok();
    (0..hex.len()).step_by(2).map(pair).collect()
}

/// The golden records in memory, one of them changed.
struct Changed {
    table: Table,
    key: &'static [u8],
    value: Vec<u8>,
}

impl Changed {
    fn base() -> &'static MemoryKv {
        static BASE: OnceLock<MemoryKv> = OnceLock::new();
        BASE.get_or_init(|| {
            let kv = MemoryKv::default();
            let mut batch = KvBatch::default();
            for (table, key, value) in golden() {
                batch.put(*table, key, |out| out.extend_from_slice(value));
            }
            kv.commit(&batch).expect("memory");
            kv
        })
    }

    fn is_changed(&self, table: Table, key: &[u8]) -> bool {
        table == self.table && key == self.key
    }
}

impl Kv for Changed {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        match self.is_changed(table, key) {
            true => Ok(Some(self.value.clone())),
            false => Self::base().get(table, key),
        }
    }

    fn scan(
        &self,
        table: Table,
        from: &[u8],
        to: &[u8],
        each: &mut Visit<'_>,
    ) -> Result<(), StoreError> {
        let mut visit = |key: &[u8], value: &[u8]| -> ControlFlow<()> {
            each(key, if self.is_changed(table, key) { &self.value } else { value })
        };
        Self::base().scan(table, from, to, &mut visit)
    }

    fn commit(&self, _: &KvBatch) -> Result<(), StoreError> {
        Ok(())
    }

    fn drop_overwritten(&self, _: &[(Table, Vec<u8>, Vec<u8>)]) -> Result<(), StoreError> {
        Ok(())
    }

    fn recover(&self) -> Result<(), StoreError> {
        Ok(())
    }
}
