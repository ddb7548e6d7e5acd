//! Subscriptions, levels and retained topics without end, by clients that are let in.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::{ATTACKS, Attacked, MiB, Own, Stage, for_a_while, memory, scaled};
use crate::error::{Deadline, Error};
use crate::generator::blocking::Blocking;
use crate::generator::couple::Couple;
use crate::generator::fleet::{Client, Fleet, Traffic};
use crate::generator::quiet::wait_until_quiet;
use crate::generator::wire::{Packet, put_publish, put_subscribe};
use crate::measure::stats::Latency;
use crate::peers::client;
use crate::peers::server::Server;
use crate::settings::{Settings, WINDOW};

/// Filters of a SUBSCRIBE: as many as are taken.
const PER_PACKET: usize = 1000;
/// Connections that put retained messages.
const PUTTERS: usize = 10;
/// The flag of a PUBLISH in its first byte.
const RETAIN: u8 = 1;
/// MQTT 5: accepted, and nobody is subscribed.
const NOBODY_SUBSCRIBED: u8 = 0x10;

fn connect(stage: &Stage<'_>, name: &str) -> Result<Blocking, Error> {
    let user = client(name.to_owned(), Vec::new());
    let version = stage.settings.version();
    Blocking::connect(stage.server.address(), version, &user, WINDOW, stage.deadline.clone())
}

/// Subscribes; how many were granted and how many refused.
fn subscribe(
    stage: &Stage<'_>,
    client: &mut Blocking,
    filters: impl Iterator<Item = String>,
) -> Result<(usize, usize), Error> {
    let (mut granted, mut refused) = (0, 0);
    let mut filters = filters.peekable();
    while filters.peek().is_some() {
        let some: Vec<_> = filters.by_ref().take(PER_PACKET).collect();
        let mut out = Vec::new();
        put_subscribe(&mut out, stage.settings.version(), 1, &some);
        client.send(&out)?;
        match client.receive("SUBACK")? {
            Packet::SubAck { codes } => {
                let fine = codes.iter().filter(|code| **code == 1).count();
                (granted, refused) = (granted + fine, refused + codes.len() - fine);
            }
            other => return Err(Error::Wrong(format!("{other:?} in place of SUBACK"))),
        }
    }
    Ok((granted, refused))
}

pub(super) fn subscriptions_by_one(stage: &Stage<'_>) -> Result<Own, Error> {
    let count = stage.many(200_000);
    let mut one = connect(stage, "mallory")?;
    let start = Instant::now();
    let filters = (0..count).map(|number| format!("pub/s/{number}"));
    let (granted, refused) = subscribe(stage, &mut one, filters)?;
    let took = start.elapsed();
    stage.ready();
    stage.hold();
    Ok(vec![
        ("granted".into(), granted as f64),
        ("refused".into(), refused as f64),
        ("s to ask for all".into(), took.as_secs_f64()),
    ])
}

pub(super) fn subscriptions_by_many(stage: &Stage<'_>) -> Result<Own, Error> {
    let sessions = stage.many(1_000);
    let (_held, figures) =
        hold(stage, sessions, 200, |session, number| format!("pub/s/{session}/{number}"))?;
    stage.ready();
    stage.hold();
    Ok(figures)
}

/// So many sessions with so many filters each, and what they cost.
fn hold(
    stage: &Stage<'_>,
    sessions: usize,
    each: usize,
    filter: impl Fn(usize, usize) -> String,
) -> Result<(Vec<Blocking>, Own), Error> {
    let mut held = Vec::new();
    for session in 0..sessions {
        held.push(connect(stage, &format!("m{session}"))?);
    }
    let (before, start, mut all) = (stage.memory()?, Instant::now(), 0);
    for (session, client) in held.iter_mut().enumerate() {
        let (granted, _) =
            subscribe(stage, client, (0..each).map(|number| filter(session, number)))?;
        all += granted;
    }
    let took = start.elapsed();
    let bytes = (stage.memory()?.0 - before.0) * 1_048_576.0 / all as f64;
    let figures = vec![
        (format!("filters of {sessions} sessions"), all as f64),
        ("bytes each".into(), bytes),
        ("us each to subscribe".into(), took.as_secs_f64() * 1e6 / all as f64),
    ];
    Ok((held, figures))
}

