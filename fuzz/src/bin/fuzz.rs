//! The fuzzing engine over one target, which `FUZZ_TARGET` names. Arguments are libFuzzer's.
//! tools/fuzz.sh builds it with the coverage that the engine follows.

#![no_main]

use std::sync::OnceLock;

use bluetick_fuzz::{TARGETS, Target};
use libfuzzer_sys::fuzz_target;

static CHOSEN: OnceLock<&Target> = OnceLock::new();

fn chosen() -> &'static Target {
    let name = std::env::var("FUZZ_TARGET").unwrap_or_default();
    let names: Vec<_> = TARGETS.iter().map(|target| target.name).collect();
    let target = TARGETS.iter().find(|target| target.name == name);
    target.unwrap_or_else(|| panic!("FUZZ_TARGET has to be one of {names:?}"))
}

fuzz_target!(|data: &[u8]| {
    (CHOSEN.get_or_init(chosen).run)(data);
});
