//! The blocks of a page of the documentation: each stands between two comments and is made of the results alone.

use std::fs;
use std::path::{Path, PathBuf};

use super::plot::Plot;
use super::{Measured, Report, put, scaling, table, targets};
use crate::error::Error;

const BEGIN: &str = "<!-- bench: ";
const BEGIN_END: &str = " -->";
const END: &str = "<!-- /bench -->";

/// Writes every block of the page at `path` anew: what the results have of it, or nothing.
///
/// Its pictures are those that [`write_plots`] makes, in the folder of `results`, which is that of the page or below it.
///
/// # Errors
/// [`Error::Io`]; [`Error::Setting`] for a block without an end, or results elsewhere.
pub fn write_page(path: &Path, results: &Path, report: &Report) -> Result<(), Error> {
    let doing = |what: &str| format!("{what} {}", path.display());
    let plots = plots_from(path, results)?;
    let old = fs::read_to_string(path).map_err(Error::io(doing("read")))?;
    let new = fill(&old, |name| block(report, &plots, name))
        .ok_or_else(|| Error::Setting(format!("{}: a block without `{END}`", path.display())))?;
    if new == old {
        return Ok(());
    }
    fs::write(path, new).map_err(Error::io(doing("write")))
}

/// Writes the plots of all results into the folder of `results`.
///
/// # Errors
/// [`Error::Io`].
pub fn write_plots(results: &Path, report: &Report) -> Result<(), Error> {
    let folder = folder(results);
    for plot in report.workloads.iter().flat_map(Plot::all) {
        let path = folder.join(plot.file());
        fs::write(&path, plot.svg()).map_err(Error::io(format!("write {}", path.display())))?;
    }
    Ok(())
}

/// The folder of a file.
fn folder(path: &Path) -> PathBuf {
    path.parent().map(Path::to_owned).unwrap_or_default()
}

/// The folder of the plots as the page calls it, with a slash behind unless it is the page's own.
fn plots_from(page: &Path, results: &Path) -> Result<String, Error> {
    let (page, results) = (folder(page), folder(results));
    let below = results.strip_prefix(&page).map_err(|_| {
        Error::Setting(format!(
            "{}: results and plots have to be in {} or below",
            results.display(),
            page.display()
        ))
    })?;
    let names = below.iter().map(|name| format!("{}/", name.to_string_lossy()));
    Ok(names.collect())
}

/// What stands in the block `name`.
fn block(report: &Report, plots: &str, name: &str) -> String {
    match name {
        "targets" => targets::table(report),
        "scaling" => scaling::table(report),
        name => report.measured(name).map(|it| workload_block(it, plots)).unwrap_or_default(),
    }
}

fn workload_block(measured: &Measured, plots: &str) -> String {
    let mut text = table::head(measured) + &table::table(measured);
    for plot in Plot::all(measured) {
        put(&mut text, format_args!("\n![{}]({plots}{})\n", plot.alt(), plot.file()));
    }
    text
}

/// The page with what `block` gives between the comments of each name; `None` if an end is missing.
fn fill(page: &str, block: impl Fn(&str) -> String) -> Option<String> {
    let mut text = String::with_capacity(page.len());
    let mut rest = page;
    while let Some(at) = rest.find(BEGIN) {
        let (before, from) = rest.split_at(at);
        let (body, behind) = from.split_once(END)?;
        let (begin, _old) = body.split_once('\n')?;
        let name = begin.strip_prefix(BEGIN)?.strip_suffix(BEGIN_END)?;
        text += before;
        text += begin;
        text.push('\n');
        text += &block(name);
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
        let page = "a\n<!-- bench: x -->\nold\n<!-- /bench -->\nb\n<!-- bench: y -->\ngone\n<!-- /bench -->\n";
        let block = |name: &str| if name == "x" { "new\n".to_owned() } else { String::new() };
        let filled = fill(page, block).unwrap();
        assert_eq!(filled, page.replace("old", "new").replace("gone\n", ""));
        assert_eq!(fill(&filled, block).unwrap(), filled);
        assert_eq!(fill("<!-- bench: x -->\nold\n", block), None);
    }

    #[test]
    fn a_page_finds_plots_below_it() {
        let from = |page: &str, results: &str| plots_from(Path::new(page), Path::new(results));
        assert_eq!(from("docs/page.md", "docs/figures/results.json").unwrap(), "figures/");
        assert_eq!(from("page.md", "results.json").unwrap(), "");
        assert!(from("docs/page.md", "results.json").is_err());
    }
}
