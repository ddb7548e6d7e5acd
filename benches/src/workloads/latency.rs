//! `latency`: how long a message takes while so many a second are offered, whether or not the server keeps up.
//!
//! Messages are due at moments that are settled before: the times between them are exponential, from a fixed seed, and
//! twenty senders take turns. Each time is counted from when the message was due, so that a message which had to wait
//! because the server was late counts as late itself (no coordinated omission). Who has a full window waits; what
//! waits is the backlog. What is still not sent a while after the last was due is given up, which is told, and counts as
//! having taken until then.

mod schedule;
mod sides;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use self::schedule::Schedule;
use self::sides::Sides;
use crate::error::{Deadline, Error};
use crate::figures::Figures;
use crate::generator::fleet::Fleet;
use crate::measure::spent::Meter;
use crate::peers::Peer;
use crate::peers::server::Server;
use crate::settings::{Count, Settings, WINDOW};
use crate::workloads::pairs::Shape;
use crate::workloads::{Case, Workload};

/// How long a run may take beyond twice its time to send.
const DRAIN_LIMIT: Duration = Duration::from_secs(30);
/// The least time from one look at the clock to the next: many are due in it where many are offered.
const BEAT_MIN: Duration = Duration::from_micros(50);

/// Senders, and receivers.
const PAIRS: Count = Count { full: 20, tiny: 4 };
/// Messages a second that are offered.
const LOADS: [u32; 6] = [1_000, 5_000, 10_000, 20_000, 40_000, 80_000];
/// Thousandths of the time to send that a run sends.
const TIME: Count = Count { full: 1_000, tiny: 20 };

/// Messages at settled moments.
pub(crate) struct Latency;

impl Workload for Latency {
    fn name(&self) -> &'static str {
        "latency"
    }

    fn about(&self) -> &'static str {
        "twenty pairs with so many messages a second offered: latency from when each was due"
    }

    fn cases(&self, _settings: &Settings) -> Vec<Case> {
        Case::each([Peer::Bluetick, Peer::Mosquitto], LOADS)
    }

    /// One takes a minute.
    fn runs(&self, _settings: &Settings) -> u16 {
        1
    }

    fn run(&self, case: Case, settings: &Settings) -> Result<Figures, Error> {
        let server = Server::start(case.peer, settings, WINDOW)?;
        drive(&server, case, settings).map_err(|error| server.explain(error))
    }

    fn plots(&self) -> &'static [&'static str] {
        &["PUBACK p50 us", "PUBACK p99 us", "received p99 us", "achieved/s"]
    }
}

fn drive(server: &Server, case: Case, settings: &Settings) -> Result<Figures, Error> {
    let what = format!("latency, {} messages/s against {}", case.size, case.peer.name());
    let pairs = settings.exactly(PAIRS);
    let time = settings.time() * settings.exactly(TIME) / 1000;
    let mut fleet = Shape::pairs(pairs, settings).connect(server, case.peer, settings, &what)?;
    let schedule = Schedule::new(case.size, time);
    let mut sides = Sides::new(pairs, case.peer, settings);
    let deadline = Deadline::new(&what, 2 * time + DRAIN_LIMIT);
    let waker = fleet.waker()?;
    let over = AtomicBool::new(false);
    let meter = Meter::start(server.process())?;
    let start = Instant::now();
    let (backlog, given_up) = std::thread::scope(|scope| {
        // A poll's own timeout is counted in milliseconds, and would be the latency that is measured.
        let clock = scope.spawn(|| {
            let (mut times, mut beat) = (schedule.clone(), Duration::ZERO);
            while let Some(due) = times.next()
                && !over.load(Ordering::Acquire)
            {
                // Time itself is what is waited for here.
                let until = start + due.max(beat);
                std::thread::sleep(until.saturating_duration_since(Instant::now()));
                waker.wake().map_err(Error::io("wake the generator"))?;
                times.skip_until(start.elapsed());
                beat = start.elapsed() + BEAT_MIN;
            }
            Ok(())
        });
        let sent = send(&mut fleet, &mut sides, schedule.clone(), (start, 2 * time), &deadline);
        over.store(true, Ordering::Release);
        let clock = clock.join().unwrap_or_else(|_| Err(Error::Wrong("the clock panicked".into())));
        // What went wrong in sending says more.
        let sent = sent?;
        clock.map(|()| sent)
    })?;
    let wall = start.elapsed();
    let spent = meter.read()?;
    fleet.close()?;
    let messages = sides.received as f64;
    let figures = Figures::new()
        .with("achieved/s", messages / wall.as_secs_f64().max(time.as_secs_f64()))
        .with("backlog when the last was due", backlog as f64)
        .with("given up", given_up as f64)
        .with_percentiles("PUBACK", sides.acked_times)?
        .with_percentiles("received", sides.received_times)?
        .with_percentiles("sent late", sides.late_times)?;
    Ok(spent.put(figures, "msg", messages).with("messages", messages))
}

/// Sends what is due when it is due, until all is received and acknowledged; how much of it was not when the last of
/// it was due, and how much was given up when the time was over.
fn send(
    fleet: &mut Fleet,
    sides: &mut Sides,
    mut schedule: Schedule,
    (start, time): (Instant, Duration),
    deadline: &Deadline,
) -> Result<(u64, u64), Error> {
    let mut due = schedule.next();
    let (mut backlog, mut given_up) = (None, 0);
    loop {
        let now = Instant::now();
        while let Some(at) = due.map(|due| start + due).filter(|&at| at <= now) {
            sides.due(at);
            due = schedule.next();
        }
        sides.send(fleet);
        fleet.flush()?;
        if due.is_none() {
            let backlog = *backlog.get_or_insert(sides.missing());
            if start.elapsed() >= time {
                given_up += sides.give_up();
            }
            if sides.missing() == 0 {
                return Ok((backlog, given_up));
            }
        }
        deadline.check(|| format!("{} of {} messages", sides.missing(), sides.all()))?;
        fleet.turn(deadline.left(), sides)?;
    }
}
