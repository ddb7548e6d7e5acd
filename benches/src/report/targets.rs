//! What is aimed at, and whether the results reach it: computed, never written by hand.

use super::{Measured, Report, align, number};

/// What is aimed at with one figure, or one figure against another.
struct Target {
    /// In words.
    what: &'static str,
    bound: Bound,
    /// Of the figures as they were measured.
    unit: &'static str,
    of: Figure,
    /// What it is divided by.
    against: Option<Figure>,
}

/// When a target is reached.
#[derive(Debug, Clone, Copy)]
enum Bound {
    AtLeast(f64),
    AtMost(f64),
    /// At most so much beyond something that is measured beside it and cannot be beaten.
    Beyond(f64),
    /// Nothing is aimed at yet: the figure is told.
    Told,
}

/// Where a figure is to be found.
struct Figure {
    workload: &'static str,
    peer: &'static str,
    size: Size,
    name: &'static str,
}

/// Which case of a peer.
#[derive(Debug, Clone, Copy)]
enum Size {
    /// With this size; 0 where there is but one.
    Is(u32),
    /// With whichever size is furthest from being reached.
    Worst,
}

/// A figure of a workload with one size.
const fn figure(workload: &'static str, peer: &'static str, name: &'static str) -> Figure {
    sized(workload, peer, Size::Is(0), name)
}

const fn sized(
    workload: &'static str,
    peer: &'static str,
    size: Size,
    name: &'static str,
) -> Figure {
    Figure { workload, peer, size, name }
}

const BLUETICK: &str = "bluetick";
const PLAIN: &str = "bluetick-plain";
const MOSQUITTO: &str = "mosquitto";
const RATE: &str = "messages/s";

/// The verdict on what says nothing, because others were in the way.
const DISTURBED: &str = "disturbed";
/// What all other processes of the machine took.
const OTHERS: &str = "others' CPU %";
/// Of the machine, above which figures are not to be relied on.
const OTHERS_MAX_PERCENT: f64 = 20.0;

