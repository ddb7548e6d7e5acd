//! What every store promises about long lists: members, chats, entries, sessions.

use std::ops::RangeInclusive;

use bluetick_bridge::engine::{ChatNo, MEMBERS_PER_PAGE, PartitionNo, SessionKey, Write};
use bluetick_bridge::store::Store;
use bluetick_protocol::Seq;
use fastrand::Rng;

use crate::Subject;
use crate::sample::{
    P, assert_chat, chat_writes, commit, entry, entry_write, group, key, member, members,
    page_write, session, user,
};

pub(crate) fn a_group_has_all_its_members(subject: &mut dyn Subject) {
    let mut random = Rng::with_seed(31);
    // Around the ends of pages, and the largest group.
    let sizes = [0, 1, 15, 16, 17, 31, 32, 33, 1000];
    let groups: Vec<_> = (0..)
        .map(ChatNo)
        .zip(sizes)
        .map(|(no, size)| (no, group(no.0), members(&mut random, size)))
        .collect();
    for (no, id, members) in &groups {
        let mut writes = chat_writes(*no, id, Seq(1), members);
        writes.push(Write::ChatName { id: id.clone(), no: *no });
        commit(&subject.store(), writes);
    }
    for _ in 0..2 {
        let store = subject.store();
        for (no, id, members) in &groups {
            let chat = store.chat(P, *no).expect("readable").expect("it is there");
            assert_chat(&chat, *no, id, Seq(1), members);
            let chat = store.chat_by_name(P, id).expect("readable").expect("it is there");
            assert_chat(&chat, *no, id, Seq(1), members);
        }
        drop(store);
        subject.reopen();
    }
}

pub(crate) fn a_member_page_changes_alone(subject: &mut dyn Subject) {
    let store = subject.store();
    let mut random = Rng::with_seed(32);
    let no = ChatNo(9);
    let mut members = members(&mut random, 1000);
    commit(&store, chat_writes(no, &group(9), Seq(1), &members));
    for at in [16, 31, 32, 500, 999] {
        members[at] = member(&mut random, "somebody-else");
        let page = at / MEMBERS_PER_PAGE;
        let of_page = members.chunks(MEMBERS_PER_PAGE).nth(page).expect("a page");
        commit(&store, [page_write(no, u32::try_from(page).expect("small"), of_page)]);
        let chat = store.chat(P, no).expect("readable").expect("it is there");
        assert_chat(&chat, no, &group(9), Seq(1), &members);
    }
    // One more, on a page of its own.
    members.truncate(992);
    commit(&store, chat_writes(ChatNo(10), &group(10), Seq(1), &members));
    members.push(member(&mut random, "new"));
    let mut writes = chat_writes(ChatNo(10), &group(10), Seq(2), &members);
    writes.drain(1..writes.len() - 1);
    assert_eq!(writes.len(), 2, "the head and the new page");
    commit(&store, writes);
    let chat = store.chat(P, ChatNo(10)).expect("readable").expect("it is there");
    assert_chat(&chat, ChatNo(10), &group(10), Seq(2), &members);
}

/// Chats whose numbers differ where a byte of the key overflows, in two partitions.
pub(crate) fn neighbours_do_not_mix_members(subject: &mut dyn Subject) {
    let store = subject.store();
    let mut random = Rng::with_seed(33);
    let numbers = [0, 1, 254, 255, 256, 257, 0xFFFF, 0x1_0000, u64::MAX - 1].map(ChatNo);
    let groups = numbers.map(|no| (no, members(&mut random, 40)));
    for (no, members) in &groups {
        commit(&store, chat_writes(*no, &group(7), Seq(no.0 >> 1), members));
    }
    let elsewhere = members(&mut random, 50);
    let writes = crate::sample::batch(chat_writes(ChatNo(0), &group(8), Seq(1), &elsewhere));
    store.commit([(PartitionNo(P.0 + 1), &writes)]).expect("committed");
    for (no, members) in &groups {
        let chat = store.chat(P, *no).expect("readable").expect("it is there");
        assert_chat(&chat, *no, &group(7), Seq(no.0 >> 1), members);
    }
}

