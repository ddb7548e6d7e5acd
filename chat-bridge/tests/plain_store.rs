//! Plain topics on the store: what is committed is found again, in the same bytes for ever.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::mpsc;

use bluetick_bridge::store::{
    Fault, Kv, KvBatch, MemoryKv, PlainStore, RocksKv, RocksOptions, Table,
};
use bluetick_broker::host::SessionKey;
use bluetick_broker::keep::{
    Change, Keeper, Kept, KeptAll, KeptDelivery, KeptMessage, KeptPlace, KeptRetained, KeptSession,
    KeptSubscription, NotKept, SessionRef,
};
use bluetick_broker::packet::{FilterRequest, QoS};

fn of(client: &str, epoch: u64) -> SessionRef {
    let key = SessionKey { user: "bob".into(), client_id: client.into() };
    SessionRef { key, epoch }
}

fn message() -> KeptMessage {
    KeptMessage {
        topic: "a/b".into(),
        properties: (&[1_u8, 1][..]).into(),
        payload: "hi".into(),
        expires_at_ms: Some(1_764_000_000_000),
        retain: true,
    }
}

fn delivery(packet_id: u16) -> KeptDelivery {
    KeptDelivery {
        message: message(),
        qos: QoS::ExactlyOnce,
        retain: false,
        subscription_ids: vec![7, 300],
        packet_id,
        share: Some("$share/g/a/#".into()),
    }
}

fn session() -> KeptSession {
    KeptSession { expiry_s: 3600, offline_since_ms: Some(5) }
}

fn subscription() -> KeptSubscription {
    let request = FilterRequest {
        filter: "a/#".into(),
        qos: QoS::AtLeastOnce,
        no_local: true,
        retain_as_published: false,
        retain_handling: 2,
    };
    KeptSubscription { request, id: Some(7) }
}

fn all() -> (Vec<Change>, Kept) {
    let bob = of("phone", 0x0102);
    let retained =
        KeptRetained { message: message(), qos: QoS::AtLeastOnce, from: bob.key.clone() };
    let changes = vec![
        Change::Retain(retained.clone()),
        Change::Retain(KeptRetained {
            message: KeptMessage { topic: "gone".into(), ..message() },
            ..retained.clone()
        }),
        Change::Unretain("gone".into()),
        Change::Session(bob.clone(), session()),
        Change::Subscribe(bob.clone(), subscription()),
        Change::Queue(bob.clone(), 2, delivery(0x8000)),
        Change::Queue(bob.clone(), 256, delivery(0x8001)),
        Change::Queue(bob.clone(), 257, delivery(0x8002)),
        Change::Release(bob.clone(), 2, 0x8000),
        Change::Unqueue(bob.clone(), 257),
        Change::Receive(bob.clone(), 9),
        Change::Receive(bob.clone(), 10),
        Change::Unreceive(bob.clone(), 10),
    ];
    let kept = KeptAll {
        of: bob,
        session: session(),
        subscriptions: vec![subscription()],
        queue: vec![(2, KeptPlace::Released(0x8000)), (256, KeptPlace::Delivery(delivery(0x8001)))],
        received: vec![9],
    };
    (changes, Kept { retained: vec![retained], sessions: vec![kept] })
}

/// Commits and waits.
fn commit(store: &PlainStore, changes: Vec<Change>) -> Result<(), NotKept> {
    let (told, heard) = mpsc::channel();
    store.commit(changes, Some(Box::new(move |kept| told.send(kept).expect("it is waited for"))));
    heard.recv().expect("it is told")
}

