//! What must hold so that partitions can live on several machines (ARCHITECTURE.md, "Growing").

use std::collections::BTreeMap;
use std::sync::Arc;

use bluetick_bridge::engine::{
    Batch, ChangeUser, Chat, ChatNo, Command, ContentType, Counters, CreateChat, Engine, Facts,
    Info, Outcome, PartitionNo, Prefer, Preference, Read, RequestKey, Seen, Send, SessionKey,
    Subscribe, SubscriptionKind, UserChange, Write,
};
use bluetick_bridge::store::{MemoryKv, Store, Supplied, Table};
use bluetick_protocol::{ChatId, MessageId, Seq, UserId};
use bytes::Bytes;
use fastrand::Rng;

fn user(name: &str) -> UserId {
    UserId::try_from(name).expect("a name")
}

fn send(from: &str, to: &str, id: Option<u128>, body: &str) -> Command {
    Command::Send(Box::new(Send {
        from: user(from),
        chat: ChatId::direct(&user(from), &user(to)),
        peer_exists: true,
        may_begin: true,
        over: None,
        id: id.and_then(|id| MessageId::from_bytes(id.to_be_bytes())),
        fingerprint: None,
        dup: false,
        origin: 1,
        body: Bytes::copy_from_slice(body.as_bytes()),
        content_type: ContentType::Text,
        reply_to: None,
        mentions: Vec::new(),
        ttl_s: Some(50),
        amends: None,
        edit_window_ms: 0,
    }))
}

/// A partition over a store, without threads or sessions.
struct Driven {
    engine: Engine,
    store: Store,
    batches: Vec<Batch>,
}

impl Driven {
    fn new(no: u16, kv: Arc<MemoryKv>) -> Self {
        let (store, _) = Store::open(kv, 4).expect("a store");
        let no = PartitionNo(no);
        let counters = store.counters(no).expect("counters");
        Self { engine: Engine::new(no, counters, 2), store, batches: Vec::new() }
    }

    fn run(&mut self, command: &Command, now: u64) -> Outcome {
        let mut batch = Batch::default();
        let mut facts = Facts::default();
        let outcome = loop {
            match self.engine.decide(command, &facts, now, &mut batch) {
                Ok(outcome) => break outcome,
                Err(need) => {
                    let no = self.engine.partition();
                    match self.store.supply(no, need, &mut facts).expect("readable") {
                        Supplied::Chat(chat) => self.engine.supply_chat(chat),
                        Supplied::Noted => {}
                    }
                }
            }
        };
        self.engine.close_batch(&mut batch);
        self.store.commit([(self.engine.partition(), &batch)]).expect("stored");
        self.engine.handle_committed(&batch);
        self.batches.push(batch);
        outcome
    }
}

/// Once with the other chat in the store, once with it on its way there.
#[test]
fn two_chats_whose_names_make_the_same_number_are_two() {
    for committed in [true, false] {
        let mut driven = Driven::new(0, Arc::new(MemoryKv::default()));
        let made = ChatNo::of_direct(&ChatId::direct(&user("alice"), &user("bob")));
        let made = made.expect("it is direct");
        let other = ChatId::direct(&user("carol"), &user("dave"));
        let mut batch = Batch::default();
        batch.writes.push(Write::Chat {
            no: made,
            id: other.clone(),
            head: Seq(1),
            version: 0,
            last_at_ms: 0,
            member_count: 0,
            has_info: false,
            members: Vec::new(),
        });
        let commit = |store: &Store| store.commit([(PartitionNo(0), &batch)]).expect("stored");
        if committed {
            commit(&driven.store);
        } else {
            driven.engine.supply_chat(Box::new(Chat::new(made, other, Seq(1), 0, 0)));
        }
        let first = driven.run(&send("alice", "bob", Some(1), "one"), 1000);
        assert!(matches!(first, Outcome::Sent { seq: Seq(1), .. }), "{first:?}");
        if !committed {
            commit(&driven.store);
        }
        driven.engine.reset(driven.store.counters(PartitionNo(0)).expect("counters"));
        let second = driven.run(&send("bob", "alice", Some(2), "two"), 1001);
        assert!(matches!(second, Outcome::Sent { seq: Seq(2), .. }), "{second:?}");
    }
}

fn some_commands(seed: u64) -> Vec<Command> {
    let mut random = Rng::with_seed(seed);
    let names = ["alice", "bob", "carol", "dave"];
    let mut commands = vec![Command::CreateChat(CreateChat {
        info: Info::default(),
        members_max: 1024,
        over: None,
        chat: ChatId::try_from("g-00000000000a").expect("a group"),
        id: MessageId::from_bytes([9; 16]).expect("an id"),
        owner: user("alice"),
        members: (0..40).map(|n| user(&format!("user{n}"))).collect(),
    })];
    for n in 0..200 {
        let (a, b) = (names[random.usize(..4)], names[random.usize(..4)]);
        let chat = ChatId::direct(&user(a), &user(b));
        commands.push(match random.u8(..8) {
            0 => Command::Read(Read {
                user: user(a),
                chat,
                seq: Seq(random.u64(..9)),
                told: random.bool(),
            }),
            1 => Command::Subscribe(Subscribe {
                user: user(a),
                session: Some((format!("{a}-phone").into(), 7)),
                kind: SubscriptionKind::Messages,
                chat: None,
                live: false,
                resumed: None,
            }),
            2 => Command::Prefer(Prefer {
                request: RequestKey { user: user(a), hash: random.u128(..20) },
                chat,
                peer_exists: true,
                preference: match random.u8(..3) {
                    0 => Preference::Mute(Some(random.u64(..500))),
                    n => Preference::Block(n == 1),
                },
            }),
            3 => Command::ChangeUser(Box::new(ChangeUser {
                request: RequestKey { user: user(a), hash: random.u128(20..40) },
                change: UserChange::Privacy {
                    hides_presence: Some(random.bool()),
                    hides_reading: Some(random.bool()),
                },
            })),
            4 => match random.u8(..4) {
                0 => Command::ForgetDevice {
                    key: SessionKey { user: user(a), device: format!("{a}-phone").into() },
                    epoch: random.bool().then_some(7),
                },
                1 => {
                    Command::Seen { user: user(a), seen: Seen { at_ms: n, online: random.bool() } }
                }
                2 => Command::Stored { user: user(a), bytes: random.i64(-50..500) },
                _ => Command::Expire {
                    chat: ChatNo(random.u64(..4)),
                    seqs: (1..9).map(Seq).collect(),
                },
            },
            _ => send(a, b, random.bool().then(|| random.u128(1..40)), &format!("body {n}")),
        });
    }
    commands
}

