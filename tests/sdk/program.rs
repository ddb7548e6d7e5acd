//! A program that is killed at any moment: what it had handed over to its outbox is sent, once, in order.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};

use bluetick_client::Event;

use crate::peer::{Peer, builder, soon};
use crate::support::Server;

/// What the program is told: where the server is, its outbox, and which run of it this is.
const ADDRESS: &str = "BLUETICK_TEST_ADDRESS";
const OUTBOX: &str = "BLUETICK_TEST_OUTBOX";
const RUN: &str = "BLUETICK_TEST_RUN";

/// How often it is killed.
const KILLS: usize = 12;

/// The program: this test, in a process of its own. It sends without end, and says what it has queued.
#[tokio::test]
async fn child() {
    let Ok(address) = std::env::var(ADDRESS) else { return };
    let outbox = std::env::var(OUTBOX).expect("given");
    let run = std::env::var(RUN).expect("given");
    let address = address.parse().expect("an address");
    let peer = Peer::build(builder(address, "alice").outbox(outbox)).await;
    let chat = peer.with("bob");
    for count in 0.. {
        let _queued = chat.send(format!("{run} {count}")).await.expect("queued");
        let mut out = std::io::stdout().lock();
        // The test runner may not have ended its line.
        write!(out, "\nqueued {run} {count}\n").expect("said");
        out.flush().expect("said");
    }
}

/// Runs it until it has said that it queued so many, and kills it; gives what it had said.
fn run_and_kill(address: &str, outbox: &Path, run: usize, after: usize) -> Vec<String> {
    let mut command = Command::new(std::env::current_exe().expect("this test"));
    command.args(["program::child", "--exact", "--nocapture"]);
    command.env(ADDRESS, address).env(OUTBOX, outbox).env(RUN, run.to_string());
    let mut child = command.stdout(Stdio::piped()).spawn().expect("started");
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    let said = |line: String| line.strip_prefix("queued ").map(str::to_owned);
    let mut queued = Vec::new();
    while queued.len() < after {
        let line = lines.next().expect("it goes on").expect("text");
        queued.extend(said(line));
    }
    child.kill().expect("killed");
    child.wait().expect("ended");
    queued.extend(lines.map_while(Result::ok).filter_map(said));
    queued
}

#[tokio::test]
async fn a_program_that_is_killed_loses_and_doubles_nothing() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = Server::start(&dir.path().join("data"));
    let mut bob = Peer::connect(server.address(), "bob").await;
    bob.online().await;
    let outbox = dir.path().join("outbox");
    // Every third time without a server, so that something is left for the next one.
    let closed = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let nowhere = closed.local_addr().expect("an address").to_string();
    drop(closed);
    let mut random = fastrand::Rng::with_seed(5);
    let mut queued = Vec::new();
    for run in 0..KILLS {
        let address = if run % 3 == 2 { nowhere.clone() } else { server.address().to_string() };
        let (outbox, after) = (outbox.clone(), random.usize(1..60));
        let killed = move || run_and_kill(&address, &outbox, run, after);
        queued.extend(tokio::task::spawn_blocking(killed).await.expect("it was killed"));
    }
    let inherited = Peer::build(builder(server.address(), "alice").outbox(&outbox)).await;
    soon("what was left", inherited.client.flush()).await;
    let last = inherited.with("bob").send("the end").await.expect("queued");
    soon("the end", last).await.expect("sent");
    let mut got: HashMap<String, u64> = HashMap::new();
    let mut order = (0, None);
    loop {
        let message = bob.message().await;
        let body = message.text().expect("text").to_owned();
        if body == "the end" {
            break;
        }
        let (run, count) = body.split_once(' ').expect("two numbers");
        let place = (run.parse().expect("a number"), Some(count.parse::<u64>().expect("a number")));
        assert!(place > order, "{body} after {order:?}");
        order = place;
        assert_eq!(got.insert(body, message.seq.0), None, "twice");
    }
    for body in &queued {
        assert!(got.contains_key(body), "{body} was queued and is lost");
    }
    println!("{KILLS} kills, {} queued, {} sent", queued.len(), got.len());
}

#[tokio::test]
async fn what_an_earlier_program_left_is_told_when_it_is_sent() {
    let dir = tempfile::tempdir().expect("a folder");
    let outbox = dir.path().join("outbox");
    let of = |address| builder(address, "alice").outbox(&outbox);
    let nowhere = "127.0.0.1:1".parse().expect("an address");
    let first = Peer::build(of(nowhere)).await;
    let id = first.with("bob").send("hi").await.expect("queued").id();
    first.client.close().await;
    let server = Server::start(&dir.path().join("data"));
    let mut second = Peer::build(of(server.address())).await;
    let sent = |event| match event {
        Event::Sent(sent) => Some((sent.id, sent.seq.0)),
        _ => None,
    };
    assert_eq!(second.find("what was left", sent).await, (id, 1));
    assert_eq!(second.client.queued_len(), 0);
}