/// All of them.
const TARGETS: &[Target] = &[
    Target {
        what: "50×50 durable, with receipts, against mosquitto in memory: messages/s",
        bound: Bound::AtLeast(1.5),
        unit: "/s",
        of: figure("50x50", BLUETICK, RATE),
        against: Some(figure("50x50", MOSQUITTO, RATE)),
    },
    Target {
        what: "the same against mosquitto: CPU per message",
        bound: Bound::AtMost(1.0),
        unit: "µs",
        of: figure("50x50", BLUETICK, "server CPU us/msg"),
        against: Some(figure("50x50", MOSQUITTO, "server CPU us/msg")),
    },
    Target {
        what: "the same against RabbitMQ's durable queues: messages/s",
        bound: Bound::AtLeast(8.0),
        unit: "/s",
        of: figure("50x50", BLUETICK, RATE),
        against: Some(figure("50x50", "rabbitmq-durable", RATE)),
    },
    Target {
        what: "the same against RabbitMQ's transient queues: messages/s",
        bound: Bound::AtLeast(8.0),
        unit: "/s",
        of: figure("50x50", BLUETICK, RATE),
        against: Some(figure("50x50", "rabbitmq", RATE)),
    },
    Target {
        what: "PUBACK at low load, median: beyond one fdatasync",
        bound: Bound::Beyond(100.0),
        unit: "µs",
        of: figure("window1", BLUETICK, "p50 beyond fdatasync us"),
        against: None,
    },
    Target {
        what: "PUBACK at low load, p99: beyond fdatasync's p99",
        bound: Bound::Beyond(1_000.0),
        unit: "µs",
        of: figure("window1", BLUETICK, "p99 beyond fdatasync us"),
        against: None,
    },
    Target {
        what: "1×1 plain QoS 1, with authorization, against rumqttd: messages/s",
        bound: Bound::AtLeast(0.8),
        unit: "/s",
        of: figure("1x1", PLAIN, RATE),
        against: Some(figure("1x1", "rumqttd", RATE)),
    },
    Target {
        what: "50×50 plain QoS 1, with authorization, against rumqttd: messages/s",
        bound: Bound::AtLeast(0.8),
        unit: "/s",
        of: figure("50x50", PLAIN, RATE),
        against: Some(figure("50x50", "rumqttd", RATE)),
    },
    Target {
        what: "resident memory of an idle device with 20 chats",
        bound: Bound::AtMost(3_072.0),
        unit: "bytes",
        of: figure("idle", BLUETICK, "bytes/connection"),
        against: None,
    },
    Target {
        what: "1,000 of 1,000,000 chats written to, against 1,000 of 1,000: messages/s",
        bound: Bound::AtLeast(0.8),
        unit: "/s",
        of: sized("a-million-chats", BLUETICK, Size::Is(1_000_000), RATE),
        against: Some(sized("a-million-chats", BLUETICK, Size::Is(1_000), RATE)),
    },
    Target {
        what: "any of 1,000,000 chats written to, against any of 1,000: messages/s",
        bound: Bound::AtLeast(0.8),
        unit: "/s",
        of: sized("a-million-chats", BLUETICK, Size::Is(1_000_000), "to any chat messages/s"),
        against: Some(sized(
            "a-million-chats",
            BLUETICK,
            Size::Is(1_000),
            "to any chat messages/s",
        )),
    },
    Target {
        what: "10,000,000 messages stored against none: messages/s",
        bound: Bound::AtLeast(0.8),
        unit: "/s",
        of: sized("stored", BLUETICK, Size::Is(10_000_000), RATE),
        against: Some(sized("stored", BLUETICK, Size::Is(0), RATE)),
    },
    Target {
        what: "restart with 10,000,000 messages until CONNACK",
        bound: Bound::AtMost(2.0),
        unit: "s",
        of: sized("stored", BLUETICK, Size::Is(10_000_000), "restart s"),
        against: None,
    },
    Target {
        what: "a group of 1,000 online against mosquitto's plain fan-out: deliveries/s",
        bound: Bound::AtLeast(1.5),
        unit: "/s",
        of: sized("fan-out", BLUETICK, Size::Is(1_000), "deliveries/s"),
        against: Some(sized("fan-out", MOSQUITTO, Size::Is(1_000), "deliveries/s")),
    },
    Target {
        what: "100,000 messages caught up by one device, however many chats they are of",
        bound: Bound::AtLeast(100_000.0),
        unit: "/s",
        of: sized("catch-up", BLUETICK, Size::Worst, RATE),
        against: None,
    },
    Target {
        what: "disk for a message of 100 bytes, receipts and index included, compacted",
        bound: Bound::AtMost(200.0),
        unit: "bytes",
        of: sized("stored", BLUETICK, Size::Is(10_000_000), "disk bytes/message"),
        against: None,
    },
    Target {
        what: "write amplification under steady load",
        bound: Bound::Told,
        unit: "times",
        of: sized("stored", BLUETICK, Size::Is(10_000_000), "write amplification"),
        against: None,
    },
    Target {
        what: "as differences, 20 characters sent, delivered and read at once, wherever in the chat: on the wire",
        bound: Bound::AtMost(160.0),
        unit: "bytes",
        of: sized("dialects", BLUETICK, Size::Worst, "differences bytes"),
        against: None,
    },
    Target {
        what: "the same, later",
        bound: Bound::AtMost(120.0),
        unit: "bytes",
        of: sized("dialects", BLUETICK, Size::Worst, "differences bytes"),
        against: None,
    },
];

/// The table of all targets.
pub(super) fn table(report: &Report) -> String {
    rows(TARGETS.iter(), report)
}

/// The table of those whose workload is in the report.
pub(super) fn table_of_measured(report: &Report) -> String {
    rows(TARGETS.iter().filter(|it| report.measured(it.of.workload).is_some()), report)
}

