//! A broken history shrinks to the few events that show the fault.

mod model;
mod mutation;

use bluetick_checker::{History, Promise, check, shrink};
use fastrand::Rng;
use mutation::{CERTAIN, LIKELY};

/// Events of a shrunk history; each fault here needs fewer.
const HANDFUL: usize = 12;

fn first_words(history: &History, promise: Promise) -> Option<String> {
    check(history)
        .into_iter()
        .find(|violation| violation.promise == promise)
        .map(|violation| violation.what)
}

#[test]
fn a_long_history_shrinks_to_a_handful() {
    for (seed, mutation) in
        (1000..).zip(CERTAIN.iter().chain(LIKELY.iter().map(|(mutation, _)| mutation)))
    {
        let good = model::good_history(seed, 1_500);
        assert!(good.len() >= 2_000, "{} events", good.len());
        let Some(broken) = mutation.mutate(&good, &mut Rng::with_seed(seed)) else {
            continue;
        };
        for promise in mutation.breaks {
            let Some(what) = first_words(&broken, *promise) else {
                continue;
            };
            let small = shrink(&broken, *promise);
            assert!(
                small.len() <= HANDFUL,
                "{}, {promise:?}: {} events: {small:#?}",
                mutation.name,
                small.len()
            );
            // The very fault, not one that leaving events out has made.
            let same =
                check(&small).iter().any(|found| found.promise == *promise && found.what == what);
            assert!(same, "{}: {what} is not in {small:#?}", mutation.name);
            // Nothing to spare.
            for left_out in 0..small.len() {
                let events = small.events().iter().enumerate().filter(|(at, _)| *at != left_out);
                let smaller: History = events.map(|(_, event)| event.clone()).collect();
                let same = check(&smaller)
                    .iter()
                    .any(|found| found.promise == *promise && found.what == what);
                assert!(!same, "{}: event {left_out} is to spare in {small:#?}", mutation.name);
            }
        }
    }
}

#[test]
fn a_good_history_is_left_as_it_is() {
    let good = model::good_history(1, 200);
    assert_eq!(shrink(&good, Promise::Kept), good);
}
