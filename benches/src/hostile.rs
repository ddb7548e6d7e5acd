//! `hostile`: what networks and clients that mean harm cost the server, and whether two who chat notice.
//!
//! Each attack has a fresh server with its default limits, but where it says otherwise: first the two chat by
//! themselves, then while the attack goes on; memory is read before, at its highest, and after.

mod clients;
mod strangers;
mod topics;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::couple::{Couple, Said};
use crate::error::{Deadline, Error};
use crate::quiet::wait_until_quiet;
use crate::server::{Limits, Server};
use crate::settings::Settings;
use crate::stats::Latency;

/// How long an attack may take to be set up, and to end.
const SETUP_LIMIT: Duration = Duration::from_secs(240);

/// Memory.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Serialize)]
pub struct MiB(pub f64);

/// The figures of one attack.
#[derive(Debug, Clone, Serialize)]
pub struct AttackRun {
    /// What was done.
    pub name: &'static str,
    /// Resident memory of the server before it.
    pub before: MiB,
    /// The most meanwhile.
    pub during: MiB,
    /// When it is over and the server is quiet.
    pub after: MiB,
    /// From the PUBLISH of a message to a chat to its PUBACK, without the attack.
    pub quiet_puback: Latency,
    /// Until the other one has it as well.
    pub quiet_received: Latency,
    /// The same during the attack.
    pub puback: Latency,
    /// The same during the attack.
    pub received: Latency,
    /// What it has of its own.
    pub figures: Figures,
}

/// Figures, each with what it is.
pub type Figures = Vec<(String, f64)>;

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
        self.settings.hostile(count) as usize
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
type Attack = (&'static str, Limits, fn(&Stage<'_>) -> Result<Figures, Error>);

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

/// Runs each attack once.
///
/// # Errors
/// Whatever the server does wrong or too late.
pub fn run_hostile(settings: &Settings) -> Result<Vec<AttackRun>, Error> {
    let mut runs = Vec::new();
    for attack in ATTACKS {
        let server = Server::start_limited(settings, attack.1)?;
        let run = run_attack(&server, settings, attack);
        let run = run.map_err(|error| server.explain(error)).map_err(Error::during(attack.0))?;
        runs.push(run);
    }
    runs.push(topics::restart(settings)?);
    Ok(runs)
}

fn run_attack(
    server: &Server,
    settings: &Settings,
    &(name, _, attack): &Attack,
) -> Result<AttackRun, Error> {
    let limit = SETUP_LIMIT + 3 * settings.time();
    let deadline = Deadline::new(name, limit);
    let mut couple = Couple::connect(server, settings, deadline.clone())?;
    let quiet = couple.write(for_a_while(settings))?;
    let before = memory(server)?;
    let [over, ready, busy] = [const { AtomicBool::new(false) }; 3];
    let stage = Stage { server, settings, over: &over, ready: &ready, busy: &busy, deadline };
    let (during, said, figures) = std::thread::scope(|scope| {
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
    let (quiet_puback, quiet_received) = latencies(&quiet)?;
    let (puback, received) = latencies(&said)?;
    Ok(AttackRun {
        name,
        before,
        during,
        after,
        quiet_puback,
        quiet_received,
        puback,
        received,
        figures,
    })
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

fn latencies(said: &[Said]) -> Result<(Latency, Latency), Error> {
    let none = || Error::Wrong("nothing was measured".into());
    let acked = Latency::of(said.iter().map(|said| said.acked)).ok_or_else(none)?;
    let received = Latency::of(said.iter().map(|said| said.received)).ok_or_else(none)?;
    Ok((acked, received))
}

fn memory(server: &Server) -> Result<MiB, Error> {
    Ok(MiB(server.process().resident_bytes()? as f64 / 1_048_576.0))
}
