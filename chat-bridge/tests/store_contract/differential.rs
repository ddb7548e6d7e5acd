//! Both stores and a simple model, given the same random writes: after every step all three
//! answer alike. A failure names its seed.

use std::collections::{BTreeMap, BTreeSet};

use bluetick_bridge::engine::{
    Chat, ChatNo, Counters, Entry, MEMBERS_PER_PAGE, Member, PartitionNo, SavedSession, SessionKey,
    Write,
};
use bluetick_bridge::store::{KvBatch, Store, Table};
use bluetick_protocol::{MessageId, Seq, UserId};
use fastrand::Rng;

use crate::kv_rules::{END, get, scan, scan_some};
use crate::sample::{
    any_entry, assert_chat, batch, chat_writes, entry_write, group, id, key, member, members,
    number, session, user,
};
use crate::{Memory, Rocks, Subject};

type Records = BTreeMap<Vec<u8>, Vec<u8>>;

/// Short, of few bytes: most writes meet something that is there.
fn random_key(random: &mut Rng) -> Vec<u8> {
    let bytes = random.usize(..4);
    (0..bytes).map(|_| [0, 1, 0x7F, 0x80, 0xFE, 0xFF][random.usize(..6)]).collect()
}

fn random_value(random: &mut Rng) -> Vec<u8> {
    let bytes_max = [1, 10, 100, 5000][random.usize(..4)];
    let bytes = random.usize(..bytes_max);
    (0..bytes).map(|_| random.u8(..)).collect()
}

#[test]
fn records_are_the_same_everywhere() {
    for seed in 0..3 {
        let mut random = Rng::with_seed(seed);
        let mut subjects: [Box<dyn Subject>; 2] =
            [Box::new(Memory::default()), Box::new(Rocks::default())];
        let mut model: BTreeMap<Table, Records> =
            Table::ALL.map(|table| (table, Records::new())).into();
        for step in 0..250 {
            let mut batch = KvBatch::default();
            for _ in 0..random.usize(..12) {
                let (table, key) =
                    (Table::ALL[random.usize(..Table::ALL.len())], random_key(&mut random));
                let records = model.get_mut(&table).expect("every table is there");
                if random.u8(..3) == 0 {
                    batch.delete(table, &key);
                    records.remove(&key);
                } else {
                    let value = random_value(&mut random);
                    batch.put(table, &key, |out| out.extend_from_slice(&value));
                    records.insert(key, value);
                }
            }
            let reopens = random.u8(..25) == 0;
            for subject in &mut subjects {
                subject.kv().commit(&batch).expect("committed");
                if reopens {
                    subject.reopen();
                }
            }
            let (from, to) = (random_key(&mut random), random_key(&mut random));
            let max = random.usize(1..20);
            for (table, records) in &model {
                let range = from.clone()..to.clone().max(from.clone());
                let some: Vec<_> =
                    records.range(range).take(max).map(|(k, v)| (k.clone(), v.clone())).collect();
                for (at, subject) in subjects.iter().enumerate() {
                    let (kv, place) = (&*subject.kv(), (seed, step, at, table));
                    assert_eq!(get(kv, *table, &from), records.get(&from).cloned(), "{place:?}");
                    assert_eq!(scan_some(kv, *table, &from, &to, max), some, "{place:?}");
                    let all = scan(kv, *table, b"", END);
                    assert!(all.into_iter().eq(records.clone()), "{place:?}");
                }
            }
        }
    }
}

/// What a store should answer: the writes as they were given, by what they are about.
#[derive(Default)]
struct Model {
    counters: BTreeMap<PartitionNo, Counters>,
    names: BTreeMap<(PartitionNo, u64), ChatNo>,
    /// By number: the name, the head, the members.
    chats: BTreeMap<(PartitionNo, ChatNo), (u64, Seq, Vec<Member>)>,
    chats_of_users: BTreeMap<(PartitionNo, UserId), BTreeSet<ChatNo>>,
    entries: BTreeMap<(PartitionNo, ChatNo, Seq), Entry>,
    ids: BTreeMap<(PartitionNo, ChatNo, u32, MessageId), Seq>,
    sessions: BTreeMap<(PartitionNo, SessionKey), SavedSession>,
}

