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

use bluetick_checker::{Amends, Ask, Event, History, check, shrink};
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

/// It would be no test of the promises if little happened in it.
#[test]
fn much_happens_in_a_run() {
    let runs: Vec<_> = (0..20).map(|seed| simulate(seed, wire_of(seed), None).history).collect();
    let seen = |what: &str, which: &dyn Fn(&Event) -> bool| {
        let count = runs.iter().flat_map(History::events).filter(|event| which(event)).count();
        println!("{what}: {count}");
        assert!(count >= 20, "{what}: {count} times in 20 runs");
    };
    let amended = |event: &Event, which: fn(&Amends) -> bool| matches!(event, Event::Received { amends: Some(amends), .. } if which(amends));
    seen("edits", &|event| amended(event, |amends| matches!(amends, Amends::Edit(_))));
    seen("deletions", &|event| amended(event, |amends| matches!(amends, Amends::Delete(_))));
    seen("reactions", &|event| amended(event, |amends| matches!(amends, Amends::React(_))));
    seen("deleted bodies", &|event| matches!(event, Event::Received { deleted: true, .. }));
    seen("explained holes", &|event| matches!(event, Event::Received { after: Some(_), .. }));
    seen(
        "pages of a log",
        &|event| matches!(event, Event::History { entries, .. } if entries.len() > 5),
    );
    seen("members added", &|event| matches!(event, Event::Added { .. }));
    seen("members removed", &|event| matches!(event, Event::Removed { .. }));
    seen("refused requests", &|event| matches!(event, Event::Answered { users: None, .. }));
    seen("who is there", &|event| matches!(event, Event::Presence { online: true, .. }));
    seen("who is not", &|event| matches!(event, Event::Presence { online: false, .. }));
    seen("probes", &|event| matches!(event, Event::Probed { .. }));
    let asked = |event: &Event, which: fn(&Ask) -> bool| matches!(event, Event::Asked { ask, .. } if which(ask));
    seen("blocks", &|event| asked(event, |ask| matches!(ask, Ask::Block { blocks: true, .. })));
    seen("blocks that end", &|event| {
        asked(event, |ask| matches!(ask, Ask::Block { blocks: false, .. }))
    });
    seen("receipts off", &|event| asked(event, |ask| matches!(ask, Ask::Reading { told: false })));
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
