//! What every [`Store`] promises, whatever it stands on.

use std::sync::Arc;

use bluetick_bridge::engine::{
    ChatNo, Counters, Entry, Facts, Member, NAMED_PER_INDEX, Need, PartitionNo, SessionKey, Write,
};
use bluetick_bridge::store::{
    CommitStats, KvBatch, SCHEMA_VERSION, Store, StoreError, Supplied, Table,
};
use bluetick_protocol::{ChatId, Role, Seq};
use fastrand::Rng;

use crate::Subject;
use crate::kv_rules::{END, get, put, scan};
use crate::sample::{
    P, any_entry, assert_chat, batch, chat_writes, commit, entry, entry_write, group, id, id_v7,
    member, members, session, user,
};

/// Where the schema is (docs/storage.md).
const SCHEMA_KEY: &[u8] = &[0xFF, 0xFF, b'v'];

pub(crate) fn a_new_store_keeps_its_partitions(subject: &mut dyn Subject) {
    for wanted in [7, 9, 1] {
        let (_, partitions) = Store::open(subject.kv(), wanted).expect("a store");
        assert_eq!(partitions, 7, "the number it was made with");
        subject.reopen();
    }
}

pub(crate) fn another_schema_is_refused(subject: &mut dyn Subject) {
    // A version byte, the schema's version, 4 partitions; numbers above 250 have a mark.
    let others: [(u32, &[u8]); 3] =
        [(1, &[1, 1, 4]), (0, &[1, 0, 4]), (0x1234, &[1, 251, 0x34, 0x12, 4])];
    for (version, bytes) in others {
        put(&*subject.kv(), Table::State, &[(SCHEMA_KEY, bytes)]);
        let refused = Store::open(subject.kv(), 4).err();
        let Some(StoreError::Schema { found, known }) = refused else { panic!("{refused:?}") };
        assert_eq!((found, known), (version, SCHEMA_VERSION));
        let found = scan(&*subject.kv(), Table::State, b"", END);
        assert_eq!(found, [(SCHEMA_KEY.to_vec(), bytes.to_vec())], "it is left as it was");
    }
}

pub(crate) fn a_damaged_schema_is_refused(subject: &mut dyn Subject) {
    for bytes in [&[][..], &[1], &[1, 1], &[9, 1, 4], &[1, 1, 4, 0], b"\xFF\xFF\xFF\xFF"] {
        put(&*subject.kv(), Table::State, &[(SCHEMA_KEY, bytes)]);
        let refused = Store::open(subject.kv(), 4).err();
        assert!(matches!(refused, Some(StoreError::Corrupt(_))), "{bytes:?}: {refused:?}");
    }
}

/// Every record with its last byte gone, and with one too many: an error, not a panic and not
/// something that looks like data.
pub(crate) fn damaged_records_are_told(subject: &mut dyn Subject) {
    let store = subject.store();
    let kv = &*subject.kv();
    let mut random = Rng::with_seed(21);
    let no = ChatNo(3);
    let of = SessionKey { user: user("a"), device: "phone".into() };
    let mut writes = chat_writes(no, &group(1), Seq(1), &members(&mut random, 20));
    writes.extend([
        Write::ChatName { id: group(1), no },
        Write::Counters(Counters { next_chat: 4, tick: 5 }),
        Write::Session { key: of.clone(), session: Some(session(&mut random)) },
        Write::Id { id: id(1), chat: no, author: 0, in_order: false, seq: Seq(1) },
        entry_write(no, entry(1, b"body")),
    ]);
    commit(&store, writes);
    let read_all = || -> Vec<Result<(), StoreError>> {
        let entries = store.entries(P, no, Seq(1), Seq(9), 9, 999);
        vec![
            store.chat(P, no).map(|chat| assert!(chat.is_some())),
            store.chat_by_name(P, &group(1)).map(|chat| assert!(chat.is_some())),
            store.counters(P).map(|_| ()),
            store.session(P, &of).map(|session| assert!(session.is_some())),
            store.sessions(P, None, 9).map(|sessions| assert_eq!(sessions.len(), 1)),
            store.find_id(P, no, 0, id(1), Some(Seq::ZERO)).map(|seq| assert!(seq.is_some())),
            entries.map(|entries| assert_eq!(entries.len(), 1)),
        ]
    };
    assert!(read_all().iter().all(Result::is_ok));
    let mut damaged = 0;
    for table in Table::ALL {
        for (key, value) in scan(kv, table, b"", SCHEMA_KEY) {
            for bytes in [&value[..value.len() - 1], &[&value[..], &[0]].concat(), &[], &[9]] {
                put(kv, table, &[(&key, bytes)]);
                let results = read_all();
                let told = |r: &Result<(), StoreError>| matches!(r, Err(StoreError::Corrupt(_)));
                assert!(results.iter().any(told), "{table:?} {key:?} {bytes:?}: {results:?}");
                damaged += 1;
            }
            put(kv, table, &[(&key, &value)]);
        }
    }
    assert_eq!(damaged, 7 * 4, "chat, page, name, counters, session, id, entry");
    assert!(read_all().iter().all(Result::is_ok));
}

