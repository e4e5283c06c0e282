//! Formulas as the page shows them: mathematics, the text form of loss files, and a button to copy it.

use maud::{Markup, PreEscaped, html};

use crate::branches::Formula;
use crate::number::shown;

/// The mathematics alone.
pub(super) fn mathematics(formula: &Formula) -> Markup {
    html! {
        span class="formula" tabindex="0" role="group" aria-label={ "Formula of " (shown(&formula.branch)) } {
            @match &formula.mathml {
                Some(markup) => (PreEscaped(markup)),
                None => code { (shown(&formula.text)) },
            }
        }
    }
}

/// Every branch of a loss, each with its text form.
pub(super) fn whole(formulas: &[Formula]) -> Markup {
    html! {
        dl class="formulas" {
            @for formula in formulas {
                dt { bdi { (shown(&formula.branch)) } }
                dd {
                    (mathematics(formula))
                    div class="text" {
                        code { (shown(&formula.text)) }
                        button type="button" class="copy" data-copy=(formula.text) hidden
                            aria-label={ "Copy the text of " (shown(&formula.branch)) } { "Copy" }
                    }
                }
            }
        }
    }
}
