//! An SVG picture, element by element.
//!
//! Every colour is an attribute for light pages; a style sheet turns ground, grid and text over for dark ones. The picture brings
//! its own ground, so that it can be read wherever it is shown.

use std::fmt::Write as _;

/// Fonts that systems have, none of them of the picture.
const FONTS: &str = "system-ui,-apple-system,'Segoe UI',Roboto,'Helvetica Neue',Arial,sans-serif";
/// What is different on dark pages.
const DARK: &str = "@media(prefers-color-scheme:dark){.ground{fill:#0d1117}.grid{stroke:#30363d}\
.halo{stroke:#0d1117}.ink{fill:#e6edf3}.faint{fill:#9198a1}.pen{stroke:#e6edf3}}";
/// About the width of a character, by which room is set aside: whoever draws the picture has his own font.
pub(super) const CHARACTER_PX: f64 = 7.4;

/// Where a text stands from its position.
#[derive(Debug, Clone, Copy)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

/// How a text looks.
#[derive(Debug, Clone, Copy)]
pub(super) enum Ink {
    Title,
    Strong,
    Plain,
    Faint,
}

/// A picture that is being drawn; positions and sizes in pixels, to a tenth.
pub(super) struct Picture {
    width: f64,
    height: f64,
    body: String,
}

impl Picture {
    pub(super) fn new(width: f64, height: f64) -> Self {
        Self { width, height, body: String::new() }
    }

    pub(super) fn text(&mut self, (x, y): (f64, f64), anchor: Anchor, ink: Ink, text: &str) {
        let anchor = match anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        let look = match ink {
            Ink::Title => r##"class="ink" fill="#1f2328" font-size="15" font-weight="600""##,
            Ink::Strong => r##"class="ink" fill="#1f2328" font-weight="700""##,
            Ink::Plain => r##"class="ink" fill="#1f2328""##,
            Ink::Faint => r##"class="faint" fill="#59636e" font-size="12""##,
        };
        let text = escape(text);
        self.put(format_args!(
            r#"<text x="{x:.1}" y="{y:.1}" text-anchor="{anchor}" {look}>{text}</text>"#
        ));
    }

    /// A line of the grid.
    pub(super) fn grid(&mut self, (x1, y1): (f64, f64), (x2, y2): (f64, f64)) {
        self.put(format_args!(
            r##"<path d="M{x1:.1} {y1:.1}L{x2:.1} {y2:.1}" class="grid" stroke="#d1d9e0"/>"##
        ));
    }

    /// A line that says how far the runs lie apart, set off from what is below it.
    pub(super) fn whisker(&mut self, from: f64, to: f64, y: f64, half: f64) {
        let (top, bottom) = (y - half, y + half);
        let d = format!(
            "M{from:.1} {top:.1}V{bottom:.1}M{from:.1} {y:.1}H{to:.1}M{to:.1} {top:.1}V{bottom:.1}"
        );
        self.put(format_args!(
            r##"<path d="{d}" class="halo" fill="none" stroke="#ffffff" stroke-width="3.5" stroke-opacity="0.6"/>"##
        ));
        self.put(format_args!(
            r##"<path d="{d}" class="pen" fill="none" stroke="#1f2328" stroke-width="1.5"/>"##
        ));
    }

    pub(super) fn bar(
        &mut self,
        (x, y): (f64, f64),
        (width, height): (f64, f64),
        look: (&str, f64),
    ) {
        let (colour, opacity) = look;
        self.put(format_args!(
            r#"<rect x="{x:.1}" y="{y:.1}" width="{width:.1}" height="{height:.1}" rx="2" fill="{colour}" fill-opacity="{opacity}"/>"#
        ));
    }

    /// The area within `points`.
    pub(super) fn band(&mut self, points: &[(f64, f64)], colour: &str) {
        let d = path(points);
        self.put(format_args!(r#"<path d="{d}Z" fill="{colour}" fill-opacity="0.18"/>"#));
    }

    pub(super) fn curve(&mut self, points: &[(f64, f64)], colour: &str, width: f64) {
        let d = path(points);
        self.put(format_args!(
            r#"<path d="{d}" fill="none" stroke="{colour}" stroke-width="{width}" stroke-linejoin="round"/>"#
        ));
    }

    pub(super) fn dot(&mut self, (x, y): (f64, f64), radius: f64, colour: &str) {
        self.put(format_args!(r#"<circle cx="{x:.1}" cy="{y:.1}" r="{radius}" fill="{colour}"/>"#));
    }

    /// The file; `alt` is what it says to whoever does not see it.
    pub(super) fn finish(self, alt: &str) -> String {
        let Self { width, height, body } = self;
        let alt = escape(alt);
        format!(
            r##"<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" role="img" font-family="{FONTS}" font-size="13">
<title>{alt}</title>
<style>{DARK}</style>
<rect class="ground" width="{width}" height="{height}" rx="6" fill="#ffffff"/>
{body}</svg>
"##
        )
    }

    fn put(&mut self, element: std::fmt::Arguments<'_>) {
        // Writing to a String cannot fail.
        let _infallible = writeln!(self.body, "{element}");
    }
}

fn path(points: &[(f64, f64)]) -> String {
    let mut d = String::new();
    for (at, (x, y)) in points.iter().enumerate() {
        let _infallible = write!(d, "{}{x:.1} {y:.1}", if at == 0 { 'M' } else { 'L' });
    }
    d
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
