//! bluetick.
fn main() {}
