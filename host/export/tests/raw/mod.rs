//! Raw outputs of a network with their targets: what a loss makes of them, and the gradient on the way
//! back, as PyTorch takes it.

use crate::testing::{gradient_scale, largest_value};
use autoloss_graph::reference::{Field, evaluate};
use autoloss_graph::{Activation, LossGraph};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use std::path::Path;

/// Raw outputs and their target.
pub(crate) struct Raw {
    scores: Field,
    target: Target,
}

enum Target {
    /// Classes, (N, H, W).
    Labels(Vec<i64>),
    /// Of the outputs' shape.
    Values(Field),
}

/// What a loss should be.
pub(crate) struct Answer {
    pub(crate) value: f64,
    /// With respect to the raw outputs.
    pub(crate) gradient: Vec<f64>,
    /// The largest terms that value and gradient are sums of.
    pub(crate) value_scale: f64,
    pub(crate) gradient_scale: f64,
}

fn random(rng: &mut ChaCha8Rng, shape: [usize; 4], most: f64) -> Field {
    let size = shape.iter().product();
    let mut values: Vec<f64> = (0..size).map(|_| rng.random_range(-most..most)).collect();
    // A few that saturate.
    for value in values.iter_mut().step_by(17) {
        *value *= 10.0;
    }
    Field::new(shape, values).unwrap()
}

impl Raw {
    /// Logits with classes, some of which are void.
    pub(crate) fn labels(rng: &mut ChaCha8Rng, shape: [usize; 4], void: Option<i64>) -> Self {
        let [n, c, h, w] = shape;
        let classes = c as i64;
        let label = |rng: &mut ChaCha8Rng| match rng.random_range(0..8) {
            0 => void.unwrap_or(-100),
            _ => rng.random_range(0..classes),
        };
        Self {
            scores: random(rng, shape, 3.0),
            target: Target::Labels((0..n * h * w).map(|_| label(rng)).collect()),
        }
    }

    /// Outputs with what they should be.
    pub(crate) fn values(rng: &mut ChaCha8Rng, shape: [usize; 4]) -> Self {
        Self {
            scores: random(rng, shape, 2.0),
            target: Target::Values(random(rng, shape, 1.0)),
        }
    }

    /// Boxes; the last two are their targets, and far from them.
    pub(crate) fn boxes(rng: &mut ChaCha8Rng, count: usize) -> Self {
        let shape = [count, 4, 1, 1];
        let mut boxes: Vec<f64> = (0..count * 4)
            .map(|_| rng.random_range(-0.5..0.5))
            .collect();
        let targets: Vec<f64> = (0..count * 4)
            .map(|_| rng.random_range(-0.5..0.5))
            .collect();
        let last = count * 4 - 4;
        boxes[last - 4..last].copy_from_slice(&targets[last - 4..last]);
        boxes[last] += 9.0;
        Self {
            scores: Field::new(shape, boxes).unwrap(),
            target: Target::Values(Field::new(shape, targets).unwrap()),
        }
    }

    /// Writes both; what is said of them in the list of all inputs.
    pub(crate) fn write(&self, folder: &Path, name: &str) -> serde_json::Value {
        write(
            &folder.join(format!("{name}_scores.f64")),
            self.scores.data(),
        );
        let labels = match &self.target {
            Target::Labels(labels) => Some(labels),
            Target::Values(values) => {
                write(&folder.join(format!("{name}_target.f64")), values.data());
                None
            }
        };
        serde_json::json!({ "shape": self.scores.shape(), "labels": labels })
    }

    /// What a loss makes of them.
    pub(crate) fn answer(&self, graph: &LossGraph, activation: Activation) -> Answer {
        if activation == Activation::Boxes {
            return self.box_answer(graph);
        }
        let [_, c, h, w] = self.scores.shape();
        let (wanted, valid) = self.coded();
        let own = activated(&self.scores, activation);
        let prediction: Vec<f64> = own.iter().zip(&valid).map(|(a, b)| a * b).collect();
        let shape = self.scores.shape();
        let inputs = [prediction, wanted].map(|data| Field::new(shape, data).unwrap());
        let result = evaluate(graph, &inputs).unwrap();
        let arriving = result.gradients[0].data().iter().zip(&valid);
        let arriving: Vec<f64> = arriving.map(|(g, valid)| g * valid).collect();
        let gradient = match activation {
            Activation::Softmax => {
                let mut gradient = arriving.clone();
                for at in 0..gradient.len() {
                    let plane = h * w;
                    let first = at / (c * plane) * (c * plane) + at % plane;
                    let channels = (0..c).map(|channel| first + channel * plane);
                    let dot: f64 = channels.map(|at| arriving[at] * own[at]).sum();
                    gradient[at] = (arriving[at] - dot) * own[at];
                }
                gradient
            }
            Activation::Sigmoid => {
                let pairs = arriving.iter().zip(&own);
                pairs.map(|(g, s)| g * (1.0 - s) * s).collect()
            }
            _ => arriving,
        };
        Answer {
            value: result.value,
            gradient,
            value_scale: largest_value(graph, &inputs),
            gradient_scale: gradient_scale(graph, &inputs),
        }
    }

