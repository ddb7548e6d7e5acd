//! `bluetick chat`, `send`, `listen` and `history` of the real binary, against the real server: on a real
//! terminal (a pty, and a parser of what comes out of it), and in pipes.

mod commands;
mod picture;
mod pty;
mod screen;
#[path = "../support/mod.rs"]
mod support;

use std::path::Path;

use support::Server;

/// The environment of everybody here: the server, and a state directory of the test's own.
fn environment(url: &str, state: &Path) -> Vec<(String, String)> {
    let state = state.to_str().expect("UTF-8").to_owned();
    let pairs = [
        ("BLUETICK_URL", url.to_owned()),
        ("BLUETICK_STATE_DIR", state),
        ("TZ", "UTC".to_owned()),
        ("TERM", "xterm-256color".to_owned()),
    ];
    pairs.map(|(name, value)| (name.to_owned(), value)).to_vec()
}

fn url(server: &Server) -> String {
    format!("mqtt://{}", server.address())
}
