//! The packet codec against the bytes of the specification, against what is wrong in every way
//! we know, and against chance.

mod decoding;
mod encoding;
mod first_byte;
mod malformed;
mod mutations;
mod notation;
mod round_trip;
mod statements;
