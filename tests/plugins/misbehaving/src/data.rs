//! The task.

use crate::fault;
use crate::maps::{Map, SIDE, Stream};
use autoloss_plugin_api::serde_json::{Value, json};
use autoloss_plugin_api::tracing;
use autoloss_plugin_api::{
    Activation, Batch, BatchRequest, BranchInfo, InputInfo, ReferenceLoss, Result,
    ScreeningRequest, ScreeningSamples, Split, Task, TaskInfo, TaskOptions, Tensors, UnknownName,
    Values,
};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use tch::{Device, Kind, Tensor};

/// Samples of every split.
const LEN: u64 = 64;

/// Maps of patches in three classes.
#[derive(Debug)]
pub(crate) struct Misbehaving {
    seed: u64,
    /// Batches made so far.
    batches: AtomicU64,
}

impl Task for Misbehaving {
    fn info() -> TaskInfo {
        fault::panic_in("Task::info");
        let mut branches = vec![branch(crate::BRANCH)];
        if fault::is("twin_branches") {
            branches.push(branch(crate::BRANCH));
        }
        if fault::is("no_branch") {
            branches.clear();
        }
        let ce = ReferenceLoss::new("ce", "cross entropy");
        let steps = match fault::is("defaults:unknown") {
            true => "proxy.budget.stops",
            false => "proxy.budget.steps",
        };
        TaskInfo::new(
            crate::TASK,
            "Patches of three classes on maps of 8x8 pixels",
        )
        .branches(branches)
        .default_network(default_of("network", "pebble"))
        .default_score(default_of("score", "mIoU"))
        .reference_losses([
            ce.formula(crate::BRANCH, "neg(mul(y, log(yhat)))"),
            ReferenceLoss::new("own", "squared distance, computed by the task"),
        ])
        .attributes([("num_classes", crate::CLASSES)])
        .defaults([
            (steps, json!(20)),
            ("proxy.budget.learning_rate", json!(0.5)),
            ("screening.size", json!(SIDE)),
            ("screening.steps", json!(100)),
        ])
    }

    fn open(options: &TaskOptions) -> Result<Self> {
        if fault::is("settings:one") {
            // The others are never looked at.
            let _ = options.settings.get("fault");
            return Self::opened(options.seed);
        }
        for (name, value) in options.settings.all() {
            match (name.as_str(), value) {
                ("fault", Value::String(fault)) => fault::choose(fault),
                ("fault", _) => return Err(format!("'fault' is {value}, expected a text").into()),
                _ => return Err(UnknownName::new("setting", name, ["fault"]).into()),
            }
        }
        Self::opened(options.seed)
    }

    fn attributes(&self) -> BTreeMap<String, Value> {
        fault::panic_in("Task::attributes");
        BTreeMap::new()
    }

    fn remarks(&self) -> Vec<String> {
        fault::panic_in("Task::remarks");
        let few = fault::is("remarks:few");
        few.then(|| "one map is upside down".to_owned())
            .into_iter()
            .collect()
    }

    fn groups(&self, split: Split) -> Result<Vec<u32>> {
        fault::strike("Task::groups")?;
        let short = fault::is(&format!("groups:fewer:{split}"));
        Ok(if short { vec![0; 3] } else { Vec::new() })
    }

    fn shapes(&self, split: Split) -> Result<Vec<u32>> {
        fault::strike("Task::shapes")?;
        let short = fault::is(&format!("shapes:fewer:{split}"));
        Ok(if short { vec![0; 3] } else { Vec::new() })
    }

    fn write_data(&self, to: &Path) -> Result<String> {
        fault::strike("Task::write_data")?;
        Ok(format!("nothing, since {} is not wanted", to.display()))
    }

    fn check(&self, _: Split) -> Result<Vec<String>> {
        fault::strike("Task::check")?;
        Ok(Vec::new())
    }

    fn files(&self, _: Split) -> Result<Vec<PathBuf>> {
        fault::strike("Task::files")?;
        Ok(Vec::new())
    }

    fn len(&self, split: Split) -> Result<u64> {
        fault::strike("Task::len")?;
        let empty = fault::is(&format!("empty_split:{split}"));
        Ok(if empty { 0 } else { LEN })
    }

