//! A group of bluetick, made the way a client makes it.

use std::net::SocketAddr;

use serde_json::json;

use crate::error::{Deadline, Error};
use crate::generator::blocking::Blocking;
use crate::peers::{client, member_name};
use crate::settings::Settings;

/// The user who makes the group and sends to it.
pub(crate) const SENDER: &str = "sender";

/// Makes a group of [`SENDER`] and the members 0 to `members` - 1; gives the name of its chat.
///
/// # Errors
/// A refusal, a lost connection, or the deadline.
pub(crate) fn make_group(
    address: SocketAddr,
    settings: &Settings,
    members: u32,
    deadline: &Deadline,
) -> Result<String, Error> {
    let maker = client(SENDER.into(), vec!["me/replies/+".into()]);
    let mut maker = Blocking::connect(address, settings.version(), &maker, 1, deadline.clone())?;
    let members: Vec<_> = (0..members as usize).map(member_name).collect();
    let (_, made) =
        maker.request("groups.create", &json!({ "title": "bench", "members": members }))?;
    maker.close()?;
    made["chat"]
        .as_str()
        .map(str::to_owned)
        .ok_or_else(|| Error::Wrong(format!("groups.create gives no chat: {made}")))
}