pub(crate) fn the_chats_of_a_user_rise(subject: &mut dyn Subject) {
    let store = subject.store();
    let chats = |name: &str| store.chats_of_user(P, &user(name)).expect("readable");
    // Names that start alike, and go on with the characters around.
    let names = ["al", "al-", "al.", "al0", "al_", "alice", "a"];
    for (at, name) in (0..).zip(names) {
        assert!(chats(name).is_empty());
        let numbers = [0x1_0000 + at, 1 + at, 0x100 + at, 0xFF + at, 1 + at];
        commit(&store, numbers.map(|no| Write::ChatOfUser { user: user(name), no: ChatNo(no) }));
    }
    for (at, name) in (0..).zip(names) {
        let mut expected = vec![1 + at, 0xFF + at, 0x100 + at, 0x1_0000 + at];
        expected.dedup();
        assert_eq!(chats(name), expected.into_iter().map(ChatNo).collect::<Vec<_>>(), "{name}");
        let elsewhere = store.chats_of_user(PartitionNo(0), &user(name)).expect("readable");
        assert!(elsewhere.is_empty());
    }
    assert!(chats("ali").is_empty());
    let many = (0..3000).map(|no| Write::ChatOfUser { user: user("busy"), no: ChatNo(no) });
    commit(&store, many);
    assert!(chats("busy").into_iter().eq((0..3000).map(ChatNo)));
}

/// Entries 1 to 100 of chat 5 with bodies of 10 bytes; the chats before and after have entries of
/// the same places.
fn store_with_entries(subject: &dyn Subject) -> Store {
    let store = subject.store();
    for chat in [4, 5, 6].map(ChatNo) {
        let body = [u8::try_from(chat.0).expect("small"); 10];
        commit(&store, (1..=100).map(|seq| entry_write(chat, entry(seq, &body))));
    }
    store
}

/// The places of the entries found, after checking that they are chat 5's.
fn seqs(store: &Store, of: RangeInclusive<u64>, entries_max: usize, bytes_max: usize) -> Vec<u64> {
    let (from, to) = (Seq(*of.start()), Seq(*of.end()));
    let found = store.entries(P, ChatNo(5), from, to, entries_max, bytes_max).expect("readable");
    found
        .iter()
        .map(|found| {
            assert_eq!(**found, entry(found.seq.0, &[5; 10]));
            found.seq.0
        })
        .collect()
}

fn numbers(range: RangeInclusive<u64>) -> Vec<u64> {
    range.collect()
}

pub(crate) fn entries_are_paged_by_number(subject: &mut dyn Subject) {
    let store = store_with_entries(subject);
    for max in [1, 2, 7, 99, 100, 101] {
        let mut from = 1;
        let mut all = Vec::new();
        loop {
            let page = seqs(&store, from..=100, max, usize::MAX);
            assert!(page.len() <= max);
            let Some(last) = page.last() else { break };
            assert!(*last >= from, "it goes on");
            from = last + 1;
            all.push(page);
        }
        assert_eq!(all.concat(), numbers(1..=100));
        assert!(all.iter().rev().skip(1).all(|page| page.len() == max), "only the last is short");
    }
}

pub(crate) fn entries_are_paged_by_bytes(subject: &mut dyn Subject) {
    let store = store_with_entries(subject);
    // Until they exceed it: the one that does is still given, so there is always one.
    for (bytes_max, last) in [(0, 1), (1, 1), (9, 1), (10, 2), (19, 2), (20, 3), (995, 100)] {
        assert_eq!(seqs(&store, 1..=100, 999, bytes_max), numbers(1..=last), "{bytes_max}");
    }
    assert_eq!(seqs(&store, 1..=100, 3, 50), numbers(1..=3), "whichever comes first");
    assert_eq!(seqs(&store, 1..=100, 30, 25), numbers(1..=3));
    assert_eq!(seqs(&store, 100..=100, 9, 0), [100]);
}

pub(crate) fn entries_end_where_told(subject: &mut dyn Subject) {
    let store = store_with_entries(subject);
    let all = |of| seqs(&store, of, 999, usize::MAX);
    assert_eq!(all(0..=u64::MAX), numbers(1..=100), "nothing of the next chat");
    assert!(all(0..=0).is_empty());
    assert_eq!(all(1..=1), [1]);
    assert_eq!(all(40..=60), numbers(40..=60), "with the last one");
    assert_eq!(all(100..=300), [100]);
    assert!(all(101..=300).is_empty());
    let backwards = store.entries(P, ChatNo(5), Seq(60), Seq(40), 9, 99).expect("readable");
    assert!(backwards.is_empty());
    let nobody = store.entries(P, ChatNo(7), Seq(0), Seq(u64::MAX), 9, 99).expect("readable");
    assert!(nobody.is_empty());
    let elsewhere = store.entries(PartitionNo(2), ChatNo(5), Seq(0), Seq(100), 9, 99);
    assert!(elsewhere.expect("readable").is_empty());
}

