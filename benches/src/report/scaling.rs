//! What millions of connected devices on one machine would need: computed from the results, by the formulae of docs/scaling.md.

use super::targets::measures;
use super::{Report, align, number};
use crate::workloads::CHATS_EACH;

/// How many devices are connected.
const DEVICES: [f64; 2] = [1e6, 1e7];
/// Cores of the large machine.
const CORES: f64 = 64.0;
/// Open files beside the connections: RocksDB's, listeners.
const OTHER_FILES: f64 = 2_000.0;
const GIB: f64 = 1_073_741_824.0;
const MIB: f64 = 1_048_576.0;
const DAY_S: f64 = 86_400.0;

/// A number that the formulae start from.
struct Input {
    /// As it is called in the formulae.
    symbol: &'static str,
    what: &'static str,
    unit: &'static str,
    from: &'static str,
    value: fn(&Report) -> Option<f64>,
}

const INPUTS: &[Input] = &[
    Input {
        symbol: "m",
        what: "resident memory of a connected device with 20 chats",
        unit: "bytes",
        from: "`idle`",
        value: |report| figure(report, "idle", 0, "bytes/connection"),
    },
    Input {
        symbol: "k",
        what: "kernel memory of its socket, with nothing in its buffers",
        unit: "bytes",
        from: "slab objects, below",
        value: |_| Some(3_800.0),
    },
    Input {
        symbol: "c",
        what: "resident memory of a chat, nobody using it",
        unit: "bytes",
        from: "`a-million-chats`",
        value: |report| per_chat_bytes(report, "memory: restarted MiB"),
    },
    Input {
        symbol: "l",
        what: "CPU of a connection that is let in, TLS 1.3, nothing resumed",
        unit: "µs",
        from: "`handshakes`",
        value: |report| figure(report, "handshakes", 0, "TLS server CPU us each"),
    },
    Input {
        symbol: "e",
        what: "CPU of a device that comes back to a message, no TLS",
        unit: "µs",
        from: "`reconnect-storm`",
        value: |report| figure(report, "reconnect-storm", 0, "server CPU us/device"),
    },
    Input {
        symbol: "p",
        what: "CPU of one packet on a connection that has no other",
        unit: "µs",
        from: "`fan-out`, 1,000, alone",
        value: |report| figure(report, "fan-out", 1_000, "alone: server CPU us/delivery"),
    },
    Input {
        symbol: "w",
        what: "CPU of a durable message among many",
        unit: "µs",
        from: "`50x50`",
        value: |report| figure(report, "50x50", 0, "server CPU us/msg"),
    },
    Input {
        symbol: "r",
        what: "durable messages, on the machine that was measured",
        unit: "/s",
        from: "`50x50`",
        value: |report| figure(report, "50x50", 0, "messages/s"),
    },
    Input {
        symbol: "s",
        what: "one fdatasync",
        unit: "µs",
        from: "`window1`",
        value: |report| figure(report, "window1", 0, "fdatasync of 200 B p50 us"),
    },
    Input {
        symbol: "b",
        what: "disk for a message, compacted",
        unit: "bytes",
        from: "`stored`, 10,000,000",
        value: |report| figure(report, "stored", 10_000_000, "disk bytes/message"),
    },
    Input {
        symbol: "a",
        what: "write amplification",
        unit: "times",
        from: "`stored`, 10,000,000",
        value: |report| figure(report, "stored", 10_000_000, "write amplification"),
    },
    Input {
        symbol: "n",
        what: "messages a device sends a day",
        unit: "/day",
        from: "assumed, below",
        value: |_| Some(50.0),
    },
    Input {
        symbol: "f",
        what: "the busiest hour to the mean",
        unit: "times",
        from: "assumed",
        value: |_| Some(3.0),
    },
    Input { symbol: "K", what: "keep-alive", unit: "s", from: "assumed", value: |_| Some(300.0) },
];

