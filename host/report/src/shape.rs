//! What a loss does to one prediction: its value and its gradient along a line of predictions, for each
//! branch. A graph may look at other channels and other positions, so a line needs a setting: every map is
//! constant, and where channels share a probability there are two, of which the other gets the rest. Boxes
//! are of one size, the predicted one moved away sideways. All through the slow interpreter of the graph
//! crate, which says what a graph means.

use autoloss_graph::reference::{Evaluation, Field, evaluate};
use autoloss_graph::{InputInfo, LossGraph, Signature, Values};
use autoloss_search::quantiles;
use serde::Serialize;

use crate::branches::{Branches, Formula};
use crate::comparison::Comparison;
use crate::losses::Loss;

/// Points of a line.
const POINTS: usize = 99;

/// Side of the constant map.
const SIDE: usize = 3;

/// A line is drawn to the others' scale where its range is at most so many times theirs.
const COMPARABLE: f64 = 300.0;

/// The shape of one loss on one branch.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Shape {
    pub(crate) branch: String,
    /// Whose loss it is: `found`, or the reference's name.
    pub(crate) loss: String,
    pub(crate) formula: Formula,
    /// How everything else is set.
    pub(crate) setting: &'static str,
    pub(crate) x: &'static str,
    pub(crate) panels: Vec<Panel>,
}

/// One chart: the value or its gradient.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Panel {
    pub(crate) title: &'static str,
    pub(crate) lines: Vec<Line>,
    /// Least and greatest value shown.
    pub(crate) domain: (f64, f64),
    /// Whether a line leaves the chart.
    pub(crate) clipped: bool,
    /// Lines that lie beyond the chart altogether, each with one of its values.
    pub(crate) beyond: Vec<(&'static str, f64)>,
}

/// One line; where the loss is not finite it has a gap.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Line {
    pub(crate) name: &'static str,
    pub(crate) points: Vec<(f64, Option<f64>)>,
}

/// The shapes of the found loss, each followed by that of the first reference.
pub(crate) fn of(branches: &Branches, found: &Loss, comparison: Option<&Comparison>) -> Vec<Shape> {
    let reference = comparison.and_then(Comparison::reference);
    let mut shapes = Vec::new();
    for (branch, _) in branches.searched() {
        let of = |formulas: &[Formula], name: &str| {
            let formula = formulas.iter().find(|formula| formula.branch == *branch)?;
            shape(branches, formula, name)
        };
        shapes.extend(of(&found.formulas, "found"));
        shapes.extend(reference.and_then(|row| of(&row.formulas, &row.name)));
    }
    shapes
}

fn shape(branches: &Branches, formula: &Formula, loss: &str) -> Option<Shape> {
    let (graph, signature) = branches.graph(&formula.branch, &formula.text)?;
    let drawn = match Scene::of(signature)? {
        Scene::Boxes => boxes(&graph),
        Scene::Shared => dense(&graph, signature, true),
        Scene::Alone => dense(&graph, signature, false),
    };
    Some(Shape {
        branch: formula.branch.clone(),
        loss: loss.to_owned(),
        formula: formula.clone(),
        setting: drawn.setting,
        x: drawn.x,
        panels: vec![
            panel("Loss", drawn.values),
            panel(drawn.slope, drawn.gradients),
        ],
    })
}

/// What kind of line suits a branch.
enum Scene {
    /// Predictions that share a probability, as after a softmax.
    Shared,
    /// Predictions each for itself.
    Alone,
    /// Intersection, union and enclosing area.
    Boxes,
}

impl Scene {
    /// None where the inputs have no picture that could be taken for granted.
    fn of(signature: &Signature) -> Option<Self> {
        let inputs = signature.inputs();
        let mixed = inputs
            .iter()
            .filter(|input| input.prediction && input.target)
            .count();
        let has = |wanted: fn(&InputInfo) -> bool| inputs.iter().any(wanted);
        if mixed == 3 && inputs.len() == 3 {
            return Some(Self::Boxes);
        }
        if mixed > 0 || !has(|input| input.prediction) || !has(|input| input.target) {
            return None;
        }
        let shared = has(|input| input.prediction && input.channel_mean_constant);
        Some(if shared { Self::Shared } else { Self::Alone })
    }
}

struct Drawn {
    setting: &'static str,
    x: &'static str,
    slope: &'static str,
    values: Vec<Line>,
    gradients: Vec<Line>,
}

