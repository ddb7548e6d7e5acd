//! Load figures of bluetick, with other servers run beside it on the same work.
//!
//! [`workloads`] is what is done and compared, one module each, and [`run`](fn@run) does it in turns; [`generator`]
//! makes the load, [`peers`] says what each server calls the same work and starts it, [`measure`] reads what it
//! costs. What a run gives are [`figures`]; [`report`] keeps them in a file and makes tables of that file.
//!
//! Everything stays on loopback, and every wait has a [`Deadline`](error::Deadline) that says what was missing.

pub mod error;
pub mod figures;
pub mod generator;
pub mod measure;
pub mod peers;
pub mod report;
mod run;
pub mod settings;
pub mod workloads;

pub use run::run;