fn random_chat(random: &mut Rng) -> ChatNo {
    ChatNo([0, 1, 2, 255, 256, u64::MAX - 1][random.usize(..6)])
}

fn random_user(random: &mut Rng) -> UserId {
    user(["a", "al", "al-", "al.x", "alice", "b"][random.usize(..6)])
}

fn random_session_key(random: &mut Rng) -> SessionKey {
    let user = random_user(random);
    key(user.as_str(), ["", "phone", "phone2", "ä"][random.usize(..4)])
}

fn random_id(random: &mut Rng) -> MessageId {
    id([1, 2, 1 << 64, u128::MAX][random.usize(..4)])
}

impl Model {
    /// Makes some writes, notes them, and gives them as the engine would.
    fn write(&mut self, p: PartitionNo, random: &mut Rng) -> Vec<Write> {
        let no = random_chat(random);
        match random.u8(..9) {
            0 => {
                let counters = Counters { next_chat: number(random), tick: number(random) };
                self.counters.insert(p, counters);
                vec![Write::Counters(counters)]
            }
            1 => {
                // A name never gets another number, but to the store that would be a write as any.
                let name = random.u64(..4);
                self.names.insert((p, name), no);
                vec![Write::ChatName { id: group(name), no }]
            }
            2 => {
                // A list of members only grows.
                let known = self.chats.get(&(p, no)).map_or(0, |(_, _, members)| members.len());
                let count = known + random.usize(..20);
                let chat = (random.u64(..4), Seq(number(random) >> 1), members(random, count));
                let writes = chat_writes(no, &group(chat.0), chat.1, &chat.2);
                self.chats.insert((p, no), chat);
                writes
            }
            3 => {
                let Some((name, head, members)) = self.chats.get_mut(&(p, no)) else {
                    return Vec::new();
                };
                let Some(last) = members.len().checked_sub(1) else { return Vec::new() };
                let at = random.usize(..=last);
                members[at] = member(random, "changed");
                *head = Seq(number(random) >> 1);
                let mut writes = chat_writes(no, &group(*name), *head, members);
                // The head and the one page that changed.
                let page = at / MEMBERS_PER_PAGE;
                let mut position = 0;
                writes.retain(|_| {
                    position += 1;
                    position == 1 || position == page + 1
                });
                writes
            }
            4 => {
                let user = random_user(random);
                self.chats_of_users.entry((p, user.clone())).or_default().insert(no);
                vec![Write::ChatOfUser { user, no }]
            }
            5 | 6 => {
                let seq = Seq(random.u64(1..30));
                let entry = any_entry(random, seq);
                self.entries.insert((p, no, entry.seq), entry.clone());
                vec![entry_write(no, entry)]
            }
            7 => {
                let (id, author, seq) = (random_id(random), random.u32(..3), Seq(number(random)));
                self.ids.insert((p, no, author, id), seq);
                vec![Write::Id { id, chat: no, author, in_order: false, seq }]
            }
            _ => {
                let key = random_session_key(random);
                let session = (random.u8(..3) > 0).then(|| session(random));
                match &session {
                    Some(session) => {
                        self.sessions.insert((p, key.clone()), session.clone());
                    }
                    None => {
                        self.sessions.remove(&(p, key.clone()));
                    }
                }
                vec![Write::Session { key, session }]
            }
        }
    }

    /// Asserts that a store answers as the model does, at places chosen by `random`.
    fn compare(&self, store: &Store, p: PartitionNo, random: &mut Rng) {
        let counters = self.counters.get(&p).copied().unwrap_or_default();
        assert_eq!(store.counters(p).expect("readable"), counters);
        let chats = self.chats.keys().filter(|(of, _)| *of == p).map(|(_, no)| *no);
        let after = random.bool().then(|| random_chat(random));
        let after_it = chats.filter(|no| after.is_none_or(|after| *no > after));
        assert!(store.chats(p, after).expect("readable").into_iter().eq(after_it));
        let no = random_chat(random);
        self.compare_chat(store.chat(p, no).expect("readable").as_ref(), p, no);
        let name = random.u64(..4);
        let found = store.chat_by_name(p, &group(name)).expect("readable");
        match self.names.get(&(p, name)) {
            Some(no) => self.compare_chat(found.as_ref(), p, *no),
            None => assert!(found.is_none()),
        }
        let user = random_user(random);
        let of_user = store.chats_of_user(p, &user).expect("readable");
        let expected = self.chats_of_users.get(&(p, user)).cloned().unwrap_or_default();
        assert!(of_user.into_iter().eq(expected));
        let (id, author) = (random_id(random), random.u32(..3));
        let found = store.find_id(p, no, author, id, Some(Seq::ZERO)).expect("readable");
        assert_eq!(found, self.ids.get(&(p, no, author, id)).copied());
        self.compare_entries(store, p, random);
        self.compare_sessions(store, p, random);
    }

