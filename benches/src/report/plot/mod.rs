//! Plots of a workload's figures, as SVG: bars side by side, or curves against the size where there are several.
//!
//! Drawn by hand, because a plot of the documentation has to look the same wherever it is shown, and to change only where figures do.
//! `plotters` (0.3.7, the kept-up library with an SVG backend and few dependencies) places text by sizes that it only knows with
//! a font library, cut off labels at the edge and put the legend over the curves; it has neither weights nor dark pages.

mod axis;
mod svg;

use self::axis::Axis;
use self::svg::{Anchor, CHARACTER_PX, Ink, Picture};
use super::{Measured, Runs, number};
use crate::measure::stats::Spread;
use crate::peers::Peer;
use crate::workloads::by_name;

/// Of every picture.
const WIDTH: f64 = 760.0;
/// Around everything.
const MARGIN: f64 = 16.0;
/// Down to the end of the heading, if what it is about takes one line; of any other, and of one of the legend.
const HEAD: f64 = 62.0;
const LINE: f64 = 17.0;
/// Below the plot: its labels, and what they are.
const FOOT: f64 = 44.0;
/// The part of a picture that is curves.
const CURVES_HEIGHT: f64 = 250.0;
/// From bar to bar, and the bar itself.
const ROW: f64 = 34.0;
const BAR: f64 = 20.0;
/// Right of the bars, for their values.
const VALUE: f64 = 84.0;

/// A peer has its colour everywhere; told apart by most who are colour-blind (Okabe and Ito, "Color Universal
/// Design", 2008; others: Tol, "Colour schemes", 2021).
const COLOURS: &[(&str, &str)] = &[
    ("bluetick", "#0072b2"),
    ("bluetick-plain", "#56b4e9"),
    ("mosquitto", "#d55e00"),
    ("mosquitto-nodelay", "#e69f00"),
    ("mosquitto-persistent", "#cc79a7"),
    ("rabbitmq", "#009e73"),
    ("rabbitmq-durable", "#117733"),
    ("rumqttd", "#7f7f7f"),
    ("rmqtt", "#999933"),
    ("ejabberd", "#882255"),
    ("prosody", "#44aa99"),
];
/// Of any other.
const OTHER_COLOUR: &str = "#9a9a9a";

/// What the sizes of a workload count.
const SIZES: &[(&str, &str)] = &[
    ("a-million-chats", "chats"),
    ("catch-up", "chats"),
    ("chats-list", "chats of the user"),
    ("connections", "connections"),
    ("cores", "cores"),
    ("dialects", "place in the chat"),
    ("fan-out", "members"),
    ("history", "messages of the chat"),
    ("latency", "messages/s offered"),
    ("offline", "members"),
    ("payloads", "bytes of a message"),
    ("stored", "messages stored before"),
];

/// One figure of a workload.
pub(crate) struct Plot<'a> {
    measured: &'a Measured,
    figure: &'static str,
    /// The cases that have it.
    cases: Vec<(&'a Runs, Spread)>,
}

impl<'a> Plot<'a> {
    /// All that the workload wants drawn and that was measured.
    pub(crate) fn all(measured: &'a Measured) -> Vec<Self> {
        let figures = by_name(&measured.workload).map_or(&[][..], |workload| workload.plots());
        let plot = |&figure| Self::new(measured, figure);
        figures.iter().filter_map(plot).collect()
    }

    fn new(measured: &'a Measured, figure: &'static str) -> Option<Self> {
        let spread = |runs: &'a Runs| Some((runs, runs.spread(figure)?));
        let cases: Vec<_> = measured.cases.iter().filter_map(spread).collect();
        (!cases.is_empty()).then_some(Self { measured, figure, cases })
    }

    /// The file's name: letters, digits and dashes.
    pub(crate) fn file(&self) -> String {
        let spoken = self.figure.replace('/', " per ").replace('%', " percent ");
        let words = spoken.split(|it: char| !it.is_ascii_alphanumeric());
        let words: Vec<_> = words.filter(|word| !word.is_empty()).map(str::to_lowercase).collect();
        format!("{}-{}.svg", self.measured.workload, words.join("-"))
    }

    /// What it shows, in words.
    pub(crate) fn alt(&self) -> String {
        let sizes = self.sizes();
        let mut text = format!("{}, {}", self.measured.workload, self.label());
        if sizes.len() > 1 {
            text += &format!(" by {}", self.size_label());
        }
        let mut separator = ": ";
        for peer in self.peers() {
            text += &format!("{separator}{} ", peer.name());
            let values = self.of(peer).into_iter().map(|(size, spread)| match sizes.len() {
                1 => number(spread.median),
                _ => format!("{} at {}", number(spread.median), number(size)),
            });
            text += &values.collect::<Vec<_>>().join(", ");
            separator = "; ";
        }
        text
    }

