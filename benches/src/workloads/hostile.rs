//! `hostile`: what networks and clients that mean harm cost the server, and whether two who chat notice.
//!
//! Each attack has a fresh server with its default limits, but where it says otherwise: first the two chat by
//! themselves, then while the attack goes on; memory is read before, at its highest, and after.

mod clients;
mod strangers;
mod table;
mod topics;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::error::{Deadline, Error};
use crate::figures::Figures;
use crate::generator::couple::{Couple, Said};
use crate::generator::quiet::wait_until_quiet;
use crate::measure::stats::Latency;
use crate::peers::Peer;
use crate::peers::server::{Limits, Server};
use crate::report::Measured;
use crate::settings::{Count, Settings};
use crate::workloads::{Case, Workload};

/// How long an attack may take to be set up, and to end.
const SETUP_LIMIT: Duration = Duration::from_secs(240);

/// What strangers, and clients that mean harm, do.
pub(crate) struct Hostile;

/// Of what is done to the server, so many thousandths.
const THOUSANDTHS: Count = Count { full: 1_000, tiny: 1 };

impl Workload for Hostile {
    fn name(&self) -> &'static str {
        "hostile"
    }

    fn about(&self) -> &'static str {
        "what strangers and clients that mean harm cost, and whether two who chat notice"
    }

    fn cases(&self, _settings: &Settings) -> Vec<Case> {
        vec![Case::of(Peer::Bluetick)]
    }

    /// One takes minutes.
    fn runs(&self, _settings: &Settings) -> u16 {
        1
    }

    fn connections(&self, settings: &Settings) -> u32 {
        scaled(settings, 6_000)
    }

    fn run(&self, _case: Case, settings: &Settings) -> Result<Figures, Error> {
        let mut figures = Figures::new();
        for attack in ATTACKS {
            let server = Server::start_limited(settings, attack.1)?;
            let run = run_attack(&server, settings, attack);
            let run = run.map_err(|error| server.explain(error));
            figures = run.map_err(Error::during(attack.0))?.put(figures)?;
        }
        topics::restart(settings)?.put(figures)
    }

    fn table(&self, measured: &Measured) -> Option<String> {
        Some(table::attacks(measured.cases.first()?))
    }
}

/// So many of `count` as the settings say, a few at least.
fn scaled(settings: &Settings, count: u32) -> u32 {
    let scaled = u64::from(count) * u64::from(settings.count(THOUSANDTHS)) / 1000;
    u32::try_from(scaled).unwrap_or(u32::MAX).max(4)
}

/// Memory.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
struct MiB(f64);

/// One attack as it went.
struct Attacked {
    /// What was done.
    name: &'static str,
    /// Resident memory of the server before it.
    before: MiB,
    /// The most meanwhile.
    during: MiB,
    /// When it is over and the server is quiet.
    after: MiB,
    /// What the two said to each other without the attack.
    quiet: Vec<Said>,
    /// And during it.
    said: Vec<Said>,
    /// What it has of its own, each with what it is.
    own: Own,
}

/// Figures of one attack alone, each with what it is.
type Own = Vec<(String, f64)>;

/// The figures that every attack has: memory of the server, then percentiles in microseconds of the two, without the attack
/// and during it.
const COMMON: [&str; 11] = [
    "MiB before",
    "MiB at most",
    "MiB after",
    "quiet PUBACK p50 us",
    "quiet PUBACK p99 us",
    "PUBACK p50 us",
    "PUBACK p99 us",
    "quiet received p50 us",
    "quiet received p99 us",
    "received p50 us",
    "received p99 us",
];

impl Attacked {
    /// Adds its figures, each name beginning with that of the attack.
    fn put(self, mut figures: Figures) -> Result<Figures, Error> {
        let none = || Error::Wrong(format!("{}: nothing was measured", self.name));
        let mut values = vec![self.before.0, self.during.0, self.after.0];
        for time in [|said: &Said| said.acked, |said: &Said| said.received] {
            for said in [&self.quiet, &self.said] {
                let latency = Latency::of(said.iter().map(time)).ok_or_else(none)?;
                values.extend([latency.p50_us, latency.p99_us]);
            }
        }
        for (what, value) in COMMON.iter().zip(values) {
            figures = figures.with(format!("{}: {what}", self.name), value);
        }
        for (what, value) in self.own {
            figures = figures.with(format!("{}: {what}", self.name), value);
        }
        Ok(figures)
    }
}

