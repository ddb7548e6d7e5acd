//! The promises on the real program: real sockets, `kill -9` in the middle of the load, restart,
//! everything that was not acknowledged sent again. `KILLS=n` kills n times (default 10);
//! `HISTORY=file` keeps the whole history of a failing run.

mod support;

use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use bluetick_checker::{Event, History, check, shrink};
use bluetick_harness::{Device, Dial, Pace, Phase, Plan, Record};
use support::Server;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::LocalSet;
use tokio::time::{Instant, sleep};

const PAIRS: [(&str, &str); 3] = [("alice", "bob"), ("alice", "carol"), ("bob", "carol")];

#[test]
fn nothing_is_lost_or_doubled_by_kill_9() {
    let kills = std::env::var("KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(10);
    let dir = tempfile::tempdir().expect("a folder");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime");
    let history = LocalSet::new().block_on(&runtime, torture(dir.path(), kills));
    let violations = check(&history);
    println!("{kills} kills, {} events, {} violations", history.len(), violations.len());
    if let Some(first) = violations.first() {
        let mut short = Vec::new();
        shrink(&history, first.promise).write_json_lines(&mut short).expect("a Vec takes it");
        if let Ok(path) = std::env::var("HISTORY") {
            let mut whole = Vec::new();
            history.write_json_lines(&mut whole).expect("a Vec takes it");
            std::fs::write(path, whole).expect("written");
        }
        panic!("{first:?}\n{}", String::from_utf8_lossy(&short));
    }
}

async fn torture(dir: &Path, kills: u32) -> History {
    let record = Record::default();
    for (a, b) in PAIRS {
        for user in [a, b] {
            record.push(Event::Member { chat: format!("{a}~{b}"), user: user.to_owned() });
        }
    }
    let address = Rc::new(RefCell::new(None));
    let (phase, _) = watch::channel(Phase::Busy);
    let mut devices = Vec::new();
    let mut open = Vec::new();
    for (at, plan) in plans().into_iter().enumerate() {
        let pace = Pace { step: Duration::from_millis(4), cut_one_in: 200 };
        let device = Device::new(plan, pace, record.clone(), at as u64);
        let (sender, receiver) = watch::channel(usize::MAX);
        open.push(receiver);
        let dial = Tcp(address.clone());
        devices.push(tokio::task::spawn_local(device.run(dial, phase.subscribe(), sender)));
    }
    let mut random = fastrand::Rng::with_seed(9);
    let mut server = None;
    for _ in 0..kills {
        let mut running = Server::start(dir);
        record.push(Event::ServerStarted);
        *address.borrow_mut() = Some(running.address());
        // Long enough to get something done, and every time another moment.
        sleep(Duration::from_millis(random.u64(150..600))).await;
        record.push(Event::ServerCrashed);
        *address.borrow_mut() = None;
        running.kill();
        server = Some(running);
    }
    drop(server);
    let running = Server::start(dir);
    record.push(Event::ServerStarted);
    *address.borrow_mut() = Some(running.address());
    phase.send_replace(Phase::Settling);
    settle(&record, &open).await;
    record.push(Event::Settled {});
    phase.send_replace(Phase::Done);
    for device in devices {
        device.await.expect("no panic").expect("the server speaks MQTT");
    }
    assert_eq!(running.terminate(), Some(0));
    record.read(Clone::clone)
}

/// Waits until all is acknowledged and nothing has happened for a while. What is missing then
/// the checker will name.
async fn settle(record: &Record, open: &[watch::Receiver<usize>]) {
    let started = Instant::now();
    let mut last = (0, Instant::now());
    while started.elapsed() < support::PATIENCE {
        sleep(Duration::from_millis(20)).await;
        let busy = open.iter().any(|open| *open.borrow() > 0);
        if busy || record.len() != last.0 {
            last = (record.len(), Instant::now());
        } else if last.1.elapsed() > Duration::from_secs(1) {
            return;
        }
    }
}

fn plans() -> Vec<Plan> {
    let mut plans = Vec::new();
    for user in ["alice", "bob", "carol"] {
        let chats = PAIRS.iter().filter(|(a, b)| *a == user || *b == user);
        let sends_to: Vec<_> = chats.map(|(a, b)| format!("{a}~{b}")).collect();
        for at in 0..4_u8 {
            plans.push(Plan {
                user: user.to_owned(),
                device: format!("{user}-{at}"),
                version: if at % 2 == 0 { 5 } else { 4 },
                persistent: at < 2,
                messages: [Some(1), Some(2), Some(1), Some(0)][usize::from(at)],
                receipts: at != 3,
                differences: at == 1,
                no_local: at == 2,
                sends_to: if at == 3 { Vec::new() } else { sends_to.clone() },
                ids: at != 1,
                reads: at != 1,
            });
        }
    }
    plans
}

struct Tcp(Rc<RefCell<Option<SocketAddr>>>);

impl Dial for Tcp {
    type Stream = TcpStream;

    async fn dial(&self) -> io::Result<TcpStream> {
        let address = *self.0.borrow();
        let stream = TcpStream::connect(address.ok_or(io::ErrorKind::ConnectionRefused)?).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}
