//! Between the corpora in the tree and folders of files, as fuzzing engines want them.
//!
//! `corpus unpack TARGET FOLDER` writes the inputs as files, `corpus pack TARGET FOLDER` puts the
//! files of a folder in the place of the corpus.

use std::path::Path;
use std::process::ExitCode;
use std::{fs, io};

use bluetick_fuzz::corpus::to_hex;
use bluetick_fuzz::{TARGETS, Target};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [verb, name, folder] = &arguments[..] else {
        eprintln!("corpus unpack|pack TARGET FOLDER");
        return ExitCode::FAILURE;
    };
    let target = TARGETS.iter().find(|target| target.name == name);
    let done = match (&**verb, target) {
        ("unpack", Some(target)) => unpack(target, Path::new(folder)),
        ("pack", Some(target)) => pack(target, Path::new(folder)),
        (_, None) => Err(io::Error::other(format!("there is no target {name}"))),
        (verb, _) => Err(io::Error::other(format!("what is {verb}? unpack or pack"))),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn unpack(target: &Target, folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    for (at, input) in target.corpus()?.iter().enumerate() {
        fs::write(folder.join(format!("{at:04}")), input)?;
    }
    Ok(())
}

fn pack(target: &Target, folder: &Path) -> io::Result<()> {
    let mut lines = Vec::new();
    for entry in fs::read_dir(folder)? {
        lines.push(to_hex(&fs::read(entry?.path())?));
    }
    // Short ones first: whoever reads it, and whoever looks for a small failure.
    lines.sort_by(|a, b| a.len().cmp(&b.len()).then_with(|| a.cmp(b)));
    lines.dedup();
    lines.retain(|line| !line.is_empty());
    lines.push(String::new());
    fs::write(target.corpus_path(), lines.join("\n"))
}
