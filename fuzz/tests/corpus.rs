//! A short run without an engine: every target over its corpus, and over seeded mutations of it.

use std::panic::{AssertUnwindSafe, catch_unwind};

use bluetick_fuzz::corpus::to_hex;
use bluetick_fuzz::mutate::mutate;
use bluetick_fuzz::{TARGETS, Target};
use fastrand::Rng;

const SEED: u64 = 20_251_124;

/// Mutations for each target.
const MUTATIONS: usize = 20_000;

/// Bytes of a mutation at most.
const BYTES_MAX: usize = 512;

fn run(name: &str) {
    let target = TARGETS.iter().find(|target| target.name == name).expect("a target");
    let corpus = target.corpus().expect("a corpus");
    assert!(corpus.len() >= 10, "{} inputs: is this the corpus?", corpus.len());
    for input in &corpus {
        check(target, input);
    }
    let mut rng = Rng::with_seed(SEED);
    for _ in 0..MUTATIONS {
        let mut input = rng.choice(&corpus).expect("some").clone();
        let other = rng.choice(&corpus).expect("some");
        mutate(&mut rng, &mut input, other);
        input.truncate(BYTES_MAX);
        check(target, &input);
    }
}

fn check(target: &Target, input: &[u8]) {
    if catch_unwind(AssertUnwindSafe(|| (target.run)(input))).is_err() {
        panic!("{} breaks on {}", target.name, to_hex(input));
    }
}

/// A test for each target, and none without.
macro_rules! targets {
    ($($name:ident)*) => {
        $(
            #[test]
            fn $name() {
                run(stringify!($name));
            }
        )*

        #[test]
        fn every_target_is_run() {
            let names: Vec<_> = TARGETS.iter().map(|target| target.name).collect();
            assert_eq!(names, [$(stringify!($name)),*]);
        }
    };
}

targets! { codec_v4 codec_v5 session topic records plain_records json cbor rpc }