pub(crate) fn counters_are_zero_and_then_as_written(subject: &mut dyn Subject) {
    let store = subject.store();
    assert_eq!(store.counters(P).expect("counters"), Counters::default());
    for counters in [
        Counters { next_chat: 1, tick: u64::MAX },
        Counters { next_chat: 300, tick: 70_000 },
        Counters { next_chat: 0, tick: 0 },
    ] {
        commit(&store, [Write::Counters(counters)]);
        assert_eq!(store.counters(P).expect("counters"), counters);
        assert_eq!(store.counters(PartitionNo(0)).expect("counters"), Counters::default());
    }
}

pub(crate) fn a_chat_has_a_name_and_a_number(subject: &mut dyn Subject) {
    let store = subject.store();
    let mut random = Rng::with_seed(22);
    let (alice, bob) = (user("alice"), user("bob"));
    let direct = ChatId::direct(&alice, &bob);
    let two = [member(&mut random, "alice"), member(&mut random, "bob")];
    let none = |id: &ChatId, no| {
        store.chat_by_name(P, id).expect("readable").is_none()
            && store.chat(P, no).expect("readable").is_none()
    };
    let no = ChatNo::of_direct(&direct).expect("it is direct");
    assert!(none(&direct, no));
    let named = |id: &ChatId, no| Write::ChatName { id: id.clone(), no };
    commit(&store, chat_writes(no, &direct, Seq(1), &two));
    commit(&store, [named(&group(1), ChatNo(256))]);
    commit(&store, chat_writes(ChatNo(256), &group(1), Seq(5), &two[..1]));
    for (id, no, head, members) in
        [(&direct, no, Seq(1), &two[..]), (&group(1), ChatNo(256), Seq(5), &two[..1])]
    {
        let chat = store.chat_by_name(P, id).expect("readable").expect("it is there");
        assert_chat(&chat, no, id, head, members);
        let chat = store.chat(P, no).expect("readable").expect("it is there");
        assert_chat(&chat, no, id, head, members);
    }
    // Neighbours in the order of numbers and of names are others.
    assert!(none(&group(10), ChatNo(no.0 + 1)) && none(&group(2), ChatNo(255)));
    assert!(none(&ChatId::direct(&alice, &user("bobby")), ChatNo(257)));
    assert!(none(&ChatId::direct(&alice, &user("bo")), ChatNo(u64::MAX)));
    // It is overwritten by its next state.
    commit(&store, chat_writes(no, &direct, Seq(2), &two));
    let chat = store.chat_by_name(P, &direct).expect("readable").expect("it is there");
    assert_chat(&chat, no, &direct, Seq(2), &two);
}