/// A number that is computed for D devices.
struct Output {
    what: &'static str,
    formula: &'static str,
    unit: &'static str,
    value: fn(&Inputs<'_>, f64) -> Option<f64>,
}

const OUTPUTS: &[Output] = &[
    Output {
        what: "memory: the server's, for connections",
        formula: "D·m",
        unit: "GiB",
        value: |it, devices| Some(devices * it.get("m")? / GIB),
    },
    Output {
        what: "memory: page tables of it",
        formula: "D·m·8/4096",
        unit: "GiB",
        value: |it, devices| Some(devices * it.get("m")? * 8.0 / 4096.0 / GIB),
    },
    Output {
        what: "memory: the kernel's sockets",
        formula: "D·k",
        unit: "GiB",
        value: |it, devices| Some(devices * it.get("k")? / GIB),
    },
    Output {
        what: "memory: chats",
        formula: "D·20/2·c",
        unit: "GiB",
        value: |it, devices| Some(devices * CHATS_EACH as f64 / 2.0 * it.get("c")? / GIB),
    },
    Output {
        what: "memory: together",
        formula: "",
        unit: "GiB",
        value: |it, devices| {
            let each = it.get("m")? * (1.0 + 8.0 / 4096.0)
                + it.get("k")?
                + CHATS_EACH as f64 / 2.0 * it.get("c")?;
            Some(devices * each / GIB)
        },
    },
    Output {
        what: "open files",
        formula: "D + 2,000",
        unit: "",
        value: |_, devices| Some(devices + OTHER_FILES),
    },
    Output {
        what: "keep-alive: pings",
        formula: "D/K",
        unit: "/s",
        value: |it, devices| Some(devices / it.get("K")?),
    },
    Output {
        what: "keep-alive: cores",
        formula: "D/K·p",
        unit: "",
        value: |it, devices| Some(devices / it.get("K")? * it.get("p")? / 1e6),
    },
    Output {
        what: "busiest hour: messages",
        formula: "M = D·n·f/86,400",
        unit: "/s",
        value: |it, devices| it.busiest(devices),
    },
    Output {
        what: "busiest hour: cores",
        formula: "M·(w + 2p)",
        unit: "",
        value: |it, devices| Some(it.busiest(devices)? * (it.get("w")? + 2.0 * it.get("p")?) / 1e6),
    },
    Output {
        what: "busiest hour: of the measured rate",
        formula: "M/r",
        unit: "%",
        value: |it, devices| Some(100.0 * it.busiest(devices)? / it.get("r")?),
    },
    Output {
        what: "busiest hour: messages that come during one sync",
        formula: "M·s",
        unit: "",
        value: |it, devices| Some(it.busiest(devices)? * it.get("s")? / 1e6),
    },
    Output {
        what: "all come back at once, TLS: CPU",
        formula: "D·l",
        unit: "core s",
        value: |it, devices| Some(devices * it.get("l")? / 1e6),
    },
    Output {
        what: "all come back at once, TLS: on 64 cores",
        formula: "D·l/64",
        unit: "s",
        value: |it, devices| Some(devices * it.get("l")? / 1e6 / CORES),
    },
    Output {
        what: "all come back at once, no TLS: on 64 cores",
        formula: "D·e/64",
        unit: "s",
        value: |it, devices| Some(devices * it.get("e")? / 1e6 / CORES),
    },
    Output {
        what: "disk: stored a day",
        formula: "D·n·b",
        unit: "GiB",
        value: |it, devices| Some(devices * it.get("n")? * it.get("b")? / GIB),
    },
    Output {
        what: "disk: written in the busiest hour",
        formula: "M·b·a",
        unit: "MiB/s",
        value: |it, devices| Some(it.busiest(devices)? * it.get("b")? * it.get("a")? / MIB),
    },
];

/// What the formulae are computed with.
struct Inputs<'a>(&'a Report);

impl Inputs<'_> {
    fn get(&self, symbol: &str) -> Option<f64> {
        let input = INPUTS.iter().find(|input| input.symbol == symbol)?;
        (input.value)(self.0)
    }

    /// Messages a second in the busiest hour.
    fn busiest(&self, devices: f64) -> Option<f64> {
        Some(devices * self.get("n")? * self.get("f")? / DAY_S)
    }
}

/// The inputs, and what follows of them.
pub(super) fn table(report: &Report) -> String {
    let with_unit = |value: Option<f64>, unit: &str| match value {
        Some(value) => format!("{} {unit}", number(value)).trim_end().to_owned(),
        None => "not measured".to_owned(),
    };
    let mut inputs = vec![["input", "", "", "from"].map(str::to_owned).to_vec()];
    inputs.extend(INPUTS.iter().map(|input| {
        let value = with_unit((input.value)(report), input.unit);
        vec![input.what.to_owned(), input.symbol.to_owned(), value, input.from.to_owned()]
    }));
    let mut head = vec!["needed".to_owned(), "formula".to_owned()];
    head.extend(DEVICES.map(|devices| format!("D = {}", number(devices))));
    let mut outputs = vec![head];
    outputs.extend(OUTPUTS.iter().map(|output| {
        let cell = |devices| with_unit((output.value)(&Inputs(report), devices), output.unit);
        let mut row = vec![output.what.to_owned(), output.formula.to_owned()];
        row.extend(DEVICES.map(cell));
        row
    }));
    align(&inputs) + "\n" + &align(&outputs)
}

/// The median of a figure of bluetick's.
fn figure(report: &Report, workload: &str, size: u32, name: &str) -> Option<f64> {
    let measured = report.measured(workload).filter(|it| measures(it))?;
    let own = |runs: &&super::Runs| runs.case.peer.name() == "bluetick" && runs.case.size == size;
    measured.cases.iter().find(own)?.median(name)
}

/// What a million chats take more than a thousand, for each.
fn per_chat_bytes(report: &Report, name: &str) -> Option<f64> {
    let [many, few] = [1_000_000, 1_000];
    let of = |size| figure(report, "a-million-chats", size, name);
    Some((of(many)? - of(few)?) * MIB / f64::from(many - few))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_symbol_is_an_input_once() {
        for (at, input) in INPUTS.iter().enumerate() {
            let first = INPUTS.iter().position(|other| other.symbol == input.symbol);
            assert_eq!(first, Some(at), "{}", input.symbol);
        }
    }

    #[test]
    fn what_needs_no_measuring_is_computed_and_the_rest_says_so() {
        let text = table(&Report::default());
        let row = |what: &str| {
            let line = text.lines().find(|line| line.starts_with(&format!("| {what} ")));
            let cells = line.unwrap().split('|').map(str::trim);
            cells.filter(|cell| !cell.is_empty()).collect::<Vec<_>>().join("|")
        };
        assert_eq!(
            row("memory: the kernel's sockets"),
            "memory: the kernel's sockets|D·k|3.54 GiB|35.4 GiB"
        );
        assert_eq!(
            row("busiest hour: messages"),
            "busiest hour: messages|M = D·n·f/86,400|1,736 /s|17,361 /s"
        );
        assert_eq!(row("memory: together"), "memory: together|not measured|not measured");
    }
}