    fn views(&self) -> Result<u32> {
        fault::strike("Task::views")?;
        Ok(if fault::is("views:none") { 0 } else { 1 })
    }

    fn batch(&self, request: &BatchRequest) -> Result<Batch> {
        fault::strike("Task::batch")?;
        let before = self.batches.fetch_add(1, Ordering::Relaxed);
        fault::hang_at(before + 1);
        let maps: Vec<Map> = request
            .indices
            .iter()
            .map(|&index| self.map(request.split, index))
            .collect();
        let mut image = images(&maps)?;
        let mut labels = labels(&maps)?;
        let count = maps.len() as i64;
        if fault::is("batch:one_more") {
            image = Tensor::f_cat(&[&image, &image.f_narrow(0, 0, 1)?], 0)?;
        }
        if fault::is("batch:fewer_labels") {
            labels = labels.f_narrow(0, 0, count - 1)?;
        }
        if fault::is("batch:differs") {
            image = image.f_add_scalar(before as f64)?;
        }
        if fault::is("batch:nan") {
            image = image.f_mul_scalar(f64::NAN)?;
        }
        if fault::is("batch:undefined") {
            image = Tensor::new();
        }
        let targets = Tensors::new().with("labels", labels);
        if fault::is("batch:no_inputs") {
            return Ok(Batch {
                inputs: Tensors::new(),
                targets,
            });
        }
        Ok(Batch {
            inputs: Tensors::new().with("image", image),
            targets,
        })
    }

    fn constant_predictions(&self, batch: &Batch) -> Result<Vec<Tensors>> {
        fault::strike("Task::constant_predictions")?;
        let labels = batch.targets.get("labels")?.f_zeros_like()?;
        let undefined = fault::is("constant:undefined");
        let labels = if undefined { Tensor::new() } else { labels };
        Ok(vec![Tensors::new().with("labels", labels)])
    }

    fn screening_samples(&self, request: &ScreeningRequest) -> Result<ScreeningSamples> {
        fault::strike("Task::screening_samples")?;
        let mut stream = Stream(request.seed);
        let maps: Vec<Map> = (0..request.samples)
            .map(|_| self.map(Split::Train, stream.next() % LEN))
            .collect();
        let labels = labels(&maps)?;
        let side = SIDE as i64;
        let y = one_hot(&labels)?;
        let mut samples = ScreeningSamples {
            shape: [maps.len() as i64, crate::CLASSES, side, side],
            fixed: Tensors::new().with("y", y),
            valid: None,
            targets: Tensors::new().with("labels", labels),
        };
        spoil(&mut samples)?;
        Ok(samples)
    }

    fn draw(&self, batch: &Batch, predictions: Option<&Tensors>) -> Result<Tensors> {
        fault::strike("Task::draw")?;
        let labels = match predictions {
            Some(predictions) => predictions.get("labels")?,
            None => batch.targets.get("labels")?,
        };
        let mut grey = labels.f_unsqueeze(1)?.f_repeat([1, 3, 1, 1])?;
        if fault::is("draw:one_plane") {
            grey = grey.f_narrow(1, 0, 1)?;
        }
        if !fault::is("draw:numbers") {
            grey = grey.f_to_kind(Kind::Uint8)?;
        }
        let title = predictions.map_or("truth", |_| "prediction");
        Ok(Tensors::new().with(title, grey))
    }

    fn reference_loss(&self, name: &str, branch: &str, inputs: &Tensors) -> Result<Tensor> {
        fault::strike("Task::reference_loss")?;
        if name != "own" {
            return Err(format!("no reference loss '{name}' for branch '{branch}'").into());
        }
        let squares = inputs.get("yhat")?.f_sub(inputs.get("y")?)?.f_square()?;
        if fault::is("reference:map") {
            return Ok(squares);
        }
        if fault::is("reference:undefined") {
            return Ok(Tensor::new());
        }
        let loss = squares.f_mean(Kind::Float)?;
        Ok(if fault::is("reference:detached") {
            loss.f_detach()?
        } else {
            loss
        })
    }
}