    /// The picture.
    pub(crate) fn svg(&self) -> String {
        let picture = if self.sizes().len() > 1 { self.curves() } else { self.bars() };
        picture.finish(&self.alt())
    }

    /// One bar a peer, the better known first, with a whisker from the least run to the most.
    fn bars(&self) -> Picture {
        let peers = self.peers();
        let head = self.head();
        let bottom = head + ROW * peers.len() as f64;
        let longest = peers.iter().map(|peer| peer.name().len()).max().unwrap_or(0);
        let left = MARGIN + longest as f64 * CHARACTER_PX + 12.0;
        let right = WIDTH - MARGIN - VALUE;
        let most = self.cases.iter().map(|(_, spread)| spread.max).fold(0.0, f64::max);
        let axis = Axis::from_zero(most, (left, right));
        let mut picture = self.start(bottom + FOOT);
        for &tick in &axis.ticks {
            let x = axis.place(tick);
            picture.grid((x, head), (x, bottom));
            picture.text((x, bottom + 17.0), Anchor::Middle, Ink::Faint, &number(tick));
        }
        let middle = f64::midpoint(left, right);
        picture.text((middle, bottom + 36.0), Anchor::Middle, Ink::Faint, &self.label());
        for (row, &peer) in peers.iter().enumerate() {
            let Some((_, spread)) = self.of(peer).pop() else { continue };
            let y = head + ROW * (row as f64 + 0.5);
            let ink = if is_own(peer) { Ink::Strong } else { Ink::Plain };
            let opacity = if is_own(peer) { 1.0 } else { 0.8 };
            picture.text((left - 10.0, y + 4.5), Anchor::End, ink, peer.name());
            let length = axis.place(spread.median.max(0.0)) - left;
            picture.bar((left, y - BAR / 2.0), (length, BAR), (colour(peer), opacity));
            let (from, to) = (axis.place(spread.min.max(0.0)), axis.place(spread.max.max(0.0)));
            if to - from >= 1.0 {
                picture.whisker(from, to, y, 4.0);
            }
            picture.text((to + 8.0, y + 4.5), Anchor::Start, ink, &number(spread.median));
        }
        picture
    }

    /// A curve a peer, in a band from the least run to the most.
    fn curves(&self) -> Picture {
        let peers = self.peers();
        let legend = Legend::of(&peers);
        let top = self.head() + legend.height() + 8.0;
        let bottom = top + CURVES_HEIGHT;
        let least = self.cases.iter().map(|(_, spread)| spread.min).fold(f64::INFINITY, f64::min);
        let most = self.cases.iter().map(|(_, spread)| spread.max).fold(0.0, f64::max);
        let figures = Axis::of_figures(least, most, (bottom, top));
        let longest = figures.ticks.iter().map(|&tick| number(tick).len()).max().unwrap_or(0);
        let left = MARGIN + longest as f64 * CHARACTER_PX + 8.0;
        let right = WIDTH - MARGIN - 34.0;
        let sizes = Axis::of_sizes(&self.sizes(), (left + 24.0, right));
        let mut picture = self.start(bottom + FOOT);
        for &tick in &figures.ticks {
            let y = figures.place(tick);
            picture.grid((left, y), (WIDTH - MARGIN, y));
            picture.text((left - 8.0, y + 4.5), Anchor::End, Ink::Faint, &number(tick));
        }
        let mut free = f64::NEG_INFINITY;
        for &size in &sizes.ticks {
            let (x, text) = (sizes.place(size), number(size));
            let half = text.len() as f64 * CHARACTER_PX / 2.0;
            picture.grid((x, bottom), (x, bottom + 5.0));
            if x - half > free {
                picture.text((x, bottom + 19.0), Anchor::Middle, Ink::Faint, &text);
                free = x + half + 4.0;
            }
        }
        let middle = f64::midpoint(left, right);
        picture.text((middle, bottom + 37.0), Anchor::Middle, Ink::Faint, self.size_label());
        // The own ones last, on top of the others.
        for &peer in peers.iter().rev() {
            let of = self.of(peer);
            let place = |size: f64, value: f64| (sizes.place(size), figures.place(value));
            let line = |value: fn(&Spread) -> f64| -> Vec<_> {
                of.iter().map(|(size, spread)| place(*size, value(spread))).collect()
            };
            let mut band = line(|spread| spread.max);
            band.extend(line(|spread| spread.min).into_iter().rev());
            // The band of one point alone has no width: it is a line.
            match of.len() {
                1 => picture.curve(&band, colour(peer), 1.5),
                _ => picture.band(&band, colour(peer)),
            }
            let points = line(|spread| spread.median);
            let (width, radius) = if is_own(peer) { (3.0, 4.5) } else { (2.0, 3.5) };
            picture.curve(&points, colour(peer), width);
            for point in points {
                picture.dot(point, radius, colour(peer));
            }
        }
        legend.draw(&mut picture, self.head() + 4.0);
        picture
    }

