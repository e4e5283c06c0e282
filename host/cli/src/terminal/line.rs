//! What fits into a line of the terminal: parts are left out, the least important first, rather than
//! wrapped, since a wrapped line cannot be taken back when the next is drawn over it.

use std::io::IsTerminal;
use terminal_size::{Width, terminal_size_of};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Between two parts of a line.
const GAP: &str = "  ";

/// A part of a line.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    /// 0 stays longest.
    rank: u8,
    text: String,
}

impl Part {
    /// A text; of several, those with the greatest `rank` are left out first.
    pub(crate) fn new(rank: u8, text: String) -> Self {
        Self { rank, text }
    }
}

/// Columns of standard error where it is a terminal on which a line can be drawn again.
pub(crate) fn columns() -> Option<usize> {
    let stream = std::io::stderr();
    if !stream.is_terminal() || std::env::var_os("TERM").is_some_and(|term| term == "dumb") {
        return None;
    }
    Some(terminal_size_of(stream).map_or(80, |(Width(columns), _)| usize::from(columns)))
}

/// Columns of standard output where it is a terminal.
pub(crate) fn stdout_columns() -> Option<u16> {
    let stream = std::io::stdout();
    // Tests expect the same of a table wherever they run.
    (stream.is_terminal() && !cfg!(test)).then_some(())?;
    terminal_size_of(stream).map(|(Width(columns), _)| columns)
}

/// Columns that a text takes.
pub(crate) fn width(text: &str) -> usize {
    text.width()
}

/// The parts in their order, as many as fit; the most important one is cut if it must be.
pub(crate) fn fit(mut parts: Vec<Part>, columns: usize) -> String {
    loop {
        let line = whole(&parts);
        if line.width() <= columns {
            return line;
        }
        if parts.len() < 2 {
            return cut(&line, columns);
        }
        // Of equal ranks the last goes first.
        let least = (0..parts.len()).max_by_key(|&at| (parts[at].rank, at));
        parts.remove(least.unwrap_or_default());
    }
}

/// All parts.
pub(crate) fn whole(parts: &[Part]) -> String {
    let texts: Vec<&str> = parts.iter().map(|part| part.text.as_str()).collect();
    texts.join(GAP)
}

fn cut(text: &str, columns: usize) -> String {
    let mut left = columns.saturating_sub(1);
    let mut kept: String = text
        .chars()
        .take_while(|letter| {
            let width = letter.width().unwrap_or(0);
            let fits = width <= left;
            left = left.saturating_sub(width);
            fits
        })
        .collect();
    if columns > 0 {
        kept.push('…');
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts() -> Vec<Part> {
        [(1, "1:02 left"), (3, "1500 explored"), (0, "best ŷ 0.19")]
            .map(|(rank, text)| Part::new(rank, text.to_owned()))
            .to_vec()
    }

    #[test]
    fn the_least_important_parts_go_first() {
        let at = |columns| fit(parts(), columns);
        assert_eq!(at(80), "1:02 left  1500 explored  best ŷ 0.19");
        assert_eq!(at(37), at(80));
        assert_eq!(at(36), "1:02 left  best ŷ 0.19");
        assert_eq!(at(21), "best ŷ 0.19");
        assert_eq!(at(8), "best ŷ …");
        assert_eq!(at(0), "");
    }

    #[test]
    fn no_width_is_exceeded() {
        for columns in 0..60 {
            let line = fit(parts(), columns);
            assert!(width(&line) <= columns, "{line:?} in {columns}");
        }
    }
}
