//! Tables on the terminal.

use crate::terminal::line;
use comfy_table::presets::{ASCII_MARKDOWN, UTF8_FULL_CONDENSED};
use comfy_table::{CellAlignment, ContentArrangement, Table};

/// A table with all columns but the first aligned to the right where `numbers` says so.
fn table(header: &[&str], rows: impl IntoIterator<Item = Vec<String>>, numbers: bool) -> Table {
    let mut table = Table::new();
    table
        .load_style(UTF8_FULL_CONDENSED)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_header(header);
    // Elsewhere a table is as wide as it needs to be.
    if let Some(columns) = line::stdout_columns() {
        table.set_width(columns);
    }
    for row in rows {
        table.add_row(row);
    }
    for column in table.column_iter_mut().skip(usize::from(numbers)) {
        let side = if numbers {
            CellAlignment::Right
        } else {
            CellAlignment::Left
        };
        column.set_cell_alignment(side);
    }
    table
}

/// A table of texts.
pub(crate) fn plain(header: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    table(header, rows, false).to_string()
}

/// A table whose first column names what the numbers of the others belong to.
pub(crate) fn numbers(header: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    table(header, rows, true).to_string()
}

/// The same in Markdown, as wide as it needs to be.
pub(crate) fn markdown(header: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = table(header, rows, true);
    table
        .load_style(ASCII_MARKDOWN)
        .set_content_arrangement(ContentArrangement::Disabled);
    table.to_string()
}