/// The clients of the sessions that are kept.
fn clients(kv: Arc<dyn Kv>) -> Vec<String> {
    let (_, writer, kept) = PlainStore::open(kv).expect("opened");
    writer.stop();
    kept.sessions.iter().map(|all| all.of.key.client_id.to_string()).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn dump(kv: &dyn Kv) -> Vec<String> {
    let mut lines = Vec::new();
    kv.scan(Table::Plain, &[], &[0xFF], &mut |key, value| {
        lines.push(format!("{}:{}", hex(key), hex(value)));
        ControlFlow::Continue(())
    })
    .expect("it can be read");
    lines
}

#[test]
fn what_is_committed_is_found_again_in_the_same_bytes() {
    let kv = Arc::new(MemoryKv::default());
    let (store, writer, kept) = PlainStore::open(kv.clone()).expect("opened");
    assert_eq!(kept, Kept::default());
    let (changes, expected) = all();
    commit(&store, changes).expect("kept");
    writer.stop();
    // A line that changes is a new record version, not a new line.
    let golden = include_str!("plain_golden.txt");
    assert_eq!(dump(&*kv).join("\n") + "\n", golden);
    let (_, writer, kept) = PlainStore::open(kv).expect("opened");
    assert_eq!(kept, expected);
    writer.stop();
}

#[test]
fn rocksdb_keeps_it_as_well() {
    let dir = tempfile::tempdir().expect("a folder");
    let (changes, expected) = all();
    let open = || Arc::new(RocksKv::open(dir.path(), RocksOptions::default()).expect("opened"));
    let (store, writer, _) = PlainStore::open(open()).expect("opened");
    // Nobody waits: the end does.
    store.commit(changes, None);
    writer.stop();
    let (store, writer, kept) = PlainStore::open(open()).expect("opened");
    assert_eq!(kept, expected);
    commit(&store, vec![Change::EndSession(of("phone", 0x0102))]).expect("kept");
    writer.stop();
    let (_, writer, kept) = PlainStore::open(open()).expect("opened");
    assert_eq!(kept.sessions, []);
    writer.stop();
}

#[test]
fn a_session_ends_alone_and_with_what_comes_in_the_same_batch() {
    let kv = Arc::new(MemoryKv::default());
    let (store, writer, _) = PlainStore::open(kv.clone()).expect("opened");
    for client in ["a", "b", "ab"] {
        commit(&store, vec![Change::Session(of(client, 1), session())]).expect("kept");
    }
    let changes = vec![
        Change::Queue(of("a", 1), 1, delivery(0)),
        Change::EndSession(of("a", 1)),
        Change::Session(of("a", 2), session()),
    ];
    commit(&store, changes).expect("kept");
    // Too late: there is no such session any more.
    commit(&store, vec![Change::Queue(of("a", 1), 2, delivery(0))]).expect("kept");
    writer.stop();
    let (_, writer, kept) = PlainStore::open(kv.clone()).expect("opened");
    writer.stop();
    let found: Vec<_> = kept.sessions.iter().map(|all| (&all.of, all.queue.len())).collect();
    assert_eq!(found, [(&of("a", 2), 0), (&of("ab", 1), 0), (&of("b", 1), 0)]);
    assert_eq!(dump(&*kv).len(), 3, "what belongs to no session is removed");
}

#[test]
fn who_waits_is_told_of_a_failure_and_the_rest_is_made_up_for() {
    let kv = Arc::new(MemoryKv::default());
    let (store, writer, _) = PlainStore::open(kv.clone()).expect("opened");
    kv.inject(Fault::FailBefore);
    assert_eq!(
        commit(&store, vec![Change::Session(of("a", 1), session())]),
        Err(NotKept { tried: true })
    );
    store.commit(vec![Change::Session(of("b", 1), session())], None);
    writer.stop();
    assert_eq!(clients(kv), ["b"]);
}

#[test]
fn what_waits_for_a_store_that_fails_is_bounded() {
    let kv = Arc::new(MemoryKv::default());
    let (store, writer, _) = PlainStore::open(kv.clone()).expect("opened");
    kv.break_down();
    let of_client = |client: &str| Change::Session(of(client, 1), session());
    assert_eq!(commit(&store, vec![of_client("a")]), Err(NotKept { tried: true }));
    let too_many = (0..200_001).map(|_| of_client("too many")).collect();
    store.commit(too_many, None);
    store.commit(vec![of_client("b")], None);
    assert_eq!(commit(&store, vec![of_client("c")]), Err(NotKept { tried: false }));
    kv.mend();
    writer.stop();
    assert_eq!(clients(kv), ["b"]);
}

#[test]
fn damage_is_told() {
    let kv = Arc::new(MemoryKv::default());
    let mut batch = KvBatch::default();
    batch.put(Table::Plain, b"ra/b", |out| out.push(9));
    kv.commit(&batch).expect("committed");
    assert!(PlainStore::open(kv).is_err());
}