pub(crate) fn sessions_come_and_go(subject: &mut dyn Subject) {
    let store = subject.store();
    let mut random = Rng::with_seed(34);
    let of = key("alice", "phone");
    let write =
        |of: &SessionKey, session| commit(&store, [Write::Session { key: of.clone(), session }]);
    let read = |of: &SessionKey| store.session(P, of).expect("readable");
    assert_eq!(read(&of), None);
    write(&of, None);
    assert_eq!(read(&of), None, "to remove what is not there is nothing");
    for _ in 0..100 {
        let session = session(&mut random);
        write(&of, Some(session.clone()));
        assert_eq!(read(&of), Some(session));
    }
    assert_eq!(read(&key("alice", "phon")), None);
    assert_eq!(read(&key("alice", "phone2")), None);
    assert_eq!(read(&key("alic", "phone")), None);
    assert_eq!(store.session(PartitionNo(0), &of).expect("readable"), None);
    write(&of, None);
    assert_eq!(read(&of), None);
    assert!(store.sessions(P, None, 9).expect("readable").is_empty());
}

pub(crate) fn sessions_are_paged(subject: &mut dyn Subject) {
    let store = subject.store();
    let mut random = Rng::with_seed(35);
    // In key order: a user's devices stand together, and "a" comes before "a-" and "ab".
    let keys = [
        key("a", ""),
        key("a", "laptop"),
        key("a", "phone"),
        key("a", "phone "),
        key("a", "phöne→🦀"),
        key("a-", "phone"),
        key("a.b", "phone"),
        key("ab", "laptop"),
        key("b", "A"),
        key("z", "\u{10FFFF}"),
    ];
    let mut expected: Vec<_> = keys.into_iter().map(|key| (key, session(&mut random))).collect();
    let mut shuffled = expected.clone();
    random.shuffle(&mut shuffled);
    for (key, session) in shuffled {
        commit(&store, [Write::Session { key, session: Some(session) }]);
    }
    let paged = |max| {
        let mut all: Vec<(SessionKey, _)> = Vec::new();
        loop {
            let after = all.last().map(|(key, _)| key);
            let page = store.sessions(P, after, max).expect("readable");
            assert!(page.len() <= max);
            let Some((first, _)) = page.first() else { return all };
            assert!(after.is_none_or(|after| first > after), "it goes on");
            all.extend(page);
        }
    };
    for max in [1, 2, 3, 9, 10, 11, 1000] {
        assert_eq!(paged(max), expected, "pages of {max}");
    }
    // The one that a page ended with may be gone by the time the next is asked for.
    let (gone, _) = expected.remove(4);
    commit(&store, [Write::Session { key: gone.clone(), session: None }]);
    let rest = store.sessions(P, Some(&gone), 99).expect("readable");
    assert_eq!(rest, expected[4..]);
    assert_eq!(paged(3), expected);
    assert!(store.sessions(PartitionNo(0), None, 9).expect("readable").is_empty());
    assert!(store.sessions(PartitionNo(2), None, 9).expect("readable").is_empty());
}

pub(crate) fn chats_are_paged(subject: &mut dyn Subject) {
    let store = subject.store();
    assert!(store.chats(P, None).expect("readable").is_empty());
    // More than two pages; not every number is in use.
    let numbers: Vec<_> = (0..3000).map(|no| ChatNo(no * 3)).collect();
    for numbers in numbers.chunks(500) {
        let writes = numbers.iter().flat_map(|no| chat_writes(*no, &group(no.0), Seq(1), &[]));
        commit(&store, writes);
    }
    let mut all: Vec<ChatNo> = Vec::new();
    let mut pages = 0;
    loop {
        let page = store.chats(P, all.last().copied()).expect("readable");
        let Some(first) = page.first() else { break };
        assert!(all.last().is_none_or(|after| first > after), "it goes on");
        all.extend(page);
        pages += 1;
    }
    assert_eq!(all, numbers);
    assert!(pages > 1, "it should take several");
    assert_eq!(store.chats(P, Some(ChatNo(8995))).expect("readable"), [8997].map(ChatNo));
    assert!(store.chats(P, Some(ChatNo(8997))).expect("readable").is_empty());
    assert!(store.chats(PartitionNo(0), None).expect("readable").is_empty());
    assert!(store.chats(PartitionNo(2), None).expect("readable").is_empty());
}