    /// The target in the outputs' shape, and 1 where it counts.
    fn coded(&self) -> (Vec<f64>, Vec<f64>) {
        let [_, c, h, w] = self.scores.shape();
        let size = self.scores.data().len();
        match &self.target {
            Target::Values(values) => (values.data().to_vec(), vec![1.0; size]),
            Target::Labels(labels) => {
                let of = |at: usize| labels[at / (c * h * w) * (h * w) + at % (h * w)];
                let channel = |at: usize| (at / (h * w) % c) as i64;
                let wanted = (0..size).map(|at| f64::from(of(at) == channel(at)));
                let inside = (0..size).map(|at| f64::from((0..c as i64).contains(&of(at))));
                (wanted.collect(), inside.collect())
            }
        }
    }

    fn box_answer(&self, graph: &LossGraph) -> Answer {
        let Target::Values(targets) = &self.target else {
            unreachable!("boxes have boxes as targets");
        };
        let pairs = self.scores.data().chunks(4).zip(targets.data().chunks(4));
        let pairs: Vec<[Axis; 2]> = pairs
            .map(|(own, other)| [0, 1].map(|axis| Axis::of(own, other, axis)))
            .collect();
        let areas: Vec<[f64; 3]> = pairs.iter().map(|[x, y]| areas(x, y)).collect();
        let shape = [pairs.len(), 1, 1, 1];
        let field = |at: usize| Field::new(shape, areas.iter().map(|a| a[at]).collect()).unwrap();
        let inputs = [0, 1, 2].map(field);
        let result = evaluate(graph, &inputs).unwrap();
        let gradient = pairs.iter().enumerate().flat_map(|(at, [x, y])| {
            let arriving = [0, 1, 2].map(|input| result.gradients[input].data()[at]);
            let ([dx, dw], [dy, dh]) = (x.back(y, arriving), y.back(x, arriving));
            [dx, dy, dw, dh]
        });
        Answer {
            value: result.value,
            gradient: gradient.collect(),
            value_scale: largest_value(graph, &inputs),
            // Areas and their derivatives are at most a few tens here.
            gradient_scale: 100.0 * gradient_scale(graph, &inputs),
        }
    }
}

fn activated(scores: &Field, activation: Activation) -> Vec<f64> {
    let x = scores.data();
    let [_, c, h, w] = scores.shape();
    match activation {
        Activation::Softmax => (0..x.len())
            .map(|at| {
                let plane = h * w;
                let first = at / (c * plane) * (c * plane) + at % plane;
                let channels = (0..c).map(|channel| x[first + channel * plane]);
                let most = channels.clone().fold(f64::NEG_INFINITY, f64::max);
                (x[at] - most).exp() / channels.map(|x| (x - most).exp()).sum::<f64>()
            })
            .collect(),
        Activation::Sigmoid => x.iter().map(|x| 1.0 / (1.0 + (-x).exp())).collect(),
        _ => x.to_vec(),
    }
}

/// A box and its target along an axis.
struct Axis {
    side: f64,
    target_side: f64,
    ends: [f64; 2],
    target_ends: [f64; 2],
}

impl Axis {
    fn of(own: &[f64], other: &[f64], axis: usize) -> Self {
        let [(side, ends), (target_side, target_ends)] = [own, other].map(|values| {
            let side = values[axis + 2].exp();
            let (centre, half) = (values[axis], side * 0.5);
            (side, [centre - half, centre + half])
        });
        Self {
            side,
            target_side,
            ends,
            target_ends,
        }
    }

    fn overlap(&self) -> f64 {
        self.ends[1].min(self.target_ends[1]) - self.ends[0].max(self.target_ends[0])
    }

    fn hull(&self) -> f64 {
        self.ends[1].max(self.target_ends[1]) - self.ends[0].min(self.target_ends[0])
    }

    /// The derivatives with respect to the centre and the logarithm of the side.
    fn back(&self, across: &Self, [gi, gu, ge]: [f64; 3]) -> [f64; 2] {
        // Where two are equal, PyTorch sends half to each.
        let share = |own: f64, other: f64| match own.total_cmp(&other) {
            std::cmp::Ordering::Less => 1.0,
            std::cmp::Ordering::Equal => 0.5,
            std::cmp::Ordering::Greater => 0.0,
        };
        let taken = |share: f64, g: f64| if share == 0.0 { 0.0 } else { share * g };
        let common = (gi - gu) * across.overlap().max(0.0);
        let common = if self.overlap() > 0.0 { common } else { 0.0 };
        let hull = ge * across.hull();
        let ([low, high], [target_low, target_high]) = (self.ends, self.target_ends);
        let to_high =
            taken(share(high, target_high), common) + taken(share(target_high, high), hull);
        let to_low = -taken(share(target_low, low), common) - taken(share(low, target_low), hull);
        let to_side = gu * across.side + (to_high - to_low) * 0.5;
        [to_high + to_low, to_side * self.side]
    }
}

fn areas(x: &Axis, y: &Axis) -> [f64; 3] {
    let common = x.overlap().max(0.0) * y.overlap().max(0.0);
    let union = x.side * y.side + x.target_side * y.target_side - common;
    [common, union, x.hull() * y.hull()]
}

/// Numbers as they lie in memory.
pub(crate) fn write(path: &Path, values: &[f64]) {
    let bytes: Vec<u8> = values
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect();
    std::fs::write(path, bytes).unwrap();
}
