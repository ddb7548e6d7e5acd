//! Properties of the wire format over many random values: what is written is read back, by this
//! crate and by a JSON reader that knows nothing of it; nothing a peer sends panics.

mod compact;
mod differences;
mod generate;
mod hostile;
mod requests;
mod round_trips;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use fastrand::Rng;

/// Runs `property` once for each seed below `cases`; a failure prints its seed.
fn for_each_seed(cases: u64, property: impl Fn(&mut Rng)) {
    for seed in 0..cases {
        let run = AssertUnwindSafe(|| property(&mut Rng::with_seed(seed)));
        if let Err(panic) = catch_unwind(run) {
            eprintln!("failed with seed {seed}");
            resume_unwind(panic);
        }
    }
}
