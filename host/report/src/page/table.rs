//! Tables, and the frame of a chart with its table behind it. A table is wrapped in a region that
//! scrolls by itself and takes the keyboard, so that a phone never scrolls the page sideways.

use maud::{Markup, html};

/// A column.
pub(super) struct Column {
    title: String,
    numbers: bool,
}

/// A column of texts.
pub(super) fn texts(title: impl Into<String>) -> Column {
    Column {
        title: title.into(),
        numbers: false,
    }
}

/// A column of numbers.
pub(super) fn numbers(title: impl Into<String>) -> Column {
    Column {
        title: title.into(),
        numbers: true,
    }
}

/// A cell: what it shows, and the number it is sorted by.
pub(super) struct Cell {
    body: Markup,
    sort: Option<f64>,
    warns: bool,
}

impl Cell {
    pub(super) fn text(body: Markup) -> Self {
        Self {
            body,
            sort: None,
            warns: false,
        }
    }

    pub(super) fn number(shown: &str, value: f64) -> Self {
        Self {
            body: html! { (shown) },
            sort: value.is_finite().then_some(value),
            warns: false,
        }
    }

    /// Nothing was measured.
    pub(super) fn none() -> Self {
        Self::text(html! { "–" })
    }

    pub(super) fn warning(self, note: &str) -> Self {
        Self {
            body: html! { (self.body) " " span class="flag" { (note) } },
            warns: true,
            ..self
        }
    }
}

/// A table that can be sorted by every column. The first cell of a row names it.
pub(super) fn table(id: &str, caption: &str, columns: &[Column], rows: Vec<Vec<Cell>>) -> Markup {
    html! {
        div class="scroll" tabindex="0" role="group" aria-labelledby={ (id) "-caption" } {
            table id=(id) {
                caption id={ (id) "-caption" } { span { (caption) } }
                thead { tr {
                    @for column in columns {
                        th scope="col" aria-sort="none" class=[column.numbers.then_some("n")] {
                            button type="button" class="sort" { (column.title) }
                        }
                    }
                } }
                tbody {
                    @for row in rows { tr {
                        @for (at, (cell, column)) in row.into_iter().zip(columns).enumerate() {
                            (rendered(&cell, at == 0, column.numbers))
                        }
                    } }
                }
            }
        }
    }
}

fn rendered(cell: &Cell, names_row: bool, numbers: bool) -> Markup {
    let class = match (numbers, cell.warns) {
        (true, true) => Some("n warns"),
        (true, false) => Some("n"),
        (false, true) => Some("warns"),
        (false, false) => None,
    };
    let sort = cell.sort.map(|value| value.to_string());
    html! {
        @if names_row {
            th scope="row" class=[class] data-sort=[sort] { (cell.body) }
        } @else {
            td class=[class] data-sort=[sort] { (cell.body) }
        }
    }
}

/// A chart that the script draws, what it shows in words, and its data behind it.
pub(super) fn chart(
    name: &str,
    alternative: &str,
    caption: &Markup,
    data: Option<&Markup>,
) -> Markup {
    html! {
        figure class="chart" data-chart=(name) {
            div class="plot" role="img" aria-label=(alternative) {
                noscript { "The chart needs JavaScript; its data is in the table." }
            }
            figcaption { (caption) }
            @if let Some(data) = data {
                details data-key=(name) { summary { "Data of this chart as a table" } (data) }
            }
        }
    }
}

/// The key of a chart: class of the mark, and its name.
pub(super) fn legend(entries: &[(&str, String)]) -> Markup {
    html! {
        ul class="legend" {
            @for (class, name) in entries {
                li { span class={ "key " (class) } aria-hidden="true" {} bdi { (name) } }
            }
        }
    }
}