/// Two names of one number are hardly ever met, but they can be made.
pub(crate) fn a_chat_whose_number_is_taken_has_another(subject: &mut dyn Subject) {
    let store = subject.store();
    let mut random = Rng::with_seed(26);
    let two = [member(&mut random, "alice"), member(&mut random, "bob")];
    let late = ChatId::direct(&user("alice"), &user("bob"));
    let early = ChatId::direct(&user("alice"), &user("carol"));
    let no = ChatNo::of_direct(&late).expect("it is direct");
    commit(&store, chat_writes(no, &early, Seq(1), &two));
    let mut facts = Facts::default();
    let supplied = store.supply(P, Need::Chat(late.clone()), &mut facts).expect("readable");
    assert!(matches!(supplied, Supplied::Noted), "{supplied:?}");
    assert_eq!(facts.absent, [late.clone()].into());
    assert_eq!(facts.taken, [late.clone()].into());
    commit(&store, chat_writes(ChatNo(7), &late, Seq(3), &two));
    commit(&store, [Write::ChatName { id: late.clone(), no: ChatNo(7) }]);
    let found = store.chat_by_name(P, &late).expect("readable").expect("it is there");
    assert_chat(&found, ChatNo(7), &late, Seq(3), &two);
}

pub(crate) fn every_field_of_a_chat_comes_back(subject: &mut dyn Subject) {
    let store = subject.store();
    let mut random = Rng::with_seed(23);
    for no in (0..200).map(ChatNo) {
        let count = random.usize(1..16);
        let members = members(&mut random, count);
        commit(&store, chat_writes(no, &group(no.0), Seq(no.0 * 1000), &members));
        let chat = store.chat(P, no).expect("readable").expect("it is there");
        assert_chat(&chat, no, &group(no.0), Seq(no.0 * 1000), &members);
    }
}

pub(crate) fn every_field_of_an_entry_comes_back(subject: &mut dyn Subject) {
    let store = subject.store();
    let mut random = Rng::with_seed(24);
    let written: Vec<_> = (1..=300).map(|seq| any_entry(&mut random, Seq(seq))).collect();
    commit(&store, written.iter().map(|entry| entry_write(ChatNo(7), entry.clone())));
    let found = store.entries(P, ChatNo(7), Seq(1), Seq(300), 999, usize::MAX).expect("readable");
    assert_eq!(found.len(), written.len());
    for (found, written) in found.iter().zip(&written) {
        assert_eq!(**found, *written);
    }
}

pub(crate) fn an_id_is_of_a_chat_and_an_author(subject: &mut dyn Subject) {
    let store = subject.store();
    let places = [
        (id(1), ChatNo(1), 0, Seq(5)),
        (id(1), ChatNo(1), 1, Seq(6)),
        (id(1), ChatNo(2), 0, Seq(7)),
        (id(2), ChatNo(1), 0, Seq(u64::MAX)),
        (id(u128::MAX), ChatNo(u64::MAX), u32::MAX, Seq(1)),
    ];
    let find =
        |id, chat, author| store.find_id(P, chat, author, id, Some(Seq::ZERO)).expect("readable");
    for (id, chat, author, seq) in places {
        assert_eq!(find(id, chat, author), None);
        commit(&store, [Write::Id { id, chat, author, in_order: false, seq }]);
        assert_eq!(find(id, chat, author), Some(seq));
    }
    for (id, chat, author, seq) in places {
        assert_eq!(find(id, chat, author), Some(seq), "the later ones are others");
        let elsewhere =
            store.find_id(PartitionNo(0), chat, author, id, Some(Seq::ZERO)).expect("readable");
        assert_eq!(elsewhere, None);
    }
    assert_eq!(find(id(2), ChatNo(1), 1), None);
    assert_eq!(find(id(2), ChatNo(2), 0), None);
}

