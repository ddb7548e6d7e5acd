//! Colours: for dark and for light terminals, and none.

use ratatui::style::{Color, Modifier, Style};

use crate::app::Tick;

/// Which colours to use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Choice {
    /// As the environment says: none with `NO_COLOR`, light where `COLORFGBG` tells of a light ground, else
    /// dark.
    #[default]
    Auto,
    /// For a dark ground.
    Dark,
    /// For a light ground.
    Light,
    /// No colours: bold, dim and reversed text alone.
    None,
}

/// Styles by what they are for. All are of the terminal's own 16 colours, which its owner has chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Theme {
    pub(crate) quiet: Style,
    pub(crate) strong: Style,
    pub(crate) selected: Style,
    pub(crate) title: Style,
    pub(crate) unread: Style,
    pub(crate) good: Style,
    pub(crate) bad: Style,
    pub(crate) hit: Style,
    read: Style,
    names: &'static [Color],
    /// Blue is told in words.
    pub(crate) in_words: bool,
}

const PLAIN: Style = Style::new();

impl Theme {
    pub(crate) const DARK: Self = Self {
        quiet: PLAIN.fg(Color::DarkGray),
        strong: PLAIN.add_modifier(Modifier::BOLD),
        selected: PLAIN.fg(Color::White).bg(Color::Blue),
        title: PLAIN.fg(Color::LightCyan).add_modifier(Modifier::BOLD),
        unread: PLAIN.fg(Color::Black).bg(Color::LightGreen),
        good: PLAIN.fg(Color::LightGreen),
        bad: PLAIN.fg(Color::LightRed),
        hit: PLAIN.fg(Color::Black).bg(Color::Yellow),
        read: PLAIN.fg(Color::LightBlue).add_modifier(Modifier::BOLD),
        names: &[Color::LightCyan, Color::LightMagenta, Color::LightYellow, Color::LightGreen],
        in_words: false,
    };

    pub(crate) const LIGHT: Self = Self {
        quiet: PLAIN.fg(Color::DarkGray),
        strong: PLAIN.add_modifier(Modifier::BOLD),
        selected: PLAIN.fg(Color::White).bg(Color::Blue),
        title: PLAIN.fg(Color::Blue).add_modifier(Modifier::BOLD),
        unread: PLAIN.fg(Color::White).bg(Color::Green),
        good: PLAIN.fg(Color::Green),
        bad: PLAIN.fg(Color::Red),
        hit: PLAIN.fg(Color::Black).bg(Color::Yellow),
        read: PLAIN.fg(Color::Blue).add_modifier(Modifier::BOLD),
        names: &[Color::Cyan, Color::Magenta, Color::Red, Color::Green],
        in_words: false,
    };

    pub(crate) const NONE: Self = Self {
        quiet: PLAIN.add_modifier(Modifier::DIM),
        strong: PLAIN.add_modifier(Modifier::BOLD),
        selected: PLAIN.add_modifier(Modifier::REVERSED),
        title: PLAIN.add_modifier(Modifier::BOLD),
        unread: PLAIN.add_modifier(Modifier::REVERSED),
        good: PLAIN,
        bad: PLAIN.add_modifier(Modifier::BOLD),
        hit: PLAIN.add_modifier(Modifier::REVERSED),
        read: PLAIN.add_modifier(Modifier::BOLD),
        names: &[],
        in_words: true,
    };

    /// The theme for a choice; `variable` reads the environment.
    pub(crate) fn of(choice: Choice, variable: impl Fn(&str) -> Option<String>) -> Self {
        match choice {
            Choice::Dark => Self::DARK,
            Choice::Light => Self::LIGHT,
            Choice::None => Self::NONE,
            // https://no-color.org: set to anything but nothing.
            Choice::Auto if variable("NO_COLOR").is_some_and(|value| !value.is_empty()) => {
                Self::NONE
            }
            Choice::Auto => {
                let ground = variable("COLORFGBG");
                let ground = ground.as_deref().and_then(|value| value.rsplit(';').next());
                match ground.and_then(|ground| ground.parse::<u8>().ok()) {
                    Some(7 | 9..=15) => Self::LIGHT,
                    _ => Self::DARK,
                }
            }
        }
    }

    /// The ticks of a message of one's own.
    pub(crate) fn tick(&self, tick: Tick) -> (&'static str, Style) {
        match tick {
            Tick::Waiting => ("…", self.quiet),
            Tick::Stored => ("✓", self.quiet),
            Tick::Delivered => ("✓✓", self.quiet),
            Tick::Read if self.in_words => ("✓✓ read", self.read),
            Tick::Read => ("✓✓", self.read),
        }
    }

    /// A name: always in the same colour.
    pub(crate) fn name(&self, name: &str) -> Style {
        let sum = name.bytes().fold(0usize, |sum, byte| sum.wrapping_mul(31) + usize::from(byte));
        let colour = self.names.get(sum % self.names.len().max(1));
        colour.map_or(self.strong, |colour| self.strong.fg(*colour))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_chooses_and_a_flag_outweighs_it() {
        let of = |choice, name: &str, value: &str| {
            Theme::of(choice, |asked| (asked == name).then(|| value.to_owned()))
        };
        assert_eq!(of(Choice::Auto, "NO_COLOR", "1"), Theme::NONE);
        assert_eq!(of(Choice::Auto, "NO_COLOR", ""), Theme::DARK);
        assert_eq!(of(Choice::Auto, "COLORFGBG", "0;15"), Theme::LIGHT);
        assert_eq!(of(Choice::Auto, "COLORFGBG", "15;default;0"), Theme::DARK);
        assert_eq!(of(Choice::Light, "NO_COLOR", "1"), Theme::LIGHT);
        // Without colours the ticks still differ.
        assert_ne!(Theme::NONE.tick(Tick::Read).0, Theme::NONE.tick(Tick::Delivered).0);
    }
}