impl Misbehaving {
    fn opened(seed: u64) -> Result<Self> {
        fault::strike("Task::open")?;
        tracing::debug!(seed, "opened the patches");
        Ok(Self {
            seed,
            batches: AtomicU64::new(0),
        })
    }

    fn map(&self, split: Split, index: u64) -> Map {
        let number = self.seed.wrapping_mul(4).wrapping_add(split as u64);
        Map::draw(Stream(number).next().wrapping_add(index))
    }
}

impl Drop for Misbehaving {
    fn drop(&mut self) {
        fault::panic_in("Task::drop");
    }
}

/// The classes of (N, H, W) as planes, (N, C, H, W).
pub(crate) fn one_hot(labels: &Tensor) -> Result<Tensor> {
    let classes = Tensor::f_arange(crate::CLASSES, (Kind::Int64, labels.device()))?;
    let planes = labels
        .f_unsqueeze(1)?
        .f_eq_tensor(&classes.f_view([1, -1, 1, 1])?)?;
    Ok(planes.f_to_kind(Kind::Float)?)
}

/// Breaks the rules of screening samples.
fn spoil(samples: &mut ScreeningSamples) -> Result<()> {
    let y = samples.fixed.get("y")?.shallow_clone();
    if fault::is("screening:other_count") {
        samples.shape[0] += 1;
    }
    if fault::is("screening:negative_side") {
        samples.shape[2] = -8;
    }
    if fault::is("screening:smaller_y") {
        samples.fixed.insert("y", y.f_narrow(3, 0, 4)?);
    }
    if fault::is("screening:few_targets") {
        let few = samples
            .targets
            .try_map(|target| target.f_narrow(0, 0, samples.shape[0] - 1))?;
        samples.targets = few;
    }
    if fault::is("screening:half_y") {
        samples.fixed.insert("y", y.f_mul_scalar(0.5)?);
    }
    if fault::is("screening:uneven_y") {
        let weights = Tensor::from_slice(&[1_f32, 2.0, 3.0]).f_view([1, 3, 1, 1])?;
        samples.fixed.insert("y", y.f_mul(&weights)?);
    }
    if fault::is("screening:nan") {
        samples.fixed.insert("y", y.f_mul_scalar(f64::NAN)?);
    }
    if fault::is("screening:undefined") {
        samples.fixed.insert("y", Tensor::new());
    }
    if fault::is("screening:no_y") {
        samples.fixed = Tensors::new();
    }
    if fault::is("screening:wide_valid") {
        samples.valid = Some(Tensor::f_ones([1, 1, 1, 9], (Kind::Float, Device::Cpu))?);
    }
    if fault::is("screening:nan_valid") {
        let [count, _, height, width] = samples.shape;
        let shape = [count, 1, height, width];
        samples.valid = Some(Tensor::f_full(shape, f64::NAN, (Kind::Float, Device::Cpu))?);
    }
    Ok(())
}

fn images(maps: &[Map]) -> Result<Tensor> {
    let values: Vec<f32> = maps
        .iter()
        .flat_map(|map| map.image.iter().copied())
        .collect();
    let side = SIDE as i64;
    Ok(Tensor::f_from_slice(&values)?.f_view([-1, crate::CLASSES, side, side])?)
}

fn labels(maps: &[Map]) -> Result<Tensor> {
    let values: Vec<i64> = maps
        .iter()
        .flat_map(|map| map.labels.iter().copied())
        .collect();
    Ok(Tensor::f_from_slice(&values)?.f_view([-1, SIDE as i64, SIDE as i64])?)
}

fn branch(name: &str) -> BranchInfo {
    let score = if fault::is("screening_score:unknown") {
        "beauty"
    } else {
        "mIoU"
    };
    let mut y = InputInfo::target("y").with_constant_channel_mean();
    if fault::is("declared:binary") {
        y = y.with_values(Values::Binary);
    }
    let yhat = InputInfo::prediction("yhat").with_constant_channel_mean();
    BranchInfo::new(name, Activation::Softmax, score).inputs([yhat, y])
}

fn default_of(kind: &str, valid: &str) -> String {
    let unknown = fault::is(&format!("default_{kind}:unknown"));
    if unknown { "nobody" } else { valid }.to_owned()
}
