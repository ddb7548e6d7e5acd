//! What is read of the machine: processes, the disk, and the statistics of what was measured.

pub mod disk;
pub mod machine;
pub mod process;
pub(crate) mod spent;
pub mod stats;