fn rows<'a>(targets: impl Iterator<Item = &'a Target>, report: &Report) -> String {
    let head = ["aimed at", "target", "measured", "", "workload"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    rows.extend(targets.map(|target| target.row(report)));
    if rows.len() == 1 {
        return String::new();
    }
    align(&rows) + &others(report)
}

/// Which workloads were measured while the machine had much else to do.
fn others(report: &Report) -> String {
    let busy = report.workloads.iter().filter(|it| disturbed(it));
    let busy = busy.map(|it| format!("`{}` {} %", it.workload, number(others_percent(it))));
    match busy.collect::<Vec<_>>().join(", ") {
        busy if busy.is_empty() => busy,
        busy => {
            format!("\nOthers used much of the machine meanwhile: {busy}. To be measured again.\n")
        }
    }
}

/// What others took of the machine, at the most.
fn others_percent(measured: &Measured) -> f64 {
    let medians = measured.cases.iter().filter_map(|runs| runs.median(OTHERS));
    medians.fold(0.0, f64::max)
}

fn disturbed(measured: &Measured) -> bool {
    others_percent(measured) > OTHERS_MAX_PERCENT
}

impl Target {
    fn row(&self, report: &Report) -> Vec<String> {
        let unit = if self.against.is_some() { String::new() } else { format!(" {}", self.unit) };
        let target = match self.bound {
            Bound::AtLeast(least) => format!("≥ {}{unit}", number(least)),
            Bound::AtMost(most) | Bound::Beyond(most) => format!("≤ {}{unit}", number(most)),
            Bound::Told => "told".to_owned(),
        };
        let of = self.of.median(report, self.bound);
        let against = self.against.as_ref().map(|figure| figure.median(report, self.bound));
        let (value, measured) = match (of, against) {
            (Some(of), None) => (Some(of), format!("{}{unit}", number(of))),
            (Some(of), Some(Some(against))) if against != 0.0 => {
                let value = of / against;
                let unit = self.unit;
                let measured = format!("{value:.2} ({} to {} {unit})", number(of), number(against));
                (Some(value), measured)
            }
            _ => (None, String::new()),
        };
        let told = match self.bound {
            Bound::Told => self.bound.told(value),
            _ if value.is_some() && report.measured(self.of.workload).is_some_and(disturbed) => {
                DISTURBED
            }
            _ => self.bound.told(value),
        };
        [self.what, &target, &measured, told, self.of.workload].map(str::to_owned).to_vec()
    }
}

impl Bound {
    fn told(self, value: Option<f64>) -> &'static str {
        match (self, value) {
            (_, None) => "not measured",
            (Bound::Told, Some(_)) => "",
            (Bound::AtLeast(least), Some(value)) if value >= least => "reached",
            // What it was measured beside was slowed down more than itself.
            (Bound::Beyond(_), Some(value)) if value < 0.0 => DISTURBED,
            (Bound::AtMost(most) | Bound::Beyond(most), Some(value)) if value <= most => "reached",
            _ => "**not reached**",
        }
    }

    /// Whichever of two is further from being reached.
    fn worse(self, a: f64, b: f64) -> f64 {
        match self {
            Bound::AtLeast(_) => a.min(b),
            Bound::AtMost(_) | Bound::Beyond(_) | Bound::Told => a.max(b),
        }
    }
}

impl Figure {
    /// Its median; none of a run that measures nothing.
    fn median(&self, report: &Report, bound: Bound) -> Option<f64> {
        let measured = report.measured(self.workload).filter(|it| measures(it))?;
        let cases = measured.cases.iter().filter(|runs| {
            runs.case.peer.name() == self.peer
                && match self.size {
                    Size::Is(size) => runs.case.size == size,
                    Size::Worst => true,
                }
        });
        cases.filter_map(|runs| runs.median(self.name)).reduce(|a, b| bound.worse(a, b))
    }
}

