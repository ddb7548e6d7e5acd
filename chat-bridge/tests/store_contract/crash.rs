//! `kill -9` in the middle of commits: what `commit` returned for is there, and every batch is there
//! whole or not at all.
//!
//! The process that is killed is this test executable, told by a variable to run [`child`] alone.

use std::env;
use std::io::{BufRead, BufReader, Lines, Read, Write};
use std::path::Path;
use std::process::{self, Child, ChildStdout, Command, Stdio};
use std::thread;

use bluetick_bridge::store::{Kv, KvBatch, RocksKv, StoreError, Table};
use fastrand::Rng;

use crate::kv_rules::{END, get, scan};
use crate::{open_rocks, small};

/// Where the child finds the database; without it, a process is nobody's child.
const DIR: &str = "BLUETICK_STORE_CONTRACT_DIR";
const ROUNDS: usize = 10;
/// The parent waits for at most that many commits before it kills: the journal's files are written
/// over several times meanwhile.
const COMMITS_MAX: usize = 100;
/// A child ends by itself after so many: far more than a parent waits for.
const BATCHES_MAX: u64 = 20_000;
const COMMITTED: &str = "committed ";

const HEAD: &[u8] = b"head";

/// Batch `number`, made of nothing but its number: a log entry of up to 20 kB, so that write
/// buffers fill and files are being written when the kill comes; an id; and two records of state,
/// one overwritten and one that moves.
fn numbered(number: u64) -> KvBatch {
    let mut batch = KvBatch::default();
    let key = number.to_be_bytes();
    batch.put(Table::Log, &key, |out| out.extend_from_slice(&body(number)));
    batch.delete(Table::State, &mark(number - 1));
    batch.put(Table::State, &mark(number), |_| ());
    batch.put(Table::Ids, &key, |out| out.extend_from_slice(&key));
    batch.put(Table::State, HEAD, |out| out.extend_from_slice(&key));
    batch
}

fn body(number: u64) -> Vec<u8> {
    let mut random = Rng::with_seed(number);
    let bytes = random.usize(..20_000);
    (0..bytes).map(|_| random.u8(..)).collect()
}

fn mark(number: u64) -> Vec<u8> {
    [b"mark", &number.to_be_bytes()[..]].concat()
}

/// The last batch; asserts that the store is what the batches up to it make, and nothing else.
fn checked_head(kv: &dyn Kv) -> u64 {
    let head = get(kv, Table::State, HEAD);
    let head = head.map_or(0, |bytes| u64::from_be_bytes(bytes.try_into().expect("eight bytes")));
    let log = scan(kv, Table::Log, b"", END);
    let ids = scan(kv, Table::Ids, b"", END);
    let keys = || (1..=head).map(|number| number.to_be_bytes().to_vec());
    assert!(log.iter().map(|(key, _)| key.clone()).eq(keys()), "{head}: a hole or half a batch");
    assert!(ids.into_iter().eq(keys().map(|key| (key.clone(), key))), "{head}: the ids differ");
    assert!(log.into_iter().map(|(_, value)| value).eq((1..=head).map(body)), "{head}: a body");
    let state: Vec<_> = scan(kv, Table::State, b"", END).into_iter().map(|(key, _)| key).collect();
    let expected = [HEAD.to_vec(), mark(head)];
    assert_eq!(state, expected[..if head == 0 { 0 } else { 2 }], "{head}: the state differs");
    head
}

/// Not a rule of its own: what [`kill_loses_and_halves_nothing`] runs in another process.
#[test]
fn child() {
    let Some(dir) = env::var_os(DIR) else { return };
    // The parent holds the other end and writes nothing: an end means that it is gone.
    thread::spawn(|| {
        let mut stdin = std::io::stdin().lock();
        while stdin.read(&mut [0; 64]).is_ok_and(|bytes| bytes > 0) {}
        process::exit(3);
    });
    let kv = open_rocks(Path::new(&dir));
    let head = checked_head(&kv);
    let mut stdout = std::io::stdout().lock();
    for number in head + 1..=head + BATCHES_MAX {
        kv.commit(&numbered(number)).expect("committed");
        // A line of its own, whatever the test harness has printed before.
        write!(stdout, "\n{COMMITTED}{number}\n").expect("the parent listens");
        stdout.flush().expect("the parent listens");
    }
}

/// A child that does not outlive the test, even if that panics.
struct Victim {
    process: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Victim {
    fn start(dir: &Path) -> Self {
        let mut process = Command::new(env::current_exe().expect("this executable"))
            .args(["crash::child", "--exact", "--nocapture", "--test-threads=1"])
            .env(DIR, dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a child");
        let lines = BufReader::new(process.stdout.take().expect("a pipe")).lines();
        Self { process, lines }
    }

    /// The number of the next batch that was committed; `None` when the child is gone.
    fn next_committed(&mut self) -> Option<u64> {
        loop {
            // A line that the kill cut short is no promise.
            let line = self.lines.next()?.ok()?;
            if let Some(number) = line.strip_prefix(COMMITTED) {
                return Some(number.parse().expect("a number"));
            }
        }
    }

    fn kill(&mut self) {
        self.process.kill().expect("killed");
        self.process.wait().expect("gone");
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        // Fails where it is gone already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn kill_loses_and_halves_nothing() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut random = Rng::with_seed(41);
    let mut head = 0;
    for round in 0..ROUNDS {
        let mut victim = Victim::start(dir.path());
        let mut committed = head;
        for _ in 0..random.usize(1..=COMMITS_MAX) {
            let number = victim.next_committed().expect("it goes on until it is killed");
            assert_eq!(number, committed + 1);
            committed = number;
        }
        if round == 0 {
            let second = RocksKv::open(dir.path(), small()).err();
            assert!(matches!(second, Some(StoreError::Locked(_))), "{second:?}");
        }
        victim.kill();
        // What it said before the kill came counts too.
        while let Some(number) = victim.next_committed() {
            assert_eq!(number, committed + 1);
            committed = number;
        }
        head = checked_head(&open_rocks(dir.path()));
        // It says so before it begins the next: one at most was stored and not said.
        assert!(head == committed || head == committed + 1, "{committed} said, {head} there");
    }
    assert!(head >= ROUNDS as u64);
}