/// Filters of 300 levels that share none; and a thousand that all match one topic, which is published.
pub(super) fn deep(stage: &Stage<'_>) -> Result<Own, Error> {
    const LEVELS: usize = 300;
    let sessions = stage.many(20);
    let (_held, mut figures) = hold(stage, sessions, 100, |session, number| {
        format!("pub/{session}-{number}{}", "/+".repeat(LEVELS - 2))
    })?;
    let mut wild = connect(stage, "wild")?;
    let filter = |number: usize| {
        let level = |at: usize| if number >> (at % 10) & 1 == 1 { "+" } else { "a" };
        (0..LEVELS).map(level).collect::<Vec<_>>().join("/")
    };
    let matching = stage.many(1_000).min(1_000);
    subscribe(stage, &mut wild, (0..matching).map(filter))?;
    let topic = ["a"; LEVELS].join("/");
    let mut loud = connect(stage, "loud")?;
    stage.ready();
    let mut times = Vec::new();
    while stage.goes_on() || times.is_empty() {
        times.push(loud.publish(topic.as_bytes(), b"x")?);
        match wild.receive("a message")? {
            Packet::Publish { packet_id, .. } => wild.acknowledge(packet_id)?,
            other => return Err(Error::Wrong(format!("{other:?} in place of a message"))),
        }
        // Time itself is what is waited for here.
        std::thread::sleep(Duration::from_millis(50));
    }
    let publish = Latency::of(times).ok_or_else(|| Error::Wrong("nothing published".into()))?;
    figures.push((format!("us: PUBACK p50 where {matching} of one session match"), publish.p50_us));
    Ok(figures)
}

/// The first publish on a topic among few filters and among very many.
pub(super) fn filters(stage: &Stage<'_>) -> Result<Own, Error> {
    let probes = stage.many(400);
    let mut listener = connect(stage, "listener")?;
    let few = 1000.max(2 * probes);
    subscribe(stage, &mut listener, (0..few).map(|number| format!("pub/p/{number}")))?;
    let mut writer = connect(stage, "prober")?;
    let mut probe = |numbers: std::ops::Range<usize>| -> Result<Latency, Error> {
        let mut times = Vec::new();
        for number in numbers {
            let start = Instant::now();
            writer.publish(format!("pub/p/{number}").as_bytes(), b"x")?;
            match listener.receive("a message")? {
                Packet::Publish { packet_id, .. } => {
                    times.push(start.elapsed());
                    listener.acknowledge(packet_id)?;
                }
                other => return Err(Error::Wrong(format!("{other:?} in place of a message"))),
            }
        }
        Latency::of(times).ok_or_else(|| Error::Wrong("nothing published".into()))
    };
    let among_few = probe(0..probes)?;
    let sessions = stage.many(1_000);
    let (_held, mut figures) =
        hold(stage, sessions, 1000, |session, number| format!("pub/f/{session}/{number}"))?;
    let among_many = probe(probes..2 * probes)?;
    stage.ready();
    stage.hold();
    for (latency, among) in [(among_few, few), (among_many, few + sessions * 1000)] {
        for (of, figure) in [("p50", latency.p50_us), ("p99", latency.p99_us)] {
            let what =
                format!("us: first publish on a topic, received, {of} among {among} filters");
            figures.push((what, figure));
        }
    }
    Ok(figures)
}

/// Topic `number` of `count`: a thousand in each group.
fn retained_topic(number: usize, count: usize) -> String {
    let groups = (count / 1000).max(1);
    format!("pub/r/{}/{}", number % groups, number / groups)
}

/// Puts so many retained messages at QoS 1; how long that took.
fn put(
    server: &Server,
    settings: &Settings,
    count: usize,
    deadline: &Deadline,
) -> Result<Duration, Error> {
    let putters: Vec<Client> =
        (0..PUTTERS).map(|number| client(format!("putter{number}"), Vec::new())).collect();
    let version = settings.version();
    let mut fleet = Fleet::connect(server.address(), version, &putters, WINDOW, deadline)?;
    let mut putting = Putting { settings, count, next: 0, acked: 0 };
    let start = Instant::now();
    for conn in 0..PUTTERS {
        let out = fleet.out(conn);
        for _ in 0..WINDOW {
            putting.put(out);
        }
    }
    fleet.flush()?;
    while putting.acked < count {
        deadline.check(|| format!("{} of {count} PUBACKs", count - putting.acked))?;
        fleet.turn(deadline.left(), &mut putting)?;
    }
    let took = start.elapsed();
    fleet.close()?;
    Ok(took)
}

struct Putting<'a> {
    settings: &'a Settings,
    count: usize,
    next: usize,
    acked: usize,
}

