//! The promises under simulation: the real broker, bridge, engine and delivery over a store in
//! memory and pipes in memory, in virtual time, from one seed. The server is killed at any step of
//! a commit, commits fail with and without effect, connections break anywhere, devices go and
//! come. What the clients did and saw is judged by the promise checker.
//!
//! `SEEDS=n` runs n seeds, `SEED=n` just that one; `HISTORY=file` keeps the whole history of a
//! failing one. A failing run prints its seed and the shortest
//! history that shows the fault.

mod support;

use std::time::Instant;

use bluetick_checker::{History, check, shrink};
use support::wire::Wire;
use support::world::simulate;

fn from_environment(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

/// Every other seed runs over wires that take their time and lose what is under way.
fn wire_of(seed: u64) -> Wire {
    if seed.is_multiple_of(2) { Wire::Instant } else { Wire::Bad }
}

#[test]
fn the_promises_hold_whatever_happens() {
    let seeds = match from_environment("SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..from_environment("SEEDS").unwrap_or(300),
    };
    let started = Instant::now();
    let (mut events, mut crashes, mut failures) = (0, 0, 0);
    for seed in seeds.clone() {
        let outcome = simulate(seed, wire_of(seed), None);
        let violations = check(&outcome.history);
        if let Some(first) = violations.first() {
            let short = shrink(&outcome.history, first.promise);
            if let Ok(path) = std::env::var("HISTORY") {
                std::fs::write(path, text(&outcome.history)).expect("the history is written");
            }
            panic!(
                "seed {seed}: {} violations, the first: {first:?}\n\
                 the shortest history that shows it ({} of {} events):\n{}\n\
                 run it again with `make sim SEED={seed}`",
                violations.len(),
                short.len(),
                outcome.history.len(),
                text(&short),
            );
        }
        events += outcome.history.len();
        crashes += outcome.crashes;
        failures += outcome.failures;
    }
    println!(
        "{} seeds: {events} events, {crashes} crashes, {failures} failed commits, {:.1?}",
        seeds.end - seeds.start,
        started.elapsed()
    );
    assert!(events > 0 && (seeds.end - seeds.start < 20 || (crashes > 0 && failures > 0)));
}

#[test]
fn a_seed_is_a_run() {
    let (a, b) = (
        text(&simulate(5, Wire::Instant, None).history),
        text(&simulate(5, Wire::Instant, None).history),
    );
    let differ = a.lines().zip(b.lines()).enumerate().find(|(_, (a, b))| a != b);
    assert_eq!(differ, None, "the same seed must give the same history");
    assert_eq!(a.len(), b.len());
}

fn text(history: &History) -> String {
    let mut out = Vec::new();
    history.write_json_lines(&mut out).expect("a Vec takes every line");
    String::from_utf8(out).expect("JSON is UTF-8")
}
