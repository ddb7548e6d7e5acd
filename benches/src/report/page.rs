//! The tables in a page of the documentation: each stands between two comments and is written anew from the results.

use std::fs;
use std::path::Path;

use super::{Report, table};
use crate::error::Error;

const BEGIN: &str = "<!-- bench: ";
const BEGIN_END: &str = " -->";
const END: &str = "<!-- /bench -->";

/// Writes every block of the page at `path` anew that the results have figures for; others stay as they are.
///
/// # Errors
/// [`Error::Io`]; [`Error::Setting`] for a block without an end.
pub fn write_page(path: &Path, report: &Report) -> Result<(), Error> {
    let doing = |what: &str| format!("{what} {}", path.display());
    let old = fs::read_to_string(path).map_err(Error::io(doing("read")))?;
    let new = fill(&old, |name| block(report, name))
        .ok_or_else(|| Error::Setting(format!("{}: a block without `{END}`", path.display())))?;
    if new == old {
        return Ok(());
    }
    fs::write(path, new).map_err(Error::io(doing("write")))
}

fn block(report: &Report, name: &str) -> Option<String> {
    report.measured(name).map(|measured| table::head(measured) + &table::table(measured))
}

/// The page with what `block` gives between the comments of each name; `None` if an end is missing.
fn fill(page: &str, block: impl Fn(&str) -> Option<String>) -> Option<String> {
    let mut text = String::with_capacity(page.len());
    let mut rest = page;
    while let Some(at) = rest.find(BEGIN) {
        let (before, from) = rest.split_at(at);
        let (body, behind) = from.split_once(END)?;
        let (begin, old) = body.split_once('\n')?;
        let name = begin.strip_prefix(BEGIN)?.strip_suffix(BEGIN_END)?;
        text += before;
        text += begin;
        text.push('\n');
        text += &block(name).unwrap_or_else(|| old.to_owned());
        text += END;
        rest = behind;
    }
    Some(text + rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_replaced_and_all_else_stays() {
        let page = "a\n<!-- bench: x -->\nold\n<!-- /bench -->\nb\n<!-- bench: y -->\nkept\n<!-- /bench -->\n";
        let fill = |page| fill(page, |name| (name == "x").then(|| "new\n".to_owned()));
        let filled = fill(page).unwrap();
        assert_eq!(filled, page.replace("old", "new"));
        assert_eq!(fill(&filled).unwrap(), filled);
        assert_eq!(fill("<!-- bench: x -->\nold\n"), None);
    }
}
