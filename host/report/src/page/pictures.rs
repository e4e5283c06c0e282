//! Example predictions as rows of pictures.

use maud::{Markup, html};

use crate::number::shown;
use crate::report::Content;

/// The pictures, or nothing.
pub(super) fn body(content: &Content) -> Markup {
    let Some(pictures) = &content.pictures else {
        return html! {};
    };
    html! {
        div class="scroll" tabindex="0" role="group" aria-label="Example predictions" {
            table class="pictures" {
                caption { span { "Samples of the " bdi { (shown(&pictures.split)) } " split" } }
                thead { tr {
                    th scope="col" { "sample" }
                    @for column in &pictures.columns { th scope="col" { bdi { (shown(column)) } } }
                } }
                tbody {
                    @for row in &pictures.rows { tr {
                        th scope="row" { bdi { (shown(&row.sample)) } }
                        @for (cell, column) in row.cells.iter().zip(&pictures.columns) {
                            td {
                                @if let Some(picture) = &cell.picture {
                                    img src=(picture.data) width=(picture.width) height=(picture.height)
                                        alt={ "Sample " (shown(&row.sample)) ", " (shown(column)) };
                                } @else { "–" }
                                @if !cell.caption.is_empty() && cell.caption != *column { small { bdi { (shown(&cell.caption)) } } }
                            }
                        }
                    } }
                }
            }
        }
    }
}
