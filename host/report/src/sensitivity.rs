//! How a loss's score depends on what a recipe sets beside it: the numbers, and a page.

use autoloss_search::{Row, TrainingBudget};
use maud::html;
use serde::{Deserialize, Serialize};

use crate::number::{self, shown};
use crate::plot::{dots, small_page};

/// A loss trained in one setting.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Variant {
    /// What differs from the recipe.
    pub label: String,
    /// What came of it.
    pub row: Row,
}

/// A loss trained in several settings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sensitivity {
    /// The task.
    pub task: String,
    /// The network.
    pub network: String,
    /// The target score.
    pub score: String,
    /// The split of all scores.
    pub split: String,
    /// The loss's name.
    pub loss: String,
    /// The recipe.
    pub budget: TrainingBudget,
    /// The settings, the recipe as it is among them.
    pub variants: Vec<Variant>,
}

impl Sensitivity {
    /// One page that needs no other file.
    #[must_use]
    pub fn page(&self) -> String {
        let values = |variant: &Variant| variant.row.values(&self.score).unwrap_or_default();
        let lines: Vec<(&str, Vec<f64>)> = self
            .variants
            .iter()
            .map(|variant| (variant.label.as_str(), values(variant)))
            .collect();
        let budget = &self.budget;
        small_page(
            &format!("{} · sensitivity", shown(&self.loss)),
            &html! {
                h1 { "How sensitive is " bdi { (shown(&self.loss)) } "?" }
                p {
                    "Task " (shown(&self.task)) ", network " (shown(&self.network)) ", " (budget.steps) " steps of "
                    (budget.batch_size) " images, learning rate " (number::value(budget.learning_rate)) ", "
                    (shown(&self.split)) " split."
                }
                (dots(&self.score, &lines))
                div class="scroll" tabindex="0" role="group" aria-label="Numbers" {
                    table {
                        thead { tr { th scope="col" { "setting" } th scope="col" { (shown(&self.score)) } th scope="col" { "trainings" } } }
                        tbody {
                            @for variant in &self.variants {
                                tr {
                                    td { (shown(&variant.label)) }
                                    td {
                                        @match variant.row.summary(&self.score) {
                                            Some((mean, deviation)) => (number::spread(mean, Some(deviation).filter(|_| variant.row.scores.len() > 1))),
                                            None => "invalid",
                                        }
                                    }
                                    td { (variant.row.scores.len()) }
                                }
                            }
                        }
                    }
                }
            },
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use autoloss_search::Scores;

    #[test]
    fn the_page_has_a_line_for_each_setting_and_a_dot_for_each_training() {
        let variant = |label: &str, values: &[Option<f64>]| Variant {
            label: label.into(),
            row: Row {
                scores: values
                    .iter()
                    .map(|value| value.map(|value| Scores::from([("mIoU".into(), value)])))
                    .collect(),
                ..Row::default()
            },
        };
        let sensitivity = Sensitivity {
            task: "t".into(),
            network: "net".into(),
            score: "mIoU".into(),
            split: "test".into(),
            loss: "<i>mine".into(),
            budget: TrainingBudget::default(),
            variants: vec![
                variant("as it is", &[Some(0.3), Some(0.31)]),
                variant("learning rate × 4", &[Some(0.1), None]),
            ],
        };
        let page = sensitivity.page();
        assert_eq!(page.matches("<circle").count(), 2);
        assert!(page.contains("invalid") && page.contains("learning rate × 4"));
        assert!(page.contains("&lt;i&gt;mine") && !page.contains("<i>mine"));
    }
}
