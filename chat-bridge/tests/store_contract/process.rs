//! A store in a process of its own, which can be held still, looked at, and killed: what a crash
//! leaves is seen nowhere else. The folder of a store that is open in this one is never still, its
//! own threads make and remove files.
//!
//! The process is this test executable, told by a variable to run [`child`] alone. It reads an
//! order a line and answers each.

use std::env;
use std::fs;
use std::io::{self, BufRead, BufReader, Lines, Write};
use std::ops::RangeInclusive;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use bluetick_bridge::store::{Kv, RocksKv, Table};
use fastrand::Rng;
use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};
use tempfile::TempDir;

use crate::numbered::{checked_head, numbered};
use crate::open_rocks;

/// Where the child finds the database; without it, a process is nobody's child.
const DIR: &str = "BLUETICK_STORE_CONTRACT_DIR";
/// Begins the lines that are for the parent: the test harness prints others.
const ANSWER: &str = "answer ";

/// Not a rule of its own: what a [`Process`] runs.
#[test]
fn child() {
    let Some(dir) = env::var_os(DIR) else { return };
    let kv = open_rocks(Path::new(&dir));
    for order in io::stdin().lock().lines() {
        obey(&kv, &order.expect("an order"));
    }
}

fn obey(kv: &RocksKv, order: &str) {
    let words: Vec<_> = order.split(' ').collect();
    let number = |at: usize| words[at].parse::<u64>().expect("a number");
    match words[0] {
        "commit" => {
            let mut random = Rng::with_seed(number(1));
            for batch in number(1)..=number(2) {
                let bytes = random.u64(number(3)..=number(4));
                kv.commit(&numbered(batch, bytes as usize)).expect("committed");
                answer(batch);
            }
        }
        "compact" => {
            kv.compact(Table::ALL[number(1) as usize]).expect("written");
            answer(0);
        }
        "check" => answer(checked_head(kv)),
        _ => panic!("{order}"),
    }
}

fn answer(number: u64) {
    let mut stdout = io::stdout().lock();
    // A line of its own, whatever the test harness has printed before. A parent that is gone ends
    // this process.
    write!(stdout, "\n{ANSWER}{number}\n").expect("the parent listens");
    stdout.flush().expect("the parent listens");
}

/// Does not outlive the test, even if that panics.
pub(crate) struct Process {
    child: Child,
    /// `None` once it is told to end.
    orders: Option<ChildStdin>,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Process {
    /// Opens the store in a folder, with [small](crate::small) buffers.
    pub(crate) fn open(dir: &Path) -> Self {
        let mut child = Command::new(env::current_exe().expect("this executable"))
            .args(["process::child", "--exact", "--nocapture", "--test-threads=1"])
            .env(DIR, dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a child");
        let lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        Self { orders: child.stdin.take(), child, lines }
    }

    fn order(&mut self, order: &str) {
        let orders = self.orders.as_mut().expect("it was not told to end");
        writeln!(orders, "{order}").expect("it listens");
    }

    /// The next answer; `None` when the process is gone.
    pub(crate) fn answer(&mut self) -> Option<u64> {
        loop {
            // A line that a kill cut short is no promise.
            let line = self.lines.next()?.ok()?;
            if let Some(number) = line.strip_prefix(ANSWER) {
                return Some(number.parse().expect("a number"));
            }
        }
    }

    /// Has it begin to commit these, with bodies of so many bytes; each is answered with its
    /// number.
    pub(crate) fn begin_commits(
        &mut self,
        numbers: RangeInclusive<u64>,
        bytes: RangeInclusive<usize>,
    ) {
        let [first, last] = [numbers.start(), numbers.end()];
        self.order(&format!("commit {first} {last} {} {}", bytes.start(), bytes.end()));
    }

    /// Returns when they are committed.
    pub(crate) fn commit(&mut self, numbers: RangeInclusive<u64>, bytes: usize) {
        self.begin_commits(numbers.clone(), bytes..=bytes);
        for number in numbers {
            assert_eq!(self.answer(), Some(number));
        }
    }

    pub(crate) fn compact(&mut self, table: Table) {
        let index = Table::ALL.iter().position(|it| *it == table).expect("a table");
        self.order(&format!("compact {index}"));
        self.answer().expect("compacted");
    }

    /// The number of the last batch; what is there was looked at.
    pub(crate) fn checked_head(&mut self) -> u64 {
        self.order("check");
        self.answer().expect("it is as it should be")
    }

    /// What a crash would leave of its folder now. It goes on afterwards.
    pub(crate) fn crashed(&self, dir: &Path) -> TempDir {
        let id = Pid::from_child(&self.child);
        kill_process(id, Signal::STOP).expect("told to stop");
        // Tells when each of its threads stands still.
        let status = waitpid(Some(id), WaitOptions::UNTRACED).expect("its parent may wait");
        assert!(status.is_some_and(|(_, status)| status.stopped()), "it is gone");
        let left = copied(dir);
        kill_process(id, Signal::CONT).expect("told to go on");
        left
    }

    /// Closes the store in order.
    pub(crate) fn close(mut self) {
        self.orders = None;
        let status = self.child.wait().expect("gone");
        assert!(status.success(), "{status}");
    }

    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("gone");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Fails where it is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A copy of a folder that nobody writes to.
pub(crate) fn copied(from: &Path) -> TempDir {
    let dir = tempfile::tempdir().expect("a folder");
    copy(from, dir.path());
    dir
}

pub(crate) fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).expect("a folder") {
        let path = entry.expect("an entry").path();
        let target = to.join(path.file_name().expect("a name"));
        if path.is_dir() {
            fs::create_dir_all(&target).expect("made");
            copy(&path, &target);
        } else {
            fs::copy(&path, target).expect("copied");
        }
    }
}
