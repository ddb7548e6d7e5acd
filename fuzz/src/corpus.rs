//! The corpora in the tree: a line of hexadecimal digits for each input.
//!
//! `corpus/` is what an engine has found to go different ways, small and without doubles;
//! `regressions/` what has broken a promise once, each with a word on it.

use std::io;
use std::path::{Path, PathBuf};

use crate::Target;

impl Target {
    /// Where its corpus is.
    #[must_use]
    pub fn corpus_path(&self) -> PathBuf {
        self.folder("corpus")
    }

    /// Its corpus and its regressions, without comments and empty lines.
    ///
    /// # Errors
    /// A file cannot be read, or a line is not hexadecimal.
    pub fn corpus(&self) -> io::Result<Vec<Vec<u8>>> {
        let mut text = std::fs::read_to_string(self.corpus_path())?;
        let regressions = self.folder("regressions");
        if regressions.exists() {
            text.push_str(&std::fs::read_to_string(regressions)?);
        }
        let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        let input = |line: &str| {
            from_hex(line).ok_or_else(|| io::Error::other(format!("not hexadecimal: {line}")))
        };
        lines.map(input).collect()
    }

    fn folder(&self, folder: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("{folder}/{}.txt", self.name))
    }
}

fn from_hex(line: &str) -> Option<Vec<u8>> {
    let pair = |at: usize| u8::from_str_radix(line.get(at..at + 2)?, 16).ok();
    (0..line.len()).step_by(2).map(pair).collect()
}

/// As a line of a corpus.
#[must_use]
pub fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
