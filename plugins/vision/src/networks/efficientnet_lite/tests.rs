//! The encoder with its published weights, evaluated on what it was trained for.

use super::*;
use crate::networks::normalisation::{DEVIATION, MEAN, Normalisation, SYMMETRIC};
use crate::networks::pretrained::{self, Names};
use crate::{Pack, Split};
use std::path::Path;
use tch::{Device, Kind};

/// Side of the pictures that the weights were trained on.
const SIDE: i64 = 224;
/// ImageNet's classes of cats: tabby, tiger, Persian, Siamese, Egyptian.
const CATS: std::ops::RangeInclusive<i64> = 281..=285;

/// The whole classifier: the encoder, 1280 channels more, their mean, 1000 classes.
struct Classifier {
    encoder: Lite0,
    wide: ConvNorm,
    weight: Tensor,
    bias: Tensor,
}

impl Classifier {
    fn new(weights: &mut Weights) -> Self {
        let encoder = Lite0::new(weights, "").unwrap();
        let names = ["conv_head".to_owned(), "bn2".to_owned()];
        let plan = Plan::new([CHANNELS[3], 1280], 1, Start::GradientNormal);
        let wide = layer(weights, names, plan, Nonlinearity::Relu6).unwrap();
        let weight = Tensor::zeros([1000, 1280], (Kind::Float, Device::Cpu));
        let weight = weights.parameter("classifier.weight".into(), &weight, true);
        let bias = weights.vector("classifier.bias".into(), 1000, 0.0).unwrap();
        weights.finish().unwrap();
        Self {
            encoder,
            wide,
            weight: weight.unwrap(),
            bias,
        }
    }

    fn probabilities(&self, image: &Tensor) -> Tensor {
        let [_, _, _, last] = self.encoder.forward(image, false).unwrap();
        let wide = self.wide.forward(&last, false).unwrap();
        let mean = wide.adaptive_avg_pool2d([1, 1]).flatten(1, -1);
        mean.linear(&self.weight, Some(&self.bias))
            .softmax(1, Kind::Float)
    }
}

/// The photograph of scikit-image, 451×300, put together from the pack's quadrants; the gap
/// between them repeats its neighbours.
fn chelsea() -> Tensor {
    let regions = Pack::embedded().unwrap().regions().iter();
    let regions: Vec<_> = regions
        .filter(|one| one.photograph() == "chelsea")
        .collect();
    let quadrant = |split: Split| {
        let region = regions.iter().find(|one| one.split() == split).unwrap();
        let shape = [region.height() as i64, region.width() as i64, 3];
        let pixels = Tensor::from_slice(region.pixels()).view(shape);
        pixels.permute([2, 0, 1]).unsqueeze(0).to_kind(Kind::Float)
    };
    let row = |left: Split, right: Split| {
        let (left, right) = (quadrant(left), quadrant(right));
        let (left, right) = (
            left.replication_pad2d([0, 9, 0, 0]),
            right.replication_pad2d([8, 0, 0, 0]),
        );
        Tensor::cat(&[left, right], 3)
    };
    // Where the pack's script put the quadrants (`pack.json`).
    let upper = row(Split::Test, Split::Train).replication_pad2d([0, 0, 0, 8]);
    let lower = row(Split::Reward, Split::Selection).replication_pad2d([0, 0, 8, 0]);
    Tensor::cat(&[upper, lower], 2)
}

#[test]
fn the_published_weights_see_a_cat_in_the_photograph_of_one() {
    let file =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.weights/efficientnet_lite0.safetensors");
    assert!(
        file.exists(),
        "{} is not there: run `cargo xtask weights`",
        file.display()
    );
    let mut weights = Weights::new(Device::Cpu);
    let classifier = Classifier::new(&mut weights);
    let names = Names {
        network: "efficientnet_lite0",
        encoder: "",
        head: &["classifier."],
        bare: &[],
    };
    let report = pretrained::load(&weights, &file, &names).unwrap();
    assert!(report.fresh.is_empty() && report.ignored.is_empty());

    let photograph = chelsea();
    assert_eq!(photograph.size(), [1, 3, 300, 451]);
    let square = photograph.slice(3, 75, 375, 1);
    let square = square.internal_upsample_bilinear2d_aa([SIDE, SIDE], false, None, None);
    let task = (square - f64::from(MEAN)) / f64::from(DEVIATION);
    let normalisation = Normalisation::new(&SYMMETRIC, Device::Cpu).unwrap();
    let probabilities = classifier.probabilities(&normalisation.apply(&task).unwrap());
    let best = probabilities.argmax(1, false).int64_value(&[0]);
    let cats = probabilities.slice(1, *CATS.start(), *CATS.end() + 1, 1);
    let cats = cats.sum(Kind::Float).double_value(&[]);
    println!("class {best}; the classes of cats together have probability {cats:.3}");
    assert!(CATS.contains(&best), "class {best}");
    assert!(cats > 0.5, "{cats}");
}
