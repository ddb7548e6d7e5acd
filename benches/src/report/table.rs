//! A workload's figures as a table in Markdown, aligned so that it reads as well in a terminal.

use std::fmt::Write as _;

use super::{Measured, Runs};
use crate::workloads::by_name;

/// Cases above which there is a row per case; else there is one per figure.
const COLUMNS_MAX: usize = 4;

/// Where, when and how it was measured, in a line or two.
pub(crate) fn head(measured: &Measured) -> String {
    let (machine, settings) = (&measured.machine, &measured.settings);
    let runs = measured.cases.iter().map(|runs| runs.runs.len()).max().unwrap_or(0);
    let mut text = format!(
        "{}: {} UTC, {} cores, {}, Linux {}, MQTT {}{}; {}\n\n",
        measured.workload,
        machine.date,
        machine.cores,
        machine.cpu,
        machine.kernel,
        if settings.mqtt5 { "5" } else { "3.1.1" },
        if settings.with_id { "" } else { ", without message ids" },
        match runs {
            1 => "one run".to_owned(),
            runs => format!("{runs} runs: median (min..max)"),
        },
    );
    if machine.unoptimised {
        text += "built without --release: these figures measure nothing\n\n";
    }
    for absent in &measured.absent {
        put(&mut text, format_args!("without {}: {}\n\n", absent.peer.name(), absent.why));
    }
    if settings.tiny {
        text += "tiny: shows that it works, measures nothing\n\n";
    } else if settings.scale != 1000 {
        put(&mut text, format_args!("at {} thousandths of the full measure\n\n", settings.scale));
    }
    text
}

/// The table.
pub(crate) fn table(measured: &Measured) -> String {
    if let Some(table) = by_name(&measured.workload).and_then(|it| it.table(measured)) {
        return table;
    }
    let figures = measured.figures();
    let rows = if measured.cases.len() > COLUMNS_MAX {
        by_case(measured, &figures)
    } else {
        by_figure(measured, &figures)
    };
    align(&rows)
}

/// A row per case, each cell with its ratio to what it is held against.
fn by_case(measured: &Measured, figures: &[&str]) -> Vec<Vec<String>> {
    let mut head = vec![measured.workload.clone()];
    head.extend(figures.iter().map(|&figure| figure.to_owned()));
    let mut rows = vec![head];
    for runs in &measured.cases {
        let against = measured.reference(runs.case);
        let cell = |&figure: &&str| {
            let ratio = against.and_then(|against| ratio(runs, against, figure));
            let ratio = ratio.map(|ratio| format!(" ×{ratio}")).unwrap_or_default();
            cell(runs, figure) + &ratio
        };
        rows.push(std::iter::once(runs.case.name()).chain(figures.iter().map(cell)).collect());
    }
    rows
}

/// A row per figure, and the ratio of the first case to what it is held against.
fn by_figure(measured: &Measured, figures: &[&str]) -> Vec<Vec<String>> {
    let cases = &measured.cases;
    let first = cases.first();
    let against = first.and_then(|first| measured.reference(first.case));
    let mut head = vec![measured.workload.clone()];
    head.extend(cases.iter().map(|runs| runs.case.name()));
    head.extend(against.map(|against| format!("to {}", against.case.name())));
    let mut rows = vec![head];
    for figure in figures {
        let mut row = vec![(*figure).to_owned()];
        row.extend(cases.iter().map(|runs| cell(runs, figure)));
        if let Some((first, against)) = first.zip(against) {
            row.push(ratio(first, against, figure).unwrap_or_default());
        }
        rows.push(row);
    }
    rows
}

fn cell(runs: &Runs, figure: &str) -> String {
    let Some(spread) = runs.spread(figure) else { return String::new() };
    let text = number(spread.median);
    if spread.min == spread.max {
        return text;
    }
    format!("{text} ({}..{})", number(spread.min), number(spread.max))
}

fn ratio(runs: &Runs, against: &Runs, figure: &str) -> Option<String> {
    let (this, other) = (runs.median(figure)?, against.median(figure)?);
    (other != 0.0).then(|| format!("{:.2}", this / other))
}

/// Three digits that say something, and thousands apart.
pub(crate) fn number(value: f64) -> String {
    let decimals = match value.abs() {
        size if value.fract() == 0.0 || size >= 99.95 => 0,
        size if size >= 9.995 => 1,
        _ => 2,
    };
    let text = format!("{value:.decimals$}");
    let (whole, rest) = text.split_once('.').map_or((text.as_str(), None), |(w, r)| (w, Some(r)));
    let digits = whole.trim_start_matches('-');
    let mut grouped = String::from(&whole[..whole.len() - digits.len()]);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    match rest {
        Some(rest) => format!("{grouped}.{rest}"),
        None => grouped,
    }
}

/// Markdown: the first column to the left, the others to the right.
pub(crate) fn align(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0).max(3)
    };
    let widths: Vec<_> = (0..columns).map(width).collect();
    let mut text = String::new();
    for (at, row) in rows.iter().enumerate() {
        for (column, &width) in widths.iter().enumerate() {
            let cell = row.get(column).map_or("", String::as_str);
            match column {
                0 => put(&mut text, format_args!("| {cell:<width$} |")),
                _ => put(&mut text, format_args!(" {cell:>width$} |")),
            }
        }
        text.push('\n');
        if at == 0 {
            for (column, &width) in widths.iter().enumerate() {
                let line = "-".repeat(width);
                match column {
                    0 => put(&mut text, format_args!("|:{line}-|")),
                    _ => put(&mut text, format_args!("-{line}:|")),
                }
            }
            text.push('\n');
        }
    }
    text
}

pub(crate) fn put(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    let _infallible = text.write_fmt(arguments);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_three_digits_that_say_something() {
        let cases = [
            (1_234_567.8, "1,234,568"),
            (123.4, "123"),
            (12.34, "12.3"),
            (1.234, "1.23"),
            (0.0, "0"),
            (7.0, "7"),
            (-1234.0, "-1,234"),
            (99.96, "100"),
        ];
        for (value, text) in cases {
            assert_eq!(number(value), text);
        }
    }

    #[test]
    fn rows_are_aligned() {
        let row = |cells: [&str; 2]| cells.map(str::to_owned).to_vec();
        let text = align(&[row(["name", "n"]), row(["a", "1,000"])]);
        assert_eq!(text, "| name |     n |\n|:-----|------:|\n| a    | 1,000 |\n");
    }
}
