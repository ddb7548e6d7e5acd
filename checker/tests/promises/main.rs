//! Hand-made histories: for each promise, good ones that look suspicious, and broken ones.

mod amendments;
mod kept;
mod memberships;
mod once;
mod ordered;
mod presence;
mod private;
mod receipts;
mod requests;
mod script;
mod sent;
