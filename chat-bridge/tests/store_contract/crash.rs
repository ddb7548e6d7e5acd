//! `kill -9` in the middle of commits: what `commit` returned for is there, and every batch is there
//! whole or not at all.

use bluetick_bridge::store::{RocksKv, StoreError};
use fastrand::Rng;

use crate::numbered::checked_head;
use crate::process::Process;
use crate::{open_rocks, small};

const ROUNDS: usize = 10;
/// The parent waits for at most that many commits before it kills: the journal's files are written
/// over several times meanwhile.
const COMMITS_MAX: usize = 100;
/// A child ends by itself after so many: far more than a parent waits for.
const BATCHES_MAX: u64 = 20_000;
/// Write buffers fill and files are being written when the kill comes.
const BODY_BYTES_MAX: usize = 20_000;

#[test]
fn kill_loses_and_halves_nothing() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut random = Rng::with_seed(41);
    let mut head = 0;
    for round in 0..ROUNDS {
        let mut process = Process::open(dir.path());
        assert_eq!(process.checked_head(), head);
        process.begin_commits(head + 1..=head + BATCHES_MAX, 0..=BODY_BYTES_MAX);
        let mut committed = head;
        for _ in 0..random.usize(1..=COMMITS_MAX) {
            let number = process.answer().expect("it goes on until it is killed");
            assert_eq!(number, committed + 1);
            committed = number;
        }
        if round == 0 {
            let second = RocksKv::open(dir.path(), small()).err();
            assert!(matches!(second, Some(StoreError::Locked(_))), "{second:?}");
        }
        process.kill();
        // What it said before the kill came counts too.
        while let Some(number) = process.answer() {
            assert_eq!(number, committed + 1);
            committed = number;
        }
        head = checked_head(&open_rocks(dir.path()));
        // It says so before it begins the next: one at most was stored and not said.
        assert!(head == committed || head == committed + 1, "{committed} said, {head} there");
    }
    assert!(head >= ROUNDS as u64);
}
