//! The text that one writes: several lines, and a cursor between the characters that one sees.

use unicode_segmentation::{GraphemeCursor, UnicodeSegmentation};

use crate::text;

/// Bytes that one can write, at most; a paste is cut there. The server takes more by default (256 KiB), but
/// nobody reads that.
pub(crate) const EDITOR_BYTES_MAX: usize = 64 * 1024;

/// A text and a cursor in it.
///
/// The cursor is always between two grapheme clusters, so that one press of a key goes over, or takes away,
/// what looks like one character. Nothing in the text is a control character but line feeds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Editor {
    text: String,
    /// In bytes.
    cursor: usize,
}

impl Editor {
    pub(crate) fn new(text: &str) -> Self {
        let mut editor = Self::default();
        editor.insert(text);
        editor
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// The text, which is gone then.
    pub(crate) fn take(&mut self) -> String {
        self.cursor = 0;
        std::mem::take(&mut self.text)
    }

    /// Types or pastes.
    pub(crate) fn insert(&mut self, text: &str) {
        let text = text::clean(&text.replace("\r\n", "\n").replace('\r', "\n"));
        let room = EDITOR_BYTES_MAX.saturating_sub(self.text.len());
        let mut end = text.len().min(room);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        self.text.insert_str(self.cursor, &text[..end]);
        self.cursor += end;
        self.settle();
    }

    /// What was typed may have joined with what stands behind it.
    fn settle(&mut self) {
        let mut cursor = GraphemeCursor::new(self.cursor, self.text.len(), true);
        if !cursor.is_boundary(&self.text, 0).unwrap_or(true) {
            self.cursor = self.next();
        }
    }

    fn previous(&self) -> usize {
        let mut cursor = GraphemeCursor::new(self.cursor, self.text.len(), true);
        cursor.prev_boundary(&self.text, 0).ok().flatten().unwrap_or(0)
    }

    fn next(&self) -> usize {
        let mut cursor = GraphemeCursor::new(self.cursor, self.text.len(), true);
        cursor.next_boundary(&self.text, 0).ok().flatten().unwrap_or(self.text.len())
    }

    fn previous_word(&self) -> usize {
        let before = &self.text[..self.cursor];
        let words = before.split_word_bound_indices().rev();
        let mut words = words.skip_while(|(_, word)| word.trim().is_empty());
        words.next().map_or(0, |(at, _)| at)
    }

    fn next_word(&self) -> usize {
        let after = &self.text[self.cursor..];
        let mut words = after.split_word_bound_indices();
        let word = words.by_ref().find(|(_, word)| !word.trim().is_empty());
        word.map_or(self.text.len(), |(at, word)| self.cursor + at + word.len())
    }

    fn line_start(&self) -> usize {
        self.text[..self.cursor].rfind('\n').map_or(0, |at| at + 1)
    }

    fn line_end(&self) -> usize {
        self.text[self.cursor..].find('\n').map_or(self.text.len(), |at| self.cursor + at)
    }

    pub(crate) fn left(&mut self) {
        self.cursor = self.previous();
    }

    pub(crate) fn right(&mut self) {
        self.cursor = self.next();
    }

    pub(crate) fn word_left(&mut self) {
        self.cursor = self.previous_word();
        self.settle();
    }

    pub(crate) fn word_right(&mut self) {
        self.cursor = self.next_word();
        self.settle();
    }

    pub(crate) fn home(&mut self) {
        self.cursor = self.line_start();
    }

    pub(crate) fn end(&mut self) {
        self.cursor = self.line_end();
    }

    /// To the line above, at the same column or the line's end; false if there is none.
    pub(crate) fn up(&mut self) -> bool {
        let start = self.line_start();
        let Some(end) = start.checked_sub(1) else { return false };
        let column = text::width(&self.text[start..self.cursor]);
        let start = self.text[..end].rfind('\n').map_or(0, |at| at + 1);
        self.go_to_column(start, end, column);
        true
    }

    /// To the line below; false if there is none.
    pub(crate) fn down(&mut self) -> bool {
        let end = self.line_end();
        if end == self.text.len() {
            return false;
        }
        let column = text::width(&self.text[self.line_start()..self.cursor]);
        let (start, rest) = (end + 1, &self.text[end + 1..]);
        let end = rest.find('\n').map_or(self.text.len(), |at| start + at);
        self.go_to_column(start, end, column);
        true
    }

    fn go_to_column(&mut self, start: usize, end: usize, column: usize) {
        let mut taken = 0;
        self.cursor = end;
        for (at, grapheme) in self.text[start..end].grapheme_indices(true) {
            if taken >= column {
                self.cursor = start + at;
                break;
            }
            taken += text::width(grapheme);
        }
    }

    pub(crate) fn backspace(&mut self) {
        self.remove(self.previous(), self.cursor);
    }

    pub(crate) fn delete(&mut self) {
        self.remove(self.cursor, self.next());
    }

    pub(crate) fn delete_word(&mut self) {
        self.remove(self.previous_word(), self.cursor);
    }

    pub(crate) fn delete_to_start(&mut self) {
        self.remove(self.line_start(), self.cursor);
    }

    /// To the line's end; at it, the line feed.
    pub(crate) fn delete_to_end(&mut self) {
        let end = self.line_end();
        let end = if end == self.cursor { self.next() } else { end };
        self.remove(self.cursor, end);
    }

    fn remove(&mut self, start: usize, end: usize) {
        self.text.replace_range(start..end, "");
        self.cursor = start;
        self.settle();
    }

    /// The text in rows of so many columns, and the cursor's row and column. A row is full one column before
    /// the end, so that there is room for the cursor behind it.
    pub(crate) fn rows(&self, columns: usize) -> (Vec<String>, usize, usize) {
        let columns = columns.saturating_sub(1).max(2);
        let mut rows = vec![String::new()];
        let (mut taken, mut at) = (0, (0, 0));
        for (index, grapheme) in self.text.grapheme_indices(true) {
            let is_break = grapheme == "\n";
            let wide = if is_break { 0 } else { text::width(grapheme) };
            if taken + wide > columns {
                rows.push(String::new());
                taken = 0;
            }
            if index == self.cursor {
                at = (rows.len() - 1, taken);
            }
            if is_break {
                rows.push(String::new());
                taken = 0;
            } else if let Some(row) = rows.last_mut() {
                row.push_str(grapheme);
                taken += wide;
            }
        }
        if self.cursor == self.text.len() {
            at = (rows.len() - 1, taken);
        }
        (rows, at.0, at.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graphemes(text: &str) -> Vec<&str> {
        text.graphemes(true).collect()
    }

    #[test]
    fn lines_words_and_wide_characters() {
        let mut editor = Editor::new("see you\n日本語\nend");
        assert!(editor.up());
        editor.insert("|");
        assert_eq!(editor.text(), "see you\n日本|語\nend");
        assert!(editor.up() && !editor.up());
        editor.home();
        editor.word_right();
        editor.insert("!");
        editor.delete_to_end();
        editor.delete_to_end();
        assert_eq!(editor.text(), "see!日本|語\nend");
        editor.end();
        editor.delete_word();
        assert_eq!(editor.text(), "see!日本|\nend");
        assert_eq!(Editor::new("abcd").rows(4), (vec!["abc".to_owned(), "d".to_owned()], 1, 1));
        assert_eq!(Editor::new("日本").rows(4), (vec!["日".to_owned(), "本".to_owned()], 1, 2));
    }

    #[test]
    fn a_family_is_one_character() {
        let mut editor = Editor::new("a👩\u{200d}👩\u{200d}👧");
        editor.backspace();
        assert_eq!(editor.text(), "a");
    }

    #[test]
    fn a_paste_is_cut_and_harmless() {
        let mut editor = Editor::new("");
        editor.insert(&"é\r".repeat(EDITOR_BYTES_MAX));
        assert!(editor.text().len() <= EDITOR_BYTES_MAX && editor.text().starts_with("é\né\n"));
        let editor = Editor::new("\x1b[31m");
        assert_eq!(editor.text(), "␛[31m");
    }

    /// Whatever keys are pressed: the cursor stands between what looks like characters, no move changes the
    /// text, and an insertion or a removal changes it at the cursor and nowhere else.
    #[test]
    fn any_keys_keep_the_promises() {
        let pieces = ["a", "bc ", "\n", "日", "👍🏽", "\u{301}", "👩\u{200d}", "🇩", "\u{1b}[A", "é "];
        for seed in 0..300 {
            let mut random = fastrand::Rng::with_seed(seed);
            let mut editor = Editor::default();
            for _ in 0..60 {
                let before = editor.clone();
                let (head, tail) = before.text.split_at(before.cursor);
                let key = random.u8(0..16);
                match key {
                    0..=4 => {
                        let piece = pieces[random.usize(0..pieces.len())];
                        editor.insert(piece);
                        assert_eq!(editor.text, format!("{head}{}{tail}", text::clean(piece)));
                    }
                    5 => editor.backspace(),
                    6 => editor.delete(),
                    7 => editor.delete_word(),
                    8 => editor.delete_to_start(),
                    9 => editor.delete_to_end(),
                    10 => editor.left(),
                    11 => editor.right(),
                    12 => editor.word_left(),
                    13 => editor.word_right(),
                    14 => drop(editor.up()),
                    _ => drop(editor.down()),
                }
                match key {
                    0..=4 => {}
                    5 | 7 | 8 => {
                        let kept = editor.text.strip_suffix(tail).expect("what is behind stays");
                        assert!(head.starts_with(kept), "seed {seed}");
                        let gone = graphemes(head).len() - graphemes(kept).len();
                        assert!(key != 5 || gone <= 1, "seed {seed}: {gone} characters at once");
                    }
                    6 | 9 => {
                        let kept = editor.text.strip_prefix(head).expect("what is before stays");
                        assert!(tail.ends_with(kept), "seed {seed}");
                    }
                    _ => assert_eq!(editor.text, before.text, "seed {seed}"),
                }
                let mut bounds = editor.text.grapheme_indices(true).map(|(at, _)| at);
                let is_boundary =
                    editor.cursor == editor.text.len() || bounds.any(|at| at == editor.cursor);
                assert!(is_boundary, "seed {seed}: {:?} at {}", editor.text, editor.cursor);
                let columns = random.usize(0..20);
                let (rows, row, column) = editor.rows(columns);
                assert!(row < rows.len() && column <= text::width(&rows[row]), "seed {seed}");
                assert_eq!(rows.concat(), editor.text.replace('\n', ""), "seed {seed}");
            }
        }
    }
}