impl Putting<'_> {
    fn put(&mut self, out: &mut Vec<u8>) {
        if self.next < self.count {
            let (topic, start) = (retained_topic(self.next, self.count), out.len());
            let packet_id = (self.next % usize::from(u16::MAX)) as u16 + 1;
            put_publish(
                out,
                self.settings.version(),
                topic.as_bytes(),
                packet_id,
                b"a state of 20 bytes.",
            );
            out[start] |= RETAIN;
            self.next += 1;
        }
    }
}

impl Traffic for Putting<'_> {
    fn handle_packet(
        &mut self,
        conn: usize,
        packet: &Packet<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        match *packet {
            Packet::PubAck { reason: 0 | NOBODY_SUBSCRIBED, .. } => {
                self.acked += 1;
                self.put(out);
                Ok(())
            }
            ref other => Err(Error::Wrong(format!("putter {conn}: {other:?}"))),
        }
    }
}

/// Subscribes and takes `count` retained messages, one after the other; how long that took.
fn take(stage: &Stage<'_>, name: &str, filter: &str, count: usize) -> Result<Duration, Error> {
    let mut taker = connect(stage, name)?;
    let mut out = Vec::new();
    put_subscribe(&mut out, stage.settings.version(), 1, &[filter.into()]);
    let start = Instant::now();
    taker.send(&out)?;
    let mut had = 0;
    while had < count {
        if let Packet::Publish { packet_id, .. } = taker.receive("a retained message")? {
            taker.acknowledge(packet_id)?;
            had += 1;
        }
    }
    let took = start.elapsed();
    taker.close()?;
    Ok(took)
}

pub(super) fn retained(stage: &Stage<'_>) -> Result<Own, Error> {
    let count = stage.many(1_000_000);
    let before = stage.memory()?;
    // From the beginning: putting them is what others might notice.
    stage.busy.store(true, Ordering::Release);
    stage.ready();
    let figures = put_and_take(stage, count, before);
    stage.busy.store(false, Ordering::Release);
    figures
}

fn put_and_take(stage: &Stage<'_>, count: usize, before: MiB) -> Result<Own, Error> {
    let put_in = put(stage.server, stage.settings, count, &stage.deadline)?;
    let after = stage.memory()?;
    let some = count / (count / 1000).max(1);
    let some_in = take(stage, "some", "pub/r/0/+", some)?;
    // The last in their order, so that all the others are looked at before.
    let mut last = connect(stage, "last")?;
    let mut out = Vec::new();
    put_publish(&mut out, stage.settings.version(), b"pub/z/z/last", 1, b"x");
    out[0] |= RETAIN;
    last.send(&out)?;
    last.receive("PUBACK")?;
    let last_in = take(stage, "looker", "pub/+/+/last", 1)?;
    let all_in = take(stage, "all", "pub/r/#", count)?;
    let all = stage.memory()?;
    Ok(vec![
        ("topics, QoS 1, stored before their PUBACK".into(), count as f64),
        ("s to put them".into(), put_in.as_secs_f64()),
        ("bytes of memory each".into(), (after.0 - before.0) * 1_048_576.0 / count as f64),
        (format!("ms from SUBSCRIBE to the last of {some} that match"), ms(some_in)),
        ("ms until the last of all, the only one that matches".into(), ms(last_in)),
        ("s to take all, one at a time".into(), all_in.as_secs_f64()),
        ("MiB more when all were taken".into(), all.0 - after.0),
    ])
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// The server is killed and started again with as many retained topics.
pub(super) fn restart(settings: &Settings) -> Result<Attacked, Error> {
    const NAME: &str = "a restart with them";
    let limits = ATTACKS.last().expect("there are some").1;
    let deadline = Deadline::new(NAME, super::SETUP_LIMIT);
    let mut server = Server::start_limited(settings, limits)?;
    let mut run = || -> Result<Attacked, Error> {
        let mut couple = Couple::connect(&server, settings, deadline.clone())?;
        let quiet = couple.write(for_a_while(settings))?;
        drop(couple);
        put(&server, settings, scaled(settings, 1_000_000) as usize, &deadline)?;
        wait_until_quiet(server.process(), None, NAME)?;
        let before = memory(&server)?;
        let start = Instant::now();
        server.restart()?;
        let mut couple = Couple::connect(&server, settings, deadline.clone())?;
        let took = start.elapsed();
        let during = memory(&server)?;
        let said = couple.write(for_a_while(settings))?;
        wait_until_quiet(server.process(), None, NAME)?;
        let after = memory(&server)?;
        let own = vec![("s from the start to CONNACK".into(), took.as_secs_f64())];
        Ok(Attacked { name: NAME, before, during, after, quiet, said, own })
    };
    run().map_err(Error::during(NAME))
}
