//! `chats-list`: a user asks for all of his chats, page by page; and how long the message of somebody else takes
//! meanwhile.
//!
//! Others began the chats, with a few messages each that he has not read. First only he asks, then only the others
//! write to each other, then both.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::{Value, json};

use crate::blocking::Blocking;
use crate::couple::Couple;
use crate::error::{Deadline, Error};
use crate::feed::feed;
use crate::fleet::Fleet;
use crate::peer::{Peer, client, send_topic};
use crate::quiet::wait_until_quiet;
use crate::server::Server;
use crate::settings::{Settings, WINDOW, Workload};
use crate::stats::Latency;

/// How long making the chats may take.
const MAKE_LIMIT: Duration = Duration::from_secs(60);
/// How long each of the three parts may take beyond its time.
const PART_LIMIT: Duration = Duration::from_secs(30);
/// Messages of each chat.
const MESSAGES_PER_CHAT: u64 = 3;
/// Chats of a page.
const PAGE_CHATS: u32 = 50;
/// Who asks.
const LISTER: &str = "lister";

/// One run's figures.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct ChatsListRun {
    /// Chats of the user who asks.
    pub chats: u32,
    /// Pages of a whole list.
    pub pages_per_list: u32,
    /// From the request of a page to its answer.
    pub page: Latency,
    /// User and system time of the server per page.
    pub server_cpu_us: f64,
    /// From the first request of a list to the last answer, the median.
    pub list_ms: f64,
    /// Nobody asks: from somebody's PUBLISH until he has the PUBACK and another user the message.
    pub message_quiet: Latency,
    /// The same while the lists are asked for without a pause.
    pub message_meanwhile: Latency,
}

/// Runs once against a fresh server.
///
/// # Errors
/// Whatever the server does wrong or too late.
pub fn run_chats_list(chats: u32, settings: &Settings) -> Result<ChatsListRun, Error> {
    let server = Server::start(Peer::Bluetick, settings, Workload::ChatsList.window())?;
    drive(&server, chats, settings).map_err(|error| server.explain(error))
}

fn drive(server: &Server, chats: u32, settings: &Settings) -> Result<ChatsListRun, Error> {
    let what = format!("chats-list, {chats} chats");
    make_chats(server, chats, settings, &Deadline::new(&what, MAKE_LIMIT))?;
    wait_until_quiet(server.process(), None, &what)?;

    let part = || Deadline::new(&what, settings.time() + PART_LIMIT);
    let mut lister = Lister::connect(server, chats, settings, part())?;
    let _warm = lister.list()?;
    let before = server.process().cpu()?;
    let (mut pages, mut lists) = (Vec::new(), Vec::new());
    let start = Instant::now();
    while pages.len() < settings.pages as usize && start.elapsed() < settings.time() {
        let list = lister.list()?;
        lists.push(list.iter().sum());
        pages.extend(list);
    }
    let cpu = server.process().cpu()? - before;
    lister.connection.close()?;

    let mut couple = Couple::connect(server, settings, part())?;
    let write = |couple: &mut Couple| -> Result<Vec<Duration>, Error> {
        let start = Instant::now();
        let said = couple
            .write(|count| count < settings.pages as usize && start.elapsed() < settings.time())?;
        Ok(said.into_iter().map(|said| said.received).collect())
    };
    let quiet = write(&mut couple)?;
    let asking = AtomicBool::new(true);
    let mut lister = Lister::connect(server, chats, settings, part())?;
    let meanwhile = std::thread::scope(|scope| {
        let lists = scope.spawn(|| {
            while asking.load(Ordering::Relaxed) {
                let _times = lister.list()?;
            }
            lister.connection.close()
        });
        let times = write(&mut couple);
        asking.store(false, Ordering::Relaxed);
        let lists = lists
            .join()
            .unwrap_or_else(|_| Err(Error::Wrong("the lister's thread panicked".into())));
        // The lister's error says more.
        lists.and(times)
    })?;
    let none = || Error::Wrong("nothing was measured".into());
    Ok(ChatsListRun {
        chats,
        pages_per_list: chats.div_ceil(PAGE_CHATS),
        server_cpu_us: cpu.as_secs_f64() * 1e6 / pages.len() as f64,
        page: Latency::of(pages).ok_or_else(none)?,
        list_ms: Latency::of(lists).ok_or_else(none)?.p50_us / 1e3,
        message_quiet: Latency::of(quiet).ok_or_else(none)?,
        message_meanwhile: Latency::of(meanwhile).ok_or_else(none)?,
    })
}

/// Each of `chats` users writes to the lister.
fn make_chats(
    server: &Server,
    chats: u32,
    settings: &Settings,
    deadline: &Deadline,
) -> Result<(), Error> {
    let writers: Vec<_> =
        (0..chats).map(|number| client(format!("w{number}"), vec!["me/errors".into()])).collect();
    let mut fleet =
        Fleet::connect(server.address(), settings.version(), &writers, WINDOW, deadline)?;
    let topic = send_topic(LISTER, !settings.no_id);
    feed(&mut fleet, writers.len(), settings, deadline, 0, |_, index, out| {
        out.extend_from_slice(&topic);
        index < MESSAGES_PER_CHAT
    })?;
    fleet.close()
}

/// The user who asks.
struct Lister {
    connection: Blocking,
    chats: u32,
}

impl Lister {
    fn connect(
        server: &Server,
        chats: u32,
        settings: &Settings,
        deadline: Deadline,
    ) -> Result<Self, Error> {
        let user = client(LISTER.into(), vec!["me/replies/+".into()]);
        let connection =
            Blocking::connect(server.address(), settings.version(), &user, WINDOW, deadline)?;
        Ok(Self { connection, chats })
    }

    /// Asks for all pages in sequence; the time of each. Fails unless every chat is there once.
    fn list(&mut self) -> Result<Vec<Duration>, Error> {
        let mut times = Vec::new();
        let mut seen = BTreeSet::new();
        let mut arguments = json!({ "limit": PAGE_CHATS });
        loop {
            let (took, page) = self.connection.request("chats.list", &arguments)?;
            times.push(took);
            let wrong = || Error::Wrong(format!("an answer to chats.list: {page}"));
            for chat in page["chats"].as_array().ok_or_else(wrong)? {
                let name = chat["chat"].as_str().ok_or_else(wrong)?;
                if chat["unread"] != json!(MESSAGES_PER_CHAT) || !seen.insert(name.to_owned()) {
                    return Err(Error::Wrong(format!("chats.list has {chat}")));
                }
            }
            match &page["next"] {
                Value::String(next) => arguments["cursor"] = json!(next),
                _ if seen.len() == self.chats as usize => return Ok(times),
                _ => {
                    return Err(Error::Wrong(format!(
                        "chats.list has {} of {} chats",
                        seen.len(),
                        self.chats
                    )));
                }
            }
        }
    }
}