    /// With its heading.
    fn start(&self, height: f64) -> Picture {
        let mut picture = Picture::new(WIDTH, height + MARGIN / 2.0);
        let title = format!("{}: {}", self.measured.workload, self.label());
        picture.text((MARGIN, 24.0), Anchor::Start, Ink::Title, &title);
        let mut y = 43.0;
        for line in self.about() {
            picture.text((MARGIN, y), Anchor::Start, Ink::Faint, &line);
            y += LINE;
        }
        picture
    }

    /// Down to the end of its heading.
    fn head(&self) -> f64 {
        HEAD + LINE * (self.about().len().max(1) - 1) as f64
    }

    /// What the workload is about, in lines that fit.
    fn about(&self) -> Vec<String> {
        let about = by_name(&self.measured.workload).map_or("", |workload| workload.about());
        lines(about, ((WIDTH - 2.0 * MARGIN) / CHARACTER_PX) as usize)
    }

    /// The peers in the order of the cases.
    fn peers(&self) -> Vec<Peer> {
        let mut peers = Vec::new();
        for (runs, _) in &self.cases {
            if !peers.contains(&runs.case.peer) {
                peers.push(runs.case.peer);
            }
        }
        peers
    }

    /// What a peer has, by size.
    fn of(&self, peer: Peer) -> Vec<(f64, Spread)> {
        let own = self.cases.iter().filter(|(runs, _)| runs.case.peer == peer);
        let mut own: Vec<_> =
            own.map(|(runs, spread)| (f64::from(runs.case.size), *spread)).collect();
        own.sort_by(|a, b| a.0.total_cmp(&b.0));
        own
    }

    /// All sizes, in order.
    fn sizes(&self) -> Vec<f64> {
        let mut sizes: Vec<_> = self.cases.iter().map(|(runs, _)| runs.case.size).collect();
        sizes.sort_unstable();
        sizes.dedup();
        sizes.into_iter().map(f64::from).collect()
    }

    /// The figure, its unit as it is written.
    fn label(&self) -> String {
        let words = self.figure.split_whitespace().map(|word| match word.strip_prefix("us") {
            Some(rest) if rest.is_empty() || rest.starts_with('/') => format!("µs{rest}"),
            _ => word.to_owned(),
        });
        words.collect::<Vec<_>>().join(" ")
    }

    fn size_label(&self) -> &'static str {
        let name = &self.measured.workload;
        SIZES.iter().find(|(workload, _)| workload == name).map_or("size", |(_, label)| label)
    }
}

/// Which colour is whose, in as many lines as it takes.
struct Legend {
    /// Each with its place from the left, and its line.
    entries: Vec<(Peer, f64, usize)>,
}

impl Legend {
    fn of(peers: &[Peer]) -> Self {
        let (mut x, mut line) = (MARGIN, 0);
        let mut entries = Vec::new();
        for &peer in peers {
            let width = 20.0 + peer.name().len() as f64 * CHARACTER_PX;
            if x + width > WIDTH - MARGIN && x > MARGIN {
                (x, line) = (MARGIN, line + 1);
            }
            entries.push((peer, x, line));
            x += width + 22.0;
        }
        Self { entries }
    }

    fn height(&self) -> f64 {
        LINE * self.entries.last().map_or(0, |(_, _, line)| line + 1) as f64
    }

    fn draw(&self, picture: &mut Picture, top: f64) {
        for &(peer, x, line) in &self.entries {
            let ink = if is_own(peer) { Ink::Strong } else { Ink::Plain };
            let y = top + LINE * line as f64;
            picture.bar((x, y - 9.5), (14.0, 10.0), (colour(peer), 1.0));
            picture.text((x + 20.0, y), Anchor::Start, ink, peer.name());
        }
    }
}

/// Words in lines of at most so many characters, if no word has more.
fn lines(text: &str, characters: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= characters => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

fn colour(peer: Peer) -> &'static str {
    COLOURS.iter().find(|(name, _)| *name == peer.name()).map_or(OTHER_COLOUR, |(_, colour)| colour)
}

/// Whether it is what the page is about.
fn is_own(peer: Peer) -> bool {
    peer.name().starts_with("bluetick")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_go_into_lines() {
        assert_eq!(lines("a bc def", 4), ["a bc", "def"]);
        assert_eq!(lines("", 4), Vec::<String>::new());
    }

    #[test]
    fn a_legend_of_many_takes_more_lines() {
        let legend = Legend::of(&[Peer::MosquittoNodelay; 8]);
        assert_eq!(legend.entries.iter().map(|(_, _, line)| *line).max(), Some(1));
        assert_eq!(Legend::of(&[Peer::Bluetick]).height(), LINE);
    }
}