/// Every message of an author whose ids came in order is found, though only some have a record, and
/// what was never sent is not.
pub(crate) fn ids_in_order_are_found_from_a_few(subject: &mut dyn Subject) {
    let store = subject.store();
    let (chat, author) = (ChatNo(3), 1);
    // Between his, as in a group, there are those of others.
    let (places, per_index) = (100_u64, u64::from(NAMED_PER_INDEX));
    let seq = |place: u64| Seq(place * 3);
    for place in 1..=places {
        let previous_named = seq(place - 1);
        let of_his =
            Entry { id: id_v7(2 * place), author, previous_named, ..entry(3 * place, b"") };
        let mut writes =
            vec![entry_write(chat, of_his), entry_write(chat, entry(3 * place + 1, b""))];
        if place % per_index == 0 {
            let id = id_v7(2 * place);
            writes.push(Write::Id { id, chat, author, in_order: true, seq: seq(place) });
        }
        commit(&store, writes);
        // Whichever is the newest: from it down, or from the next that has a record.
        let find = |id| store.find_id(P, chat, author, id, Some(seq(place))).expect("readable");
        for of in 1..=place {
            assert_eq!(find(id_v7(2 * of)), Some(seq(of)), "{of} of {place}");
            assert_eq!(find(id_v7(2 * of - 1)), None, "between, {of} of {place}");
        }
        assert_eq!(find(id_v7(2 * place + 1)), None);
        // Another author's, and another chat's.
        let of_others = store.find_id(P, chat, 0, id_v7(2), Some(Seq::ZERO)).expect("readable");
        assert_eq!(of_others, None);
        let elsewhere = store.find_id(P, ChatNo(4), author, id_v7(2), Some(Seq::ZERO));
        assert_eq!(elsewhere.expect("readable"), None);
    }
    // A record that is lost is told, not taken for an id that was never used.
    let far = seq(places);
    let lost = batch((1..=per_index * 2).map(|place| {
        let previous_named = if place == 1 { Seq::ZERO } else { Seq(place - 1) };
        entry_write(ChatNo(5), Entry { id: id_v7(place + 9), previous_named, ..entry(place, b"") })
    }));
    store.commit([(P, &lost)]).expect("committed");
    let found = store.find_id(P, ChatNo(5), 0, id_v7(1), Some(Seq(per_index * 2)));
    assert!(matches!(found, Err(StoreError::Corrupt(_))), "{found:?}");
    let found = store.find_id(P, ChatNo(5), 0, id_v7(1), Some(far));
    assert!(matches!(found, Err(StoreError::Corrupt(_))), "{found:?}");
}

pub(crate) fn needs_are_supplied(subject: &mut dyn Subject) {
    let store = subject.store();
    let no = ChatNo(4);
    let only = [Member::new(user("a"), Role::Owner, Seq(1), 1)];
    commit(&store, chat_writes(no, &group(1), Seq(2), &only));
    commit(
        &store,
        [
            Write::ChatName { id: group(1), no },
            Write::ChatOfUser { user: user("a"), no },
            Write::Id { id: id(9), chat: no, author: 0, in_order: false, seq: Seq(2) },
            entry_write(no, entry(2, b"two")),
        ],
    );
    for need in [Need::Chat(group(1)), Need::ChatNo(no)] {
        let mut facts = Facts::default();
        let supplied = store.supply(P, need, &mut facts).expect("readable");
        let Supplied::Chat(chat) = supplied else { panic!("{supplied:?}") };
        assert_chat(&chat, no, &group(1), Seq(2), &only);
        assert!(facts.is_empty());
    }
    let mut facts = Facts::default();
    let need_id = |of| Need::Id { chat: no, author: 0, id: id(of), newest_named: Some(Seq::ZERO) };
    for need in [
        Need::Chat(group(2)),
        Need::ChatsOfUser(user("a")),
        need_id(9),
        need_id(8),
        Need::Entry(no, Seq(1)),
        Need::Entry(no, Seq(2)),
    ] {
        let supplied = store.supply(P, need, &mut facts).expect("readable");
        assert!(matches!(supplied, Supplied::Noted), "{supplied:?}");
    }
    assert_eq!(facts.absent, [group(2)].into());
    assert_eq!(facts.chats_of_user, Some(vec![no]));
    assert_eq!(facts.ids, [((no, 0, id(9)), Some(Seq(2))), ((no, 0, id(8)), None)].into());
    let two = Arc::new(entry(2, b"two"));
    assert_eq!(facts.entries, [((no, Seq(1)), None), ((no, Seq(2)), Some(two))].into());
    // Somebody refers to it, so it must be there.
    let missing = store.supply(P, Need::ChatNo(ChatNo(5)), &mut Facts::default());
    assert!(matches!(missing, Err(StoreError::Corrupt(_))), "{missing:?}");
}

