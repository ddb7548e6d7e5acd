//! `history`: a member walks through a long chat, from the newest message back, page by page.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::error::{Deadline, Error};
use crate::figures::Figures;
use crate::generator::blocking::Blocking;
use crate::generator::feed::feed;
use crate::generator::fleet::Fleet;
use crate::generator::quiet::wait_until_quiet;
use crate::measure::spent::Meter;
use crate::peers::server::Server;
use crate::peers::{client, send_topic};
use crate::settings::{Count, Settings, WINDOW};
use crate::workloads::{Case, Workload};

/// How long making the chat may take.
const MAKE_LIMIT: Duration = Duration::from_secs(60);
/// How long the pages may take beyond their time.
const PAGES_LIMIT: Duration = Duration::from_secs(30);
/// Messages of a page.
const PAGE_MESSAGES: u64 = 50;
/// Who reads; the other one wrote everything.
const READER: &str = "reader";

/// Messages of the long chat, and of the short one.
const MESSAGES: [Count; 2] = [Count { full: 100_000, tiny: 220 }, Count { full: 100, tiny: 100 }];
/// Pages that a run asks for, in walks of the whole chat.
const PAGES: Count = Count { full: 4_000, tiny: 10 };

/// Pages of a chat.
pub(crate) struct History;

impl Workload for History {
    fn name(&self) -> &'static str {
        "history"
    }

    fn about(&self) -> &'static str {
        "chats.history of a chat with 100,000 messages, from the newest back, beside one with 100"
    }

    fn cases(&self, settings: &Settings) -> Vec<Case> {
        Case::sizes(MESSAGES.map(|count| settings.count(count)))
    }

    fn run(&self, case: Case, settings: &Settings) -> Result<Figures, Error> {
        let server = Server::start(case.peer, settings, WINDOW)?;
        drive(&server, case.size, settings).map_err(|error| server.explain(error))
    }

    fn plots(&self) -> &'static [&'static str] {
        &["page p50 us", "pages/s"]
    }
}

fn drive(server: &Server, messages: u32, settings: &Settings) -> Result<Figures, Error> {
    let what = format!("history, {messages} messages");
    make_chat(server, messages, settings, &Deadline::new(&what, MAKE_LIMIT))?;
    wait_until_quiet(server.process(), None, &what)?;

    let pages = settings.count(PAGES) as usize;
    let user = client(READER.into(), vec!["me/replies/+".into()]);
    let deadline = Deadline::new(&what, settings.time() + PAGES_LIMIT);
    let mut reader =
        Blocking::connect(server.address(), settings.version(), &user, WINDOW, deadline)?;
    let mut times = Vec::new();
    let meter = Meter::start(server.process())?;
    let start = Instant::now();
    let goes_on = |asked: usize| asked < pages && start.elapsed() < settings.time();
    while goes_on(times.len()) {
        walk(&mut reader, u64::from(messages), &mut times, goes_on)?;
    }
    let spent = meter.read()?;
    reader.close()?;
    let count = times.len() as f64;
    Figures::new()
        .with("pages/s", count / spent.wall.as_secs_f64())
        .with("server CPU us/page", spent.server_us(count))
        .with_latency("page", times)
}

/// One writes all messages to the other.
fn make_chat(
    server: &Server,
    messages: u32,
    settings: &Settings,
    deadline: &Deadline,
) -> Result<(), Error> {
    let writer = client("writer".into(), vec!["me/errors".into()]);
    let mut fleet =
        Fleet::connect(server.address(), settings.version(), &[writer], WINDOW, deadline)?;
    let topic = send_topic(READER, !settings.no_id);
    feed(&mut fleet, 1, settings, deadline, 0, |_, index, out| {
        out.extend_from_slice(&topic);
        index < u64::from(messages)
    })?;
    fleet.close()
}

/// Asks for page after page from the newest message to the oldest, or for as long as `more` says; the time of each.
/// Fails if a message is missing, doubled, or not in its place.
fn walk(
    reader: &mut Blocking,
    messages: u64,
    times: &mut Vec<Duration>,
    more: impl Fn(usize) -> bool,
) -> Result<(), Error> {
    let mut arguments = json!({ "chat": format!("{READER}~writer"), "limit": PAGE_MESSAGES });
    let mut left = messages;
    while left > 0 && more(times.len()) {
        let (took, page) = reader.request("chats.history", &arguments)?;
        times.push(took);
        let seqs = page["messages"].as_array().into_iter().flatten();
        let seqs = seqs.map(|message| message["seq"].as_u64());
        let first = left.saturating_sub(PAGE_MESSAGES) + 1;
        if !seqs.eq((first..=left).map(Some)) {
            return Err(Error::Wrong(format!("messages {first} to {left} of history: {page}")));
        }
        left = first - 1;
        arguments["before"] = Value::from(first);
    }
    Ok(())
}
