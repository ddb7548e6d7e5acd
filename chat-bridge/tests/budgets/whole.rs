//! The whole server: broker, bridge, engine, delivery and store, from the bytes of a PUBLISH to those of
//! its acknowledgement and back from who got it.

use std::path::Path;

use bluetick_bridge::engine::{Command, CreateChat, Info};
use bluetick_protocol::{ChatId, MessageId, UserId, read_topic, send_topic};
use tempfile::TempDir;

use super::cost::Cost;
use super::server::{Client, Device, Received, Server};

/// Steps before anything is counted: queues and tables have the size that they keep.
const WARM_UP: usize = 3;

/// A thing that is done, how often, and what it may cost in all.
struct Row {
    what: &'static str,
    /// What the costs are those of.
    messages: usize,
    run: fn(usize) -> Cost,
    budget: Cost,
}

/// For so many messages: allocations, which have a little room, as tables grow now and then; RocksDB's gets,
/// scans, commits and records; reads and writes of sockets.
#[rustfmt::skip]
const BUDGETS: &[Row] = &[
    //                                                                                                                     allocs, gets, scans, commits, records, reads, writes
    row("direct: sent, stored, delivered, acknowledged; window 100",           1000, |n| direct(n, 100, Ids::Rising, 4),   [ 11200,     0,     0,    20,  1083,    20,    20]),
    row("direct: the same in MQTT 5",                                          1000, |n| direct(n, 100, Ids::Rising, 5),   [ 17200,     0,     0,    20,  1083,    20,    20]),
    row("direct: the same with window 1",                                       100, |n| direct(n, 1, Ids::Rising, 4),     [  6970,     0,     0,   200,   306,   200,   200]),
    row("direct: sent and stored, the other off line; window 100",             1000, |n| unheard(n, 100, Ids::Rising),     [  7600,     0,     0,    10,  1073,    10,    10]),
    row("direct: the same with random ids",                                    1000, |n| unheard(n, 100, Ids::Random),     [  8620,  1000,     0,    10,  2010,    10,    10]),
    row("direct: the same without ids",                                        1000, |n| unheard(n, 100, Ids::None),       [  7550,     0,     0,    10,  1010,    10,    10]),
    row("direct: sent again, known from before a restart; window 100",         1000, again,                                [ 22800, 10460,  1000,     0,     0,    10,    10]),
    row("direct: read, and the author is told; window 1",                       100, read,                                 [  5960,     0,     0,   200,   200,   200,   200]),
    row("group of 100 on line: sent, stored, delivered to 99, acknowledged",     10, group,                                [ 11130,     0,     0,    20,    90,  1000,  1000]),
    row("direct: caught up with after a restart, by one device",               1000, catch_up,                             [  7460,     5,     6,     5,     7,     5,     5]),
    row("plain, QoS 1: published, delivered, acknowledged; window 100",        1000, |n| plain(n, 100, 1),                 [  5300,    0,     0,       0,       0,    20,     20]),
    row("plain, QoS 1: the same with window 1",                                 100, |n| plain(n, 1, 1),                   [  1420,    0,     0,       0,       0,   200,    200]),
    row("plain, QoS 0: published, delivered; 100 at once",                     1000, |n| plain(n, 100, 0),                 [  5170,    0,     0,       0,       0,    10,     10]),
];

const fn row(what: &'static str, messages: usize, run: fn(usize) -> Cost, budget: [u64; 7]) -> Row {
    let [allocations, gets, scans, commits, records, reads, writes] = budget;
    let budget = Cost { allocations, gets, scans, commits, records, reads, writes };
    Row { what, messages, run, budget }
}

#[test]
fn messages_stay_within_their_budgets() {
    let mut over = Vec::new();
    let mut table = String::new();
    for Row { what, messages, run, budget } in BUDGETS {
        let cost = run(*messages);
        table += &format!("{messages:4} x {what}\n     {cost}\n");
        for (name, found, allowed) in cost.beside(budget) {
            if found > allowed {
                over.push(format!("{messages} x {what}: {found} {name}, at most {allowed}"));
            }
        }
    }
    println!("{table}");
    assert!(over.is_empty(), "\n{}\n", over.join("\n"));
}

