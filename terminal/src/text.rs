//! Text of others on its way to the screen: nothing that a terminal would obey, and as wide as it says.

use unicode_segmentation::UnicodeSegmentation;
use unicode_width::UnicodeWidthStr;

/// Blanks that a tab becomes.
const TAB: &str = "    ";

/// A text of any origin as one line, safe for a terminal: what is a line's end becomes a blank.
pub(crate) fn clean_line(text: &str) -> String {
    clean(text).replace('\n', " ")
}

/// A text of any origin, safe for a terminal: control characters, which would move the cursor, change
/// settings or answer in the person's name, become visible signs; what reorders text (CVE-2021-42574) goes.
/// Line feeds stay.
pub(crate) fn clean(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(char) = chars.next() {
        match char {
            '\n' => out.push('\n'),
            '\r' if chars.peek() == Some(&'\n') => {}
            '\t' => out.push_str(TAB),
            // U+2400 and on: "symbol for escape" and the like.
            '\0'..='\x1f' => {
                out.push(char::from_u32(0x2400 + u32::from(char)).unwrap_or('\u{fffd}'))
            }
            '\x7f' => out.push('\u{2421}'),
            '\u{80}'..='\u{9f}' => out.push('\u{fffd}'),
            char if is_reordering(char) => {}
            char => out.push(char),
        }
    }
    out
}

/// What changes the direction of what follows, ends a line behind one's back, or shows nothing at all.
fn is_reordering(char: char) -> bool {
    matches!(char,
        '\u{061c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0001}')
}

/// Columns that a text takes: the sum over its grapheme clusters, as ratatui puts one into a cell.
pub(crate) fn width(text: &str) -> usize {
    text.graphemes(true).map(UnicodeWidthStr::width).sum()
}

/// The beginning of a line that fits, with `…` if that is not all.
pub(crate) fn fit(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let mut out = String::new();
    let mut left = columns.saturating_sub(1);
    for grapheme in text.graphemes(true) {
        match left.checked_sub(width(grapheme)) {
            Some(rest) => left = rest,
            None => break,
        }
        out.push_str(grapheme);
    }
    if columns > 0 {
        out.push('…');
    }
    out
}

/// A text in lines of at most so many columns (at least 2, for wide characters), broken at blanks where
/// there are some.
pub(crate) fn wrap(text: &str, columns: usize) -> Vec<String> {
    let columns = columns.max(2);
    text.split('\n').flat_map(|line| wrap_line(line, columns)).collect()
}

fn wrap_line(line: &str, columns: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let (mut current, mut taken) = (String::new(), 0);
    for word in line.split_word_bounds() {
        let word_columns = width(word);
        if taken + word_columns > columns {
            if word.chars().all(char::is_whitespace) {
                lines.push(std::mem::take(&mut current));
                taken = 0;
                continue;
            }
            if word_columns <= columns && taken > 0 {
                lines.push(current.trim_end().to_owned());
                (current, taken) = (String::new(), 0);
            }
        }
        for grapheme in word.graphemes(true) {
            let grapheme_columns = width(grapheme);
            if taken + grapheme_columns > columns && taken > 0 {
                lines.push(std::mem::take(&mut current));
                taken = 0;
            }
            current.push_str(grapheme);
            taken += grapheme_columns;
        }
    }
    lines.push(current);
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_terminal_obeys_is_left() {
        let evil = "a\x1b]0;owned\x07\x1b[2J\u{9b}31m\r\nb\x7f\u{202e}c\tz\0";
        let clean_text = clean(evil);
        assert_eq!(clean_text, "a␛]0;owned␇␛[2J\u{fffd}31m\nb␡c    z␀");
        for byte in 0..=0xffu8 {
            let text = clean(&char::from(byte).to_string());
            assert!(
                text.chars().all(|char| char == '\n' || !char.is_control()),
                "{byte}: {text:?}"
            );
        }
        assert!(!clean_line("a\nb").contains('\n'));
        // Emoji are joined by what shows nothing.
        assert_eq!(clean("👩\u{200d}🚀"), "👩\u{200d}🚀");
    }

    #[test]
    fn lines_are_as_wide_as_they_may() {
        assert_eq!(wrap("see you at seven", 8), ["see you", "at seven"]);
        assert_eq!(wrap("abcdefgh", 3), ["abc", "def", "gh"]);
        assert_eq!(wrap("a\n\nb", 9), ["a", "", "b"]);
        assert_eq!(wrap("日本語", 4), ["日本", "語"]);
        assert_eq!(fit("日本語", 5), "日本…");
        assert_eq!(fit("日本語", 6), "日本語");
        assert_eq!(fit("x", 0), "");
        for columns in 0..12 {
            for line in wrap("日本 語 see 👩\u{200d}🚀👍🏽 you  at\tseven-thirty", columns)
            {
                assert!(width(&line) <= columns.max(2), "{line:?} at {columns}");
            }
        }
    }
}