fn dense(graph: &LossGraph, signature: &Signature, shared: bool) -> Drawn {
    let predictions = signature.inputs().iter().filter(|input| input.prediction);
    let bounded = predictions.clone().all(|input| input.values != Values::Any);
    let (low, high) = if bounded { (0.0, 1.0) } else { (-2.0, 3.0) };
    let mut values = Vec::new();
    let mut gradients = Vec::new();
    for (target, name) in [(1.0, "y = 1"), (0.0, "y = 0")] {
        let mut line = (Vec::new(), Vec::new());
        for step in 1..=POINTS {
            let at = low + (high - low) * step as f64 / (POINTS + 1) as f64;
            let fields = signature
                .inputs()
                .iter()
                .map(|input| constant(if input.prediction { at } else { target }, shared));
            let found = fields.collect::<Option<Vec<Field>>>();
            let found = found.and_then(|fields| evaluate(graph, &fields).ok());
            let slope = found.as_ref().map(|found| channel_slope(found, signature));
            line.0.push((at, found.as_ref().and_then(element)));
            line.1.push((at, slope.and_then(rounded)));
        }
        values.push(Line {
            name,
            points: line.0,
        });
        gradients.push(Line {
            name,
            points: line.1,
        });
    }
    Drawn {
        setting: if shared {
            "A channel’s part of the loss on constant 3×3 maps of two channels: the other channel predicts 1 − ŷ and its target is 1 − y. The gradient is that of L as this channel’s ŷ changes everywhere."
        } else {
            "The loss on constant 3×3 maps of one channel. The gradient is that of L as ŷ changes everywhere."
        },
        x: "ŷ",
        slope: "Gradient ∂L/∂ŷ",
        values,
        gradients,
    }
}

/// A map with the value in the first channel and the rest, where there is one, in the second.
fn constant(value: f64, shared: bool) -> Option<Field> {
    let plane = SIDE * SIDE;
    let mut data = vec![value; plane];
    if shared {
        data.extend(std::iter::repeat_n(1.0 - value, plane));
    }
    Field::new([1, data.len() / plane, SIDE, SIDE], data).ok()
}

/// The root's value in the first channel.
fn element(found: &Evaluation) -> Option<f64> {
    found.root.data().first().copied().and_then(rounded)
}

/// How L changes as the predictions of the first channel change together.
fn channel_slope(found: &Evaluation, signature: &Signature) -> f64 {
    let both = found.gradients.iter().zip(signature.inputs());
    let first = both
        .filter(|(_, input)| input.prediction)
        .flat_map(|(gradient, _)| gradient.data().iter().take(SIDE * SIDE));
    first.sum()
}

/// A box moved away by `d` of its width: intersection 1 − d, union 1 + d, enclosing area 1 + d.
fn boxes(graph: &LossGraph) -> Drawn {
    let mut line = (Vec::new(), Vec::new());
    for step in (0..=POINTS).rev() {
        let d = step as f64 / (POINTS + 1) as f64;
        let areas = [1.0 - d, 1.0 + d, 1.0 + d];
        let overlap = (1e4 * areas[0] / areas[1]).round() / 1e4;
        let fields = areas.map(|area| constant(area, false));
        let fields = fields.into_iter().collect::<Option<Vec<Field>>>();
        let found = fields.and_then(|fields| evaluate(graph, &fields).ok());
        let slope = found.as_ref().map(|found| {
            let both = found.gradients.iter().zip([-1.0, 1.0, 1.0]);
            both.map(|(gradient, change)| change * gradient.data().iter().sum::<f64>())
                .sum()
        });
        line.0.push((overlap, found.as_ref().and_then(element)));
        line.1.push((overlap, slope.and_then(rounded)));
    }
    Drawn {
        setting: "Two boxes of area 1, one moved sideways by d of its width: i = 1 − d, u = e = 1 + d. A loss that pulls boxes together falls towards IoU 1, with a gradient above 0.",
        x: "IoU",
        slope: "Gradient ∂L/∂d",
        values: vec![Line {
            name: "box",
            points: line.0,
        }],
        gradients: vec![Line {
            name: "box",
            points: line.1,
        }],
    }
}

/// Five significant digits, none for what is not finite.
fn rounded(x: f64) -> Option<f64> {
    if x == 0.0 {
        return Some(0.0);
    }
    let scale = 10f64.powi(4 - x.abs().log10().floor() as i32);
    let short = (x * scale).round() / scale;
    // The scale overflows for what is all but zero.
    let kept = if short.is_finite() { short } else { x };
    kept.is_finite().then_some(kept)
}

fn panel(title: &'static str, lines: Vec<Line>) -> Panel {
    let ranges: Vec<(f64, f64)> = lines.iter().filter_map(Line::core).collect();
    let width = |range: &(f64, f64)| range.1 - range.0;
    // The first line decides where others would flatten it: a loss that explodes at y = 0.
    let first = ranges
        .iter()
        .copied()
        .find(|range| width(range) > 0.0)
        .or(ranges.first().copied());
    let fits = |range: &&(f64, f64)| {
        first.is_some_and(|first| {
            let room = COMPARABLE * width(&first).max(1e-9);
            (range.0 - first.0).abs() <= room && (range.1 - first.1).abs() <= room
        })
    };
    let shown = ranges.iter().filter(fits);
    let (low, high) = shown.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), range| {
        (low.min(range.0), high.max(range.1))
    });
    let domain = match (low, high) {
        (low, high) if low < high => (low, high),
        (low, _) if low.is_finite() => (low - 1.0, low + 1.0),
        _ => (-1.0, 1.0),
    };
    let outside = |value: f64| value < domain.0 || value > domain.1;
    let mut panel = Panel {
        title,
        domain,
        clipped: false,
        beyond: Vec::new(),
        lines: Vec::new(),
    };
    for line in &lines {
        let mut values = line.points.iter().filter_map(|point| point.1).peekable();
        match values.peek().copied() {
            Some(first) if values.clone().all(outside) => panel.beyond.push((line.name, first)),
            _ => panel.clipped |= values.any(outside),
        }
    }
    panel.lines = lines;
    panel
}

