//! The bytes of stored records hold still: what a server has written, a later one must read.
//! `golden.txt` has a line per record; one that changes is a new record version, not a new line.

use std::fmt::Write as _;
use std::sync::Arc;

use bluetick_bridge::engine::{
    Batch, Change, ChangeChat, ChangeUser, Command, CreateChat, Engine, Facts, Info, Need,
    PartitionNo, Prefer, Preference, Read, RequestKey, SavedSession, SavedSubscription, Seen, Send,
    SessionKey, User, UserChange,
};
use bluetick_bridge::engine::{ContentType, Counters};
use bluetick_bridge::store::{MemoryKv, Store};
use bluetick_protocol::{ChatId, MessageId, Seq, UserId};

#[test]
fn records_keep_their_bytes() {
    let kv = Arc::new(MemoryKv::default());
    let (store, _) = Store::open(kv.clone(), 2).expect("a store");
    let user = |name| UserId::try_from(name).expect("a name");
    let chat = ChatId::direct(&user("alice"), &user("bob"));
    let send = Send {
        from: user("alice"),
        chat: chat.clone(),
        peer_exists: true,
        may_begin: true,
        over: None,
        id: MessageId::from_bytes([0x17; 16]),
        fingerprint: None,
        dup: false,
        origin: 0xABCD,
        body: "hi".into(),
        content_type: ContentType::Other("text/html".into()),
        reply_to: Some(Seq(300)),
        mentions: vec![user("bob")],
        ttl_s: Some(60),
        amends: None,
        edit_window_ms: 0,
    };
    let plain = Send { id: None, fingerprint: Some(1 << 40), ttl_s: None, ..send.clone() };
    let hidden = Send { body: "psst".into(), ..plain.clone() };
    let prefer = |hash, preference| {
        let request = RequestKey { user: user("bob"), hash };
        Command::Prefer(Prefer { request, chat: chat.clone(), peer_exists: true, preference })
    };
    let profile = ChangeUser {
        request: RequestKey { user: user("alice"), hash: 4 },
        change: UserChange::Profile {
            name: Some("Alice".to_owned()),
            about: None,
            picture: Some("https://example.com/a.png".to_owned()),
        },
    };
    let privacy = ChangeUser {
        request: RequestKey { user: user("alice"), hash: 5 },
        change: UserChange::Privacy { hides_presence: Some(true), hides_reading: Some(false) },
    };
    let session = SavedSession {
        epoch: 77,
        expiry_s: 3600,
        disconnected_at_ms: Some(1_764_000_000_000),
        last_seen_ms: 1_763_999_999_000,
        client: "MQTT 5".to_owned(),
        subscriptions: vec![SavedSubscription {
            filter: "chats/+/messages".into(),
            qos: 1,
            no_local: true,
            id: Some(5),
            ticks: vec![1, 2],
        }],
    };
    let group = ChatId::try_from("g-7k2m9x4q1zrt").expect("a name");
    let create = CreateChat {
        chat: group.clone(),
        id: MessageId::from_bytes([0x18; 16]).expect("an id"),
        owner: user("alice"),
        members: vec![user("bob"), user("carol")],
        info: Info { title: Some("Run".to_owned()), ttl_s: 60, ..Info::default() },
        members_max: 8,
        over: None,
    };
    let remove = ChangeChat {
        request: RequestKey { user: user("alice"), hash: 1 << 100 },
        chat: group.clone(),
        id: MessageId::from_bytes([0x19; 16]).expect("an id"),
        change: Change::Remove(vec![user("carol")]),
        members_max: 8,
    };
    let key = SessionKey { user: user("bob"), device: "bob-phone".into() };
    let mut engine = Engine::new(PartitionNo(1), Counters::default(), 8);
    let mut batch = Batch::default();
    let facts = Facts { absent: [chat.clone(), group].into(), ..Facts::default() };
    let now = 1_764_000_000_000;
    for command in [
        Command::Send(Box::new(send)),
        Command::Send(Box::new(plain)),
        Command::Read(Read { user: user("bob"), chat: chat.clone(), seq: Seq(2), told: true }),
        prefer(2, Preference::Mute(Some(now + 1))),
        prefer(3, Preference::Block(true)),
        Command::Send(Box::new(hidden)),
        Command::ChangeUser(Box::new(profile)),
        Command::ChangeUser(Box::new(privacy)),
        Command::Stored { user: user("alice"), bytes: 300 },
        Command::Seen { user: user("alice"), seen: Seen { at_ms: now, online: true } },
        Command::Alive { at_ms: now },
        Command::SaveSession { key, session },
        Command::CreateChat(create),
        Command::ChangeChat(Box::new(remove)),
    ] {
        let mut facts = Facts { absent: facts.absent.clone(), ..Facts::default() };
        loop {
            match engine.decide(&command, &facts, now, &mut batch) {
                Ok(_) => break,
                Err(Need::Id { chat, author, id, .. }) => {
                    facts.ids.insert((chat, author, id), None);
                }
                Err(Need::User(id)) => {
                    facts.users.insert(id, User::default());
                }
                Err(Need::Stored(user)) => {
                    facts.stored.insert(user, 0);
                }
                Err(Need::Answer(key)) => {
                    facts.answers.insert(key, None);
                }
                Err(need) => panic!("{need:?}"),
            }
        }
    }
    engine.close_batch(&mut batch);
    store.commit([(PartitionNo(1), &batch)]).expect("stored");
    let mut text = String::new();
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    for (table, records) in kv.dump() {
        for (key, value) in records {
            writeln!(text, "{} {} {}", table.name(), hex(&key), hex(&value)).expect("a String");
        }
    }
    if std::env::var_os("WRITE_GOLDEN").is_some() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden.txt");
        std::fs::write(path, &text).expect("written");
    }
    assert_eq!(text, include_str!("golden.txt"));
}
