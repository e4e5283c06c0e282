//! Example predictions as rows of pictures.

use maud::{Markup, html};

use crate::content::Content;
use crate::number::shown;
use crate::pictures::Pictures;

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
                    @for (at, column) in pictures.columns.iter().enumerate() {
                        th scope="col" {
                            bdi { (shown(column)) }
                            @if let Some(caption) = common_caption(pictures, at) { small { bdi { (shown(caption)) } } }
                        }
                    }
                } }
                tbody {
                    @for row in &pictures.rows { tr {
                        th scope="row" { bdi { (shown(&row.sample)) } }
                        @for (at, (cell, column)) in row.cells.iter().zip(&pictures.columns).enumerate() {
                            td {
                                @if let Some(picture) = &cell.picture {
                                    img src=(picture.data) width=(picture.width) height=(picture.height)
                                        alt={ "Sample " (shown(&row.sample)) ", " (shown(column)) };
                                } @else { "–" }
                                @if !cell.caption.is_empty() && cell.caption != *column && common_caption(pictures, at).is_none() {
                                    small { bdi { (shown(&cell.caption)) } }
                                }
                            }
                        }
                    } }
                }
            }
        }
    }
}

/// What is said of every picture of a column alike, and is not its title: said once, in its head.
fn common_caption(pictures: &Pictures, column: usize) -> Option<&str> {
    let mut captions = pictures
        .rows
        .iter()
        .filter_map(|row| row.cells.get(column))
        .map(|cell| &cell.caption);
    let first = captions.next()?;
    let same = pictures.rows.len() > 1 && captions.all(|caption| caption == first);
    let told = first.is_empty() || pictures.columns.get(column) == Some(first);
    (same && !told).then_some(first.as_str())
}