impl Line {
    /// The range of its values without the far ends of what runs off to infinity.
    fn core(&self) -> Option<(f64, f64)> {
        let values = self.points.iter().filter_map(|point| point.1);
        let parts = [0.0, 0.05, 0.95, 1.0];
        let [least, low, high, greatest] = quantiles(values.collect(), parts)?;
        let room = high - low;
        Some((least.max(low - room), greatest.min(high + room)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use autoloss_graph::Limits;

    fn drawn(text: &str, signature: &Signature) -> (Panel, Panel) {
        let graph = LossGraph::parse(text, signature, &Limits::default()).unwrap();
        let drawn = match Scene::of(signature).unwrap() {
            Scene::Boxes => boxes(&graph),
            Scene::Shared => dense(&graph, signature, true),
            Scene::Alone => dense(&graph, signature, false),
        };
        (
            panel("Loss", drawn.values),
            panel("Gradient", drawn.gradients),
        )
    }

    fn at(line: &Line, x: f64) -> f64 {
        let near = |point: &&(f64, Option<f64>)| (point.0 - x).abs() < 1e-9;
        line.points.iter().find(near).unwrap().1.unwrap()
    }

    #[test]
    fn cross_entropy_has_its_shape() {
        let (loss, gradient) = drawn("neg(mul(y, log(yhat)))", &Signature::dense());
        assert!((at(&loss.lines[0], 0.5) - 0.5f64.ln().abs()).abs() < 1e-4);
        assert!((at(&gradient.lines[0], 0.25) + 4.0).abs() < 1e-3);
        assert_eq!(
            (at(&loss.lines[1], 0.5), at(&gradient.lines[1], 0.5)),
            (0.0, 0.0)
        );
        assert!(loss.domain.0 < 0.02 && loss.domain.1 > 2.0);
    }

    #[test]
    fn a_mean_over_positions_is_moved_by_the_whole_map() {
        let (_, gradient) = drawn("mul(y, mean_nhw(square(yhat)))", &Signature::dense());
        assert!((at(&gradient.lines[0], 0.5) - 1.0).abs() < 1e-4);
    }

    #[test]
    fn boxes_are_moved_apart() {
        let text = "neg(mul(i, inv(u)))";
        let (loss, gradient) = drawn(text, &Signature::boxes());
        assert!((at(&loss.lines[0], 1.0) + 1.0).abs() < 1e-4);
        // −(1 − d)/(1 + d) has the slope 2/(1 + d)², which is 2 where the boxes lie on each other.
        assert!((at(&gradient.lines[0], 1.0) - 2.0).abs() < 1e-3);
        let overlaps: Vec<f64> = loss.lines[0].points.iter().map(|point| point.0).collect();
        assert!(overlaps.windows(2).all(|pair| pair[0] < pair[1]));
    }

    #[test]
    fn what_explodes_does_not_flatten_the_rest() {
        let (loss, _) = drawn("add(yhat, inv(y))", &Signature::dense());
        assert!(!loss.clipped && loss.domain.1 < 3.0, "{:?}", loss.domain);
        assert_eq!(loss.beyond, [("y = 0", 1e12)]);
        let (cut, _) = drawn("neg(log(square(yhat)))", &Signature::dense());
        assert_eq!((cut.clipped, cut.beyond.len()), (false, 0));
        let (cut, _) = drawn("mul(y, inv(square(yhat)))", &Signature::dense());
        assert_eq!((cut.clipped, cut.beyond.len()), (true, 0));
        let (gap, _) = drawn("exp(exp(inv(square(y))))", &Signature::dense());
        assert_eq!(gap.lines[1].points[5].1, None);
    }

    #[test]
    fn inputs_without_a_picture_have_none() {
        let two = Signature::new(vec![InputInfo::mixed("a"), InputInfo::mixed("b")]).unwrap();
        assert!(Scene::of(&two).is_none());
        let alone =
            Signature::new(vec![InputInfo::prediction("h"), InputInfo::target("y")]).unwrap();
        let (loss, _) = drawn("square(add(h, neg(y)))", &alone);
        assert!((loss.lines[0].points[0].0 + 1.95).abs() < 1e-9);
    }
}