#[test]
fn a_partition_is_a_value() {
    // Two of them in one store: neither sees the other's chats, whatever their names.
    let kv = Arc::new(MemoryKv::default());
    let (mut one, mut two) = (Driven::new(1, kv.clone()), Driven::new(2, kv));
    for (now, command) in some_commands(1).iter().enumerate() {
        let now = now as u64;
        assert_eq!(one.run(command, now), two.run(command, now));
    }
}

#[test]
fn a_batch_is_data() {
    let kv = Arc::new(MemoryKv::default());
    let mut driven = Driven::new(3, kv.clone());
    for (now, command) in some_commands(2).iter().enumerate() {
        driven.run(command, now as u64);
    }
    let copy = Arc::new(MemoryKv::default());
    let (store, _) = Store::open(copy.clone(), 4).expect("a store");
    for batch in &driven.batches {
        let bytes = serde_json::to_vec(batch).expect("a batch is serializable");
        let batch: Batch = serde_json::from_slice(&bytes).expect("and comes back");
        store.commit([(PartitionNo(3), &batch)]).expect("stored");
    }
    assert!(kv.dump() == copy.dump(), "replayed batches give the same bytes");
}

#[test]
fn a_chat_is_whole_in_its_partition() {
    let kv = Arc::new(MemoryKv::default());
    let mut driven = Driven::new(3, kv.clone());
    for (now, command) in some_commands(3).iter().enumerate() {
        driven.run(command, now as u64);
    }
    let foreign: BTreeMap<Table, usize> = kv
        .dump()
        .into_iter()
        .map(|(table, records)| {
            let others = records.keys().filter(|key| !key.starts_with(&[0, 3]));
            (table, others.filter(|key| !key.starts_with(&[0xFF, 0xFF])).count())
        })
        .collect();
    assert!(foreign.values().all(|count| *count == 0), "{foreign:?}");
    assert_eq!(kv.dump().len(), 3, "all tables are in use");
}

#[test]
fn what_crosses_the_interface_is_owned_data() {
    fn is_data<T: serde::Serialize + serde::de::DeserializeOwned + std::marker::Send + 'static>() {}
    is_data::<Command>();
    is_data::<Outcome>();
    is_data::<Batch>();
}

#[test]
fn time_and_identity_come_from_outside() {
    // The same commands at the same times give the same batches, in another process or year.
    let runs = [4, 4].map(|seed| {
        let mut driven = Driven::new(0, Arc::default());
        for (now, command) in some_commands(seed).iter().enumerate() {
            driven.run(command, now as u64);
        }
        driven.batches
    });
    assert!(runs[0] == runs[1]);
}

#[test]
fn a_repeated_id_is_found_however_old() {
    let kv = Arc::new(MemoryKv::default());
    let mut driven = Driven::new(0, kv.clone());
    let mut first = Vec::new();
    for id in 1..=300_u128 {
        first.push(driven.run(&send("alice", "bob", Some(id << 64), "x"), 5));
    }
    // Another process, nothing in memory.
    let mut driven = Driven::new(0, kv);
    for (id, first) in (1..=300_u128).zip(&first) {
        let again = driven.run(&send("alice", "bob", Some(id << 64), "another body"), 9);
        let (Outcome::Sent { seq, at_ms, .. }, Outcome::Sent { seq: then, at_ms: at, .. }) =
            (&again, first)
        else {
            panic!("{again:?} {first:?}")
        };
        assert_eq!((seq, at_ms), (then, at));
        assert!(matches!(again, Outcome::Sent { duplicate: true, .. }));
    }
    // Bob may use the same id: it is the sender's.
    let bobs = driven.run(&send("bob", "alice", Some(1 << 64), "mine"), 9);
    assert!(matches!(bobs, Outcome::Sent { duplicate: false, seq: Seq(301), .. }), "{bobs:?}");
}

#[test]
fn counters_survive() {
    let kv = Arc::new(MemoryKv::default());
    let mut driven = Driven::new(0, kv.clone());
    driven.run(&send("a", "b", None, "x"), 1);
    driven.run(&send("a", "c", None, "x"), 1);
    let (store, _) = Store::open(kv, 4).expect("a store");
    let counters = store.counters(PartitionNo(0)).expect("counters");
    assert_eq!(counters, Counters { next_chat: 2, tick: 2 });
}
