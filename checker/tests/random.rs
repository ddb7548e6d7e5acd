//! Random good histories keep every promise; the same histories with one thing wrong do not.

mod model;
mod mutation;

use bluetick_checker::{Event, History, check};
use fastrand::Rng;
use mutation::{CERTAIN, LIKELY, Mutation};

/// Histories that each test looks at.
const SEEDS: u64 = 300;

/// Steps of the model a history: 600 to 1,500 events.
const STEPS: usize = 600;

#[test]
fn good_histories_keep_every_promise() {
    for seed in 0..SEEDS {
        let history = model::good_history(seed, STEPS);
        assert_eq!(check(&history), [], "seed {seed}, {} events", history.len());
    }
}

/// The model would be no test of the checks if it did nothing odd.
#[test]
fn good_histories_look_suspicious() {
    let histories: Vec<_> = (0..60).map(|seed| model::good_history(seed, STEPS)).collect();
    let seen = |what: &str, which: &dyn Fn(&Event) -> bool| {
        let count = histories.iter().flat_map(History::events).filter(|event| which(event)).count();
        assert!(count >= 20, "{what}: {count} times in 60 histories");
    };
    seen("explained holes", &|event| matches!(event, Event::Received { after: Some(_), .. }));
    seen("live tails", &|event| matches!(event, Event::Received { qos: 0, .. }));
    seen("ids not told", &|event| matches!(event, Event::Received { id: None, .. }));
    seen("repeats", &|event| matches!(event, Event::Acked { duplicate: Some(true), .. }));
    seen("bare answers", &|event| matches!(event, Event::Acked { seq: None, .. }));
    seen("refusals", &|event| matches!(event, Event::Refused { .. }));
    seen("crashes", &|event| matches!(event, Event::ServerCrashed));
    seen("sessions resumed", &|event| {
        matches!(event, Event::Connected { session_present: true, .. })
    });
    seen("sessions discarded", &|event| matches!(event, Event::SessionEnded { .. }));
    seen("receipts", &|event| matches!(event, Event::Receipt { read: 1.., .. }));
}

#[test]
fn what_must_be_caught_is_caught() {
    for mutation in CERTAIN {
        let (caught, spoiled) = caught(mutation);
        println!("{}: {caught} of {spoiled}", mutation.name);
        assert!(spoiled >= 100, "{}: only {spoiled} places", mutation.name);
        assert_eq!(caught, spoiled, "{}", mutation.name);
    }
}

#[test]
fn what_may_go_unseen_is_mostly_caught() {
    for (mutation, percent) in LIKELY {
        let (caught, spoiled) = caught(mutation);
        println!("{}: {caught} of {spoiled}", mutation.name);
        assert!(spoiled >= 100, "{}: only {spoiled} places", mutation.name);
        assert!(caught * 100 >= spoiled * percent, "{}: {caught} of {spoiled}", mutation.name);
    }
}

/// How many histories were caught, of how many that could be spoiled so.
fn caught(mutation: &Mutation) -> (usize, usize) {
    let (mut caught, mut spoiled) = (0, 0);
    for seed in 0..SEEDS {
        let history = model::good_history(seed, STEPS);
        let mut rng = Rng::with_seed(seed);
        let Some(history) = mutation.mutate(&history, &mut rng) else {
            continue;
        };
        spoiled += 1;
        let found = check(&history);
        let named = found.iter().any(|violation| mutation.breaks.contains(&violation.promise));
        if !named {
            println!("{} went unseen: seed {seed}, found {found:?}", mutation.name);
        }
        caught += usize::from(named);
    }
    (caught, spoiled)
}