/// What a sender calls his messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ids {
    /// Version 7, in order.
    Rising,
    /// Version 4.
    Random,
    None,
}

impl Ids {
    fn of(self, number: u64) -> Option<MessageId> {
        let number = number + 1;
        let mut bytes = [0; 16];
        match self {
            Self::None => return None,
            Self::Rising => {
                bytes[..8].copy_from_slice(&(number << 16).to_be_bytes());
                bytes[6] = 0x70;
            }
            Self::Random => {
                // An odd factor: no two numbers give the same.
                let spread = number.wrapping_mul(0x9E37_79B9_7F4A_7C15);
                bytes[..8].copy_from_slice(&spread.to_be_bytes());
                bytes[6] = 0x40;
                bytes[9..].copy_from_slice(&number.to_be_bytes()[1..]);
            }
        }
        bytes[8] = 0x80;
        MessageId::from_bytes(bytes)
    }
}

/// A sender and what he sends.
struct Author {
    client: Client,
    chat: ChatId,
    ids: Ids,
    sent: u64,
}

impl Author {
    fn new(server: &Server, version: u8, chat: ChatId, ids: Ids) -> Self {
        let alice = Device { user: "alice", version, persistent: false };
        Self { client: server.connect(&alice, &[]), chat, ids, sent: 0 }
    }

    /// Sends so many at once, as a body of 100 bytes each.
    fn send(&mut self, messages: usize) {
        for _ in 0..messages {
            let topic = send_topic(&self.chat, self.ids.of(self.sent));
            self.client.publish(&topic, 1, &[b'x'; 100]);
            self.sent += 1;
        }
        self.client.flush();
    }

    fn acknowledged(&mut self) -> usize {
        self.client.receive().pubacks
    }
}

/// So many messages in steps of `window`, after some that do not count.
fn steps(messages: usize, window: usize, mut step: impl FnMut(usize) -> Cost) -> Cost {
    assert_eq!(messages % window, 0);
    for _ in 0..WARM_UP {
        step(window);
    }
    let mut cost = Cost::default();
    for _ in 0..messages / window {
        cost += step(window);
    }
    cost
}

fn direct(messages: usize, window: usize, ids: Ids, version: u8) -> Cost {
    let dir = folder();
    let server = Server::open(dir.path());
    let bob = Device { user: "bob", version, persistent: true };
    let mut bob = server.connect(&bob, &["chats/+/messages"]);
    let mut alice = Author::new(&server, version, chat(), ids);
    steps(messages, window, |window| {
        alice.send(window);
        let mut cost = server.step();
        assert_eq!(alice.acknowledged(), window);
        assert_eq!(bob.receive(), Received { messages: window, pubacks: 0 });
        bob.flush();
        cost += server.step();
        cost
    })
}

fn unheard(messages: usize, window: usize, ids: Ids) -> Cost {
    let dir = folder();
    let server = Server::open(dir.path());
    let mut alice = Author::new(&server, 4, chat(), ids);
    steps(messages, window, |window| {
        alice.send(window);
        let cost = server.step();
        assert_eq!(alice.acknowledged(), window);
        cost
    })
}

/// All was stored by an earlier run of the server, so that none of it is in memory.
fn again(messages: usize) -> Cost {
    let window = 100;
    let dir = folder();
    stored(dir.path(), messages + WARM_UP * window);
    let server = Server::open(dir.path());
    let mut alice = Author::new(&server, 4, chat(), Ids::Rising);
    steps(messages, window, |window| {
        alice.send(window);
        let cost = server.step();
        assert_eq!(alice.acknowledged(), window);
        cost
    })
}

fn read(messages: usize) -> Cost {
    let dir = folder();
    let server = Server::open(dir.path());
    let alice = Device { user: "alice", version: 4, persistent: false };
    let mut reader = server.connect(&alice, &["chats/+/receipts"]);
    let bob = Device { user: "bob", version: 4, persistent: false };
    let mut bob = server.connect(&bob, &["chats/+/messages"]);
    let topic = read_topic(&chat());
    let mut seq = 0;
    steps(messages, 1, |_| {
        seq += 1;
        reader.publish(&send_topic(&chat(), Ids::Rising.of(seq)), 1, b"read me");
        settle(&server, &mut [&mut reader, &mut bob]);
        bob.publish(&topic, 1, seq.to_string().as_bytes());
        bob.flush();
        let mut cost = server.step();
        assert_eq!(bob.receive(), Received { messages: 0, pubacks: 1 });
        assert_eq!(reader.receive(), Received { messages: 1, pubacks: 0 });
        reader.flush();
        cost += server.step();
        cost
    })
}