pub(crate) fn a_commit_tells_what_it_wrote(subject: &mut dyn Subject) {
    let store = subject.store();
    let of = SessionKey { user: user("a"), device: "phone".into() };
    let one = batch([
        entry_write(ChatNo(1), entry(1, &[7; 1000])),
        Write::Session { key: of, session: None },
    ]);
    let two = batch([Write::Counters(Counters::default())]);
    let stats = store.commit([(P, &one), (PartitionNo(2), &two)]).expect("committed");
    assert_eq!(stats.writes, 3);
    assert!((1000..1200).contains(&stats.bytes), "{stats:?}");
    let stats = store.commit([(P, &batch([]))]).expect("committed");
    assert_eq!(stats, CommitStats::default());
    assert_eq!(store.commit([]).expect("committed"), CommitStats::default());
    // The bytes are those of keys and values.
    let mut batch = KvBatch::default();
    assert!(batch.is_empty());
    batch.put(Table::State, b"key", |out| out.extend_from_slice(b"value"));
    batch.delete(Table::Log, b"gone");
    assert_eq!((batch.len(), batch.bytes(), batch.is_empty()), (2, 12, false));
    let mut writes = batch.iter();
    assert_eq!(writes.next(), Some((Table::State, &b"key"[..], Some(&b"value"[..]))));
    assert_eq!(writes.next(), Some((Table::Log, &b"gone"[..], None)));
    assert_eq!(writes.next(), None);
}

pub(crate) fn partitions_are_committed_together_and_kept_apart(subject: &mut dyn Subject) {
    let partitions = [0, 1, 255, 256, 0xFFFE].map(PartitionNo);
    let mut random = Rng::with_seed(25);
    let sessions = partitions.map(|_| session(&mut random));
    let of = SessionKey { user: user("a"), device: "phone".into() };
    let no = ChatNo(1);
    let batches: Vec<_> = partitions
        .iter()
        .zip(&sessions)
        .map(|(partition, session)| {
            let number = u64::from(partition.0);
            let only = [Member::new(user("a"), Role::Owner, Seq(number), 1)];
            let mut writes = chat_writes(no, &group(1), Seq(number), &only);
            writes.extend([
                Write::ChatName { id: group(1), no },
                Write::ChatOfUser { user: user("a"), no },
                Write::Counters(Counters { next_chat: number, tick: 1 }),
                Write::Session { key: of.clone(), session: Some(session.clone()) },
                Write::Id { id: id(1), chat: no, author: 0, in_order: false, seq: Seq(number) },
                entry_write(no, entry(number, b"x")),
            ]);
            batch(writes)
        })
        .collect();
    subject.store().commit(partitions.into_iter().zip(&batches)).expect("committed");
    subject.reopen();
    let store = subject.store();
    for (partition, session) in partitions.into_iter().zip(&sessions) {
        let number = u64::from(partition.0);
        let only = [Member::new(user("a"), Role::Owner, Seq(number), 1)];
        let chat = store.chat_by_name(partition, &group(1)).expect("readable").expect("there");
        assert_chat(&chat, no, &group(1), Seq(number), &only);
        assert_eq!(store.chats_of_user(partition, &user("a")).expect("readable"), [no]);
        assert_eq!(store.chats(partition, None).expect("readable"), [no]);
        assert_eq!(store.counters(partition).expect("readable").next_chat, number);
        let all = store.sessions(partition, None, 9).expect("readable");
        assert_eq!(all, [(of.clone(), session.clone())]);
        let seq = store.find_id(partition, no, 0, id(1), Some(Seq::ZERO)).expect("readable");
        assert_eq!(seq, Some(Seq(number)));
        let found = store.entries(partition, no, Seq(0), Seq(u64::MAX), 9, 99).expect("readable");
        assert_eq!(found.iter().map(|entry| entry.seq).collect::<Vec<_>>(), [Seq(number)]);
    }
    // The schema has a partition number too, which is nobody's.
    let kv = &*subject.kv();
    assert!(get(kv, Table::State, SCHEMA_KEY).is_some());
    let between = PartitionNo(2);
    assert!(store.chats(between, None).expect("readable").is_empty());
    assert!(store.sessions(between, None, 9).expect("readable").is_empty());
}