/// Whether figures were to mean something: released, and in the full measure.
pub(super) fn measures(measured: &Measured) -> bool {
    let settings = &measured.settings;
    !settings.tiny && settings.scale >= 1_000 && !measured.machine.unoptimised
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Server, size, figures of one run.
    type Case<'a> = (&'a str, u32, &'a [(&'a str, f64)]);

    /// A workload as a file of results has it.
    fn measured(workload: &str, cases: &[Case<'_>]) -> Measured {
        let runs = |&(peer, size, figures): &Case<'_>| {
            let run: serde_json::Map<_, _> =
                figures.iter().map(|&(name, value)| (name.to_owned(), value.into())).collect();
            json!({ "peer": peer, "size": size, "runs": [run] })
        };
        let text = json!({
            "workload": workload,
            "machine": {
                "date": "2026-01-31 12:00", "cores": 2, "cpu": "some", "kernel": "6", "unoptimised": false,
            },
            "settings": {
                "tiny": false, "scale": 1_000, "seconds": 4, "with_id": true, "mqtt5": false,
            },
            "cases": cases.iter().map(runs).collect::<Vec<_>>(),
        });
        serde_json::from_value(text).unwrap()
    }

    fn report() -> Report {
        let mut report = Report::default();
        let pairs = |rate, cpu| [("messages/s", rate), ("server CPU us/msg", cpu)];
        report.put(measured(
            "50x50",
            &[(BLUETICK, 0, &pairs(160_000.0, 8.0)), (MOSQUITTO, 0, &pairs(80_000.0, 6.4))],
        ));
        report.put(measured("window1", &[(BLUETICK, 0, &[("p50 beyond fdatasync us", 100.0)])]));
        report.put(measured("idle", &[(BLUETICK, 0, &[("bytes/connection", 3_073.0)])]));
        report.put(measured(
            "dialects",
            &[
                (BLUETICK, 7, &[("differences bytes", 114.0)]),
                (BLUETICK, 1_000, &[("differences bytes", 163.0)]),
            ],
        ));
        report.put(measured("fan-out", &[(BLUETICK, 50, &[("deliveries/s", 1.0)])]));
        report
    }

    /// The cells of the row that begins so.
    fn row(report: &Report, what: &str) -> Vec<String> {
        let target = TARGETS.iter().find(|target| target.what.starts_with(what)).unwrap();
        target.row(report)
    }

    #[test]
    fn ratios_and_figures_are_held_against_their_bounds() {
        let report = report();
        let told = |what| row(&report, what)[1..4].join(" | ");
        assert_eq!(
            told("50×50 durable, with receipts, against mosquitto"),
            "≥ 1.50 | 2.00 (160,000 to 80,000 /s) | reached"
        );
        assert_eq!(
            told("the same against mosquitto: CPU"),
            "≤ 1 | 1.25 (8 to 6.40 µs) | **not reached**"
        );
        assert_eq!(told("PUBACK at low load, median"), "≤ 100 µs | 100 µs | reached");
        assert_eq!(
            told("resident memory of an idle"),
            "≤ 3,072 bytes | 3,073 bytes | **not reached**"
        );
        assert_eq!(told("as differences, 20"), "≤ 160 bytes | 163 bytes | **not reached**");
    }

    #[test]
    fn what_is_not_there_or_not_meant_is_not_measured() {
        let report = report();
        let told = |report: &Report, what| row(report, what)[2..4].join("|");
        let rabbit = "the same against RabbitMQ's durable";
        assert_eq!(told(&report, rabbit), "|not measured");
        assert_eq!(told(&report, "a group of 1,000"), "|not measured", "of 50 only");
        assert_eq!(told(&report, "write amplification"), "|not measured");
        for spoil in [
            |it: &mut Measured| it.settings.tiny = true,
            |it: &mut Measured| it.settings.scale = 999,
            |it: &mut Measured| it.machine.unoptimised = true,
        ] {
            let mut report = self::report();
            report.workloads.iter_mut().for_each(spoil);
            assert_eq!(told(&report, "resident memory of an idle"), "|not measured");
        }
    }

    #[test]
    fn a_busy_machine_is_told() {
        let mut report = Report::default();
        let (own, other) = ([(OTHERS, 66.0), (RATE, 2.0)], [(OTHERS, 2.0), (RATE, 1.0)]);
        report.put(measured("50x50", &[(BLUETICK, 0, &own), (MOSQUITTO, 0, &other)]));
        let beyond = [("p50 beyond fdatasync us", -1.0)];
        report.put(measured("window1", &[(BLUETICK, 0, &beyond)]));
        let text = table(&report);
        assert!(text.ends_with("meanwhile: `50x50` 66 %. To be measured again.\n"), "{text}");
        assert_eq!(row(&report, "PUBACK at low load, median")[3], "disturbed");
        let durable = row(&report, "50×50 durable");
        assert_eq!(durable[2..4].join("|"), "2.00 (2 to 1 /s)|disturbed");
        assert_eq!(others(&self::report()), "");
    }

    #[test]
    fn the_worst_of_all_sizes_counts() {
        let report = |rates: [f64; 2]| {
            let case = |size, rate| (BLUETICK, size, [(RATE, rate)]);
            let [one, many] = [case(1, rates[0]), case(100, rates[1])];
            let mut report = Report::default();
            report.put(measured("catch-up", &[(one.0, one.1, &one.2), (many.0, many.1, &many.2)]));
            report
        };
        let told = |rates| row(&report(rates), "100,000 messages caught up")[3].clone();
        assert_eq!(told([100_000.0, 99_999.0]), "**not reached**");
        assert_eq!(told([100_000.0, 120_000.0]), "reached");
    }
}