fn group(messages: usize) -> Cost {
    const MEMBERS: usize = 100;
    let dir = folder();
    let server = Server::open(dir.path());
    let names: Vec<String> = (1..MEMBERS).map(|at| format!("member{at}")).collect();
    let chat = ChatId::try_from("g-000000000001").expect("a group");
    let create = Command::CreateChat(CreateChat {
        info: Info::default(),
        members_max: 1024,
        over: None,
        chat: chat.clone(),
        id: MessageId::from_bytes([7; 16]).expect("an id"),
        owner: user("alice"),
        members: names.iter().map(|name| user(name)).collect(),
    });
    server.submit(&chat, create);
    let mut members: Vec<Client> = names
        .iter()
        .map(|name| {
            let device = Device { user: name, version: 4, persistent: false };
            let mut client = server.connect(&device, &["chats/+/messages"]);
            settle(&server, &mut [&mut client]);
            client
        })
        .collect();
    let mut alice = Author::new(&server, 4, chat, Ids::Rising);
    steps(messages, 1, |_| {
        alice.send(1);
        let mut cost = server.step();
        assert_eq!(alice.acknowledged(), 1);
        for member in &mut members {
            assert_eq!(member.receive(), Received { messages: 1, pubacks: 0 });
            member.flush();
        }
        cost += server.step();
        cost
    })
}

/// From its connection to its last acknowledgement.
fn catch_up(messages: usize) -> Cost {
    let dir = folder();
    let bob = Device { user: "bob", version: 4, persistent: true };
    Server::open(dir.path()).connect(&bob, &["chats/+/messages"]);
    stored(dir.path(), messages);
    let server = Server::open(dir.path());
    let (mut bob, mut cost) = server.reconnect(&bob);
    let mut received = 0;
    loop {
        let more = bob.receive().messages;
        if more == 0 {
            break;
        }
        received += more;
        bob.flush();
        cost += server.step();
    }
    assert_eq!(received, messages);
    cost
}

fn plain(messages: usize, window: usize, qos: u8) -> Cost {
    let dir = folder();
    let server = Server::open(dir.path());
    let bob = Device { user: "bob", version: 4, persistent: false };
    let mut bob = server.connect(&bob, &["pub/+/state"]);
    let alice = Device { user: "alice", version: 4, persistent: false };
    let mut alice = server.connect(&alice, &[]);
    steps(messages, window, |window| {
        for _ in 0..window {
            alice.publish("pub/7/state", qos, &[b'x'; 100]);
        }
        alice.flush();
        let mut cost = server.step();
        assert_eq!(alice.receive().pubacks, window * usize::from(qos));
        assert_eq!(bob.receive().messages, window);
        bob.flush();
        cost += server.step();
        cost
    })
}

/// So many messages of alice to bob, by a server that is gone then.
fn stored(data: &Path, messages: usize) {
    let server = Server::open(data);
    let mut alice = Author::new(&server, 4, chat(), Ids::Rising);
    for _ in 0..messages / 100 {
        alice.send(100);
        server.step();
        assert_eq!(alice.acknowledged(), 100);
    }
}

/// Until none of them has anything to say any more.
fn settle(server: &Server, clients: &mut [&mut Client]) {
    loop {
        for client in &mut *clients {
            client.flush();
        }
        server.step();
        let received: Vec<_> = clients.iter_mut().map(|client| client.receive()).collect();
        if received.iter().all(|it| *it == Received::default()) {
            return;
        }
    }
}

fn chat() -> ChatId {
    ChatId::direct(&user("alice"), &user("bob"))
}

fn user(name: &str) -> UserId {
    UserId::try_from(name).expect("a name")
}

fn folder() -> TempDir {
    tempfile::tempdir().expect("a folder")
}
