//! The parts of the page, in the order of reading: what came out, what it is worth, what it looks like,
//! how it was found, how to repeat it.

use maud::Markup;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{comparison, family, funnel, overview, pictures, search, setup, shapes, workers};
use crate::content::Content;

/// A section of the page with the data of its charts, by name.
pub(crate) struct Part {
    pub(crate) id: &'static str,
    pub(crate) title: &'static str,
    /// The title in the navigation.
    pub(crate) short: &'static str,
    pub(crate) html: String,
    pub(crate) charts: Vec<(String, Value)>,
}

impl Part {
    fn new(
        id: &'static str,
        (title, short): (&'static str, &'static str),
        body: Markup,
        charts: Vec<(String, Value)>,
    ) -> Self {
        Self {
            id,
            title,
            short,
            html: body.into_string(),
            charts,
        }
    }

    /// Whether there is nothing to show.
    pub(crate) fn is_empty(&self) -> bool {
        self.html.is_empty()
    }

    /// Equal for equal content.
    pub(crate) fn hash(&self) -> String {
        let mut digest = Sha256::new();
        digest.update(self.html.as_bytes());
        for (name, data) in &self.charts {
            digest.update(name.as_bytes());
            digest.update(data.to_string().as_bytes());
        }
        let hash = digest.finalize();
        hash.iter()
            .take(8)
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }
}

/// All parts.
pub(crate) fn parts(content: &Content) -> Vec<Part> {
    let (comparison_body, comparison_charts) = comparison::scores(content);
    let (curve_body, curve_charts) = search::curve(content);
    let (funnel_body, funnel_charts) = funnel::body(content);
    let (family_body, family_charts) = family::body(content);
    let (shapes_body, shapes_charts) = shapes::body(content);
    let plain = Part::new;
    vec![
        plain(
            "summary",
            ("Summary", "Summary"),
            overview::summary(content),
            Vec::new(),
        ),
        plain(
            "losses",
            ("Best losses", "Losses"),
            overview::losses(content),
            Vec::new(),
        ),
        plain(
            "comparison",
            ("Comparison", "Comparison"),
            comparison_body,
            comparison_charts,
        ),
        plain(
            "metrics",
            ("All metrics", "Metrics"),
            comparison::metrics(content),
            Vec::new(),
        ),
        plain(
            "pictures",
            ("Example predictions", "Predictions"),
            pictures::body(content),
            Vec::new(),
        ),
        plain(
            "shapes",
            ("Shape of the loss", "Shape"),
            shapes_body,
            shapes_charts,
        ),
        plain("curve", ("Search curve", "Curve"), curve_body, curve_charts),
        plain(
            "funnel",
            ("Where candidates ended", "Funnel"),
            funnel_body,
            funnel_charts,
        ),
        plain(
            "family",
            ("Family of the best loss", "Family"),
            family_body,
            family_charts,
        ),
        plain(
            "workers",
            ("Workers and failures", "Workers"),
            workers::body(content),
            Vec::new(),
        ),
        plain(
            "costs",
            ("Costs", "Costs"),
            setup::costs(content),
            Vec::new(),
        ),
        plain(
            "setup",
            ("Setup", "Setup"),
            setup::setup(content),
            Vec::new(),
        ),
    ]
}
