//! `chats-list`: a user asks for all of his chats, page by page; and how long the message of somebody else takes
//! meanwhile.
//!
//! Others began the chats, with a few messages each that he has not read. First only he asks, then only the others
//! write to each other, then both.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::error::{Deadline, Error};
use crate::figures::Figures;
use crate::generator::blocking::Blocking;
use crate::generator::couple::Couple;
use crate::generator::feed::feed;
use crate::generator::fleet::Fleet;
use crate::generator::quiet::wait_until_quiet;
use crate::measure::stats::Latency;
use crate::peers::server::Server;
use crate::peers::{client, send_topic};
use crate::settings::{Count, Settings, WINDOW};
use crate::workloads::{Case, Workload};

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

/// Chats of the user who has many.
const MANY: Count = Count { full: 1_000, tiny: 60 };
/// Chats of the user who has few.
const FEW: Count = Count { full: 10, tiny: 10 };
/// Pages that a run asks for.
const PAGES: Count = Count { full: 200, tiny: 4 };

/// A user with many chats asks for them, page by page.
pub(crate) struct ChatsList;

impl Workload for ChatsList {
    fn name(&self) -> &'static str {
        "chats-list"
    }

    fn about(&self) -> &'static str {
        "chats.list of a user with 1,000 chats, beside one with 10; and a message of others meanwhile"
    }

    fn cases(&self, settings: &Settings) -> Vec<Case> {
        Case::sizes([MANY, FEW].map(|count| settings.count(count)))
    }

    fn connections(&self, settings: &Settings) -> u32 {
        settings.count(MANY)
    }

    fn run(&self, case: Case, settings: &Settings) -> Result<Figures, Error> {
        let server = Server::start(case.peer, settings, WINDOW)?;
        drive(&server, case.size, settings).map_err(|error| server.explain(error))
    }

    fn plots(&self) -> &'static [&'static str] {
        &["page p50 us"]
    }
}

fn drive(server: &Server, chats: u32, settings: &Settings) -> Result<Figures, Error> {
    let what = format!("chats-list, {chats} chats");
    make_chats(server, chats, settings, &Deadline::new(&what, MAKE_LIMIT))?;
    wait_until_quiet(server.process(), None, &what)?;

    let wanted = settings.count(PAGES) as usize;
    let part = || Deadline::new(&what, settings.time() + PART_LIMIT);
    let mut lister = Lister::connect(server, chats, settings, part())?;
    let _warm = lister.list()?;
    let before = server.process().cpu()?;
    let (mut pages, mut lists) = (Vec::new(), Vec::new());
    let start = Instant::now();
    while pages.len() < wanted && start.elapsed() < settings.time() {
        let list = lister.list()?;
        lists.push(list.iter().sum());
        pages.extend(list);
    }
    let cpu = server.process().cpu()? - before;
    lister.connection.close()?;

    let mut couple = Couple::connect(server, settings, part())?;
    let write = |couple: &mut Couple| -> Result<Vec<Duration>, Error> {
        let start = Instant::now();
        let said = couple.write(|count| count < wanted && start.elapsed() < settings.time())?;
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
    let page_us = cpu.as_secs_f64() * 1e6 / pages.len() as f64;
    let list = Latency::of(lists).ok_or_else(|| Error::Wrong("nothing was measured".into()))?;
    Figures::new()
        .with("pages of a list", f64::from(chats.div_ceil(PAGE_CHATS)))
        .with("whole list ms", list.p50_us / 1e3)
        .with("server CPU us/page", page_us)
        .with_latency("page", pages)?
        .with_latency("others' message", quiet)?
        .with_latency("  meanwhile", meanwhile)
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