/// What an attack is given.
struct Stage<'a> {
    server: &'a Server,
    settings: &'a Settings,
    /// It is over.
    over: &'a AtomicBool,
    /// Its setting up is over: from now on the two are listened to.
    ready: &'a AtomicBool,
    /// It has an end of its own, and the two are listened to until then at least.
    busy: &'a AtomicBool,
    deadline: Deadline,
}

impl Stage<'_> {
    fn ready(&self) {
        self.ready.store(true, Ordering::Release);
    }

    fn goes_on(&self) -> bool {
        !self.over.load(Ordering::Acquire)
    }

    fn memory(&self) -> Result<MiB, Error> {
        memory(self.server)
    }

    /// So many, in the measure of the settings.
    fn many(&self, count: u32) -> usize {
        scaled(self.settings, count) as usize
    }

    /// Waits until the attack is to be over.
    fn hold(&self) {
        while self.goes_on() {
            // Time itself is what is waited for here.
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// An attack: its name, limits that are not the default, what is done.
type Attack = (&'static str, Limits, fn(&Stage<'_>) -> Result<Own, Error>);

const ATTACKS: &[Attack] = &[
    ("slowloris", &[], strangers::slowloris),
    ("silent connections", &[], strangers::silent),
    ("connection flood", &[], strangers::flood),
    ("reset storm", &[], strangers::resets),
    ("announced lengths", &[], clients::announced),
    ("tiny windows", &[], clients::tiny_windows),
    ("never reading", &[], clients::never_reading),
    ("subscriptions by one", &[], topics::subscriptions_by_one),
    ("subscriptions by 1000", &[], topics::subscriptions_by_many),
    (
        "topics of 300 levels",
        &[("topic_levels_max", "1024"), ("topic_bytes_max", "65535")],
        topics::deep,
    ),
    (
        "a million filters",
        &[("subscriptions_total_max", "2000000"), ("subscriptions_max", "2000")],
        topics::filters,
    ),
    (
        "a million retained",
        &[("retained_messages_max", "2000000"), ("retained_bytes_max", "2000000000")],
        topics::retained,
    ),
];

fn run_attack(
    server: &Server,
    settings: &Settings,
    &(name, _, attack): &Attack,
) -> Result<Attacked, Error> {
    let limit = SETUP_LIMIT + 3 * settings.time();
    let deadline = Deadline::new(name, limit);
    let mut couple = Couple::connect(server, settings, deadline.clone())?;
    let quiet = couple.write(for_a_while(settings))?;
    let before = memory(server)?;
    let [over, ready, busy] = [const { AtomicBool::new(false) }; 3];
    let stage = Stage { server, settings, over: &over, ready: &ready, busy: &busy, deadline };
    let (during, said, own) = std::thread::scope(|scope| {
        let attacker = scope.spawn(|| {
            let figures = attack(&stage);
            // Also if it has failed.
            stage.ready();
            figures
        });
        let listened = listen(&stage, &mut couple);
        over.store(true, Ordering::Release);
        let figures = attacker.join().unwrap_or_else(|_| Err(Error::Wrong("it panicked".into())));
        // The attack's error says more.
        let figures = figures?;
        let (during, said) = listened?;
        Ok((during, said, figures))
    })?;
    wait_until_quiet(server.process(), None, name)?;
    let after = memory(server)?;
    Ok(Attacked { name, before, during, after, quiet, said, own })
}

/// The two chat until the attack has been going on for a while; what they have said since it was ready, and the
/// most memory that the server took.
fn listen(stage: &Stage<'_>, couple: &mut Couple) -> Result<(MiB, Vec<Said>), Error> {
    let mut highest = stage.memory()?;
    let mut failed = None;
    let mut look = |count: usize| {
        if count.is_multiple_of(20) {
            match stage.memory() {
                Ok(memory) if memory > highest => highest = memory,
                Ok(_) => {}
                Err(error) => failed = Some(error),
            }
        }
    };
    couple.write(|count| {
        look(count);
        !stage.ready.load(Ordering::Acquire)
    })?;
    let mut more = for_a_while(stage.settings);
    let said = couple.write(|count| {
        look(count);
        more(count) || stage.busy.load(Ordering::Acquire)
    })?;
    match failed {
        Some(error) => Err(error),
        None => Ok((highest, said)),
    }
}

fn for_a_while(settings: &Settings) -> impl FnMut(usize) -> bool {
    let (start, time, tiny) = (Instant::now(), settings.time(), settings.tiny);
    move |count| count == 0 || (start.elapsed() < time && !(tiny && count >= 20))
}

fn memory(server: &Server) -> Result<MiB, Error> {
    Ok(MiB(server.process().resident_bytes()? as f64 / 1_048_576.0))
}