    fn compare_chat(&self, found: Option<&Chat>, p: PartitionNo, no: ChatNo) {
        match (found, self.chats.get(&(p, no))) {
            (Some(chat), Some((name, head, members))) => {
                assert_chat(chat, no, &group(*name), *head, members);
            }
            (found, expected) => assert!(found.is_none() && expected.is_none(), "{no:?}"),
        }
    }

    fn compare_entries(&self, store: &Store, p: PartitionNo, random: &mut Rng) {
        let no = random_chat(random);
        let (from, to) = (Seq(random.u64(..30)), Seq(random.u64(..40)));
        let (entries_max, bytes_max) = (random.usize(1..20), random.usize(..1000));
        let found = store.entries(p, no, from, to, entries_max, bytes_max).expect("readable");
        let mut bytes = 0;
        let mut expected = Vec::new();
        for seq in from.0..=to.0 {
            let Some(entry) = self.entries.get(&(p, no, Seq(seq))) else { continue };
            if expected.len() == entries_max || bytes > bytes_max {
                break;
            }
            bytes += entry.body.len();
            expected.push(entry);
        }
        assert!(found.iter().map(|entry| &**entry).eq(expected), "{no:?} {from:?} {to:?}");
    }

    fn compare_sessions(&self, store: &Store, p: PartitionNo, random: &mut Rng) {
        let key = random_session_key(random);
        let found = store.session(p, &key).expect("readable");
        assert_eq!(found.as_ref(), self.sessions.get(&(p, key.clone())));
        let (after, max) = (random.bool().then_some(key), random.usize(1..10));
        let found = store.sessions(p, after.as_ref(), max).expect("readable");
        let of_partition = self.sessions.iter().filter(|((of, _), _)| *of == p);
        let expected = of_partition
            .filter(|((_, key), _)| after.as_ref().is_none_or(|after| key > after))
            .take(max)
            .map(|((_, key), session)| (key.clone(), session.clone()));
        assert!(found.into_iter().eq(expected), "after {after:?}");
    }
}

/// Where a run is: said when an assertion below it fails.
struct Place {
    seed: u64,
    step: usize,
    store: &'static str,
}

impl Drop for Place {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let Self { seed, step, store } = self;
            println!("seed {seed}, step {step}, {store}");
        }
    }
}

#[test]
fn stores_answer_as_a_model_does() {
    for seed in 100..103 {
        let mut random = Rng::with_seed(seed);
        let mut subjects: [Box<dyn Subject>; 2] =
            [Box::new(Memory::default()), Box::new(Rocks::default())];
        let mut model = Model::default();
        let partitions = [PartitionNo(0), PartitionNo(1), PartitionNo(256)];
        for step in 0..300 {
            let of_partitions: Vec<_> = (0..random.usize(1..4))
                .map(|_| {
                    let p = partitions[random.usize(..3)];
                    let writes = random.usize(..6);
                    (p, batch((0..writes).flat_map(|_| model.write(p, &mut random))))
                })
                .collect();
            let reopens = random.u8(..25) == 0;
            let questions = random.u64(..);
            let mut stats = Vec::new();
            for subject in &mut subjects {
                let batches = of_partitions.iter().map(|(p, batch)| (*p, batch));
                stats.push(subject.store().commit(batches).expect("committed"));
                if reopens {
                    subject.reopen();
                }
            }
            assert_eq!(stats[0], stats[1], "seed {seed}, step {step}");
            // The same questions to both.
            for (subject, store) in subjects.iter().zip(["memory", "rocks"]) {
                let _place = Place { seed, step, store };
                let store = subject.store();
                let mut random = Rng::with_seed(questions);
                for p in partitions {
                    model.compare(&store, p, &mut random);
                }
            }
        }
    }
}
