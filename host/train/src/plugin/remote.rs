//! Objects on the plugin's side, called from the host's.
//!
//! Answers are checked here, once, so that the rest of the host can rely on them: every branch and
//! input that the task declared is there, tensors of a branch share one (N, C, H, W) shape, batches
//! have as many samples as were asked for, numbers that must be finite are.

use super::library::broke;
use super::{Plugin, PluginError};
use crate::graph_eval::is_finite;
use autoloss_plugin_api::boundary::{Create, Names, Request, Response};
use autoloss_plugin_api::{
    Batch, BatchRequest, BranchInfo, MetricInfo, MetricOptions, Mode, NetworkOptions, Parameter,
    Scores, ScreeningRequest, ScreeningSamples, Split, TaskOptions, Tensors, brief,
};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use tch::Tensor;

type Result<T> = std::result::Result<T, PluginError>;

struct Object {
    plugin: Arc<Plugin>,
    number: u64,
}

impl Object {
    fn new(plugin: &Arc<Plugin>, what: &Create) -> Result<Self> {
        let number = plugin.create(what)?;
        Ok(Self {
            plugin: Arc::clone(plugin),
            number,
        })
    }

    fn call(&self, request: &Request, tensors: &[&Tensor]) -> Result<(Response, Sent<'_>)> {
        let (response, tensors) = self.plugin.call(self.number, request, tensors)?;
        let plugin = &self.plugin.info().name;
        Ok((
            response,
            Sent {
                plugin,
                call: request.method(),
                tensors: tensors.into_iter(),
            },
        ))
    }
}

impl Drop for Object {
    fn drop(&mut self) {
        self.plugin.destroy(self.number);
    }
}

/// The tensors of an answer, taken in the order it names them.
struct Sent<'a> {
    plugin: &'a str,
    call: &'static str,
    tensors: std::vec::IntoIter<Tensor>,
}

impl Sent<'_> {
    fn broke(&self, message: impl Into<String>) -> PluginError {
        broke(self.plugin, self.call, message)
    }

    fn unexpected(&self, response: &Response) -> PluginError {
        self.broke(format!("an answer of another kind: {response:?}"))
    }

    fn one(&mut self) -> Result<Tensor> {
        let next = self.tensors.next();
        let next = next.ok_or_else(|| self.broke("it named more tensors than it sent"))?;
        if !next.defined() {
            return Err(self.broke("it sent an undefined tensor"));
        }
        Ok(next)
    }

    fn named(&mut self, names: Names) -> Result<Tensors> {
        names
            .into_iter()
            .map(|name| Ok((name, self.one()?)))
            .collect()
    }

    fn finite(&self, name: &str, tensor: &Tensor) -> Result<()> {
        let finite = !tensor.is_floating_point()
            || is_finite(tensor).map_err(|error| self.broke(brief(&error)))?;
        finite
            .then_some(())
            .ok_or_else(|| self.broke(format!("'{name}' is not finite")))
    }
}

fn names(tensors: &Tensors) -> Names {
    tensors.names().map(str::to_owned).collect()
}

fn all<'a>(groups: impl IntoIterator<Item = &'a Tensors>) -> Vec<&'a Tensor> {
    groups
        .into_iter()
        .flat_map(|group| group.iter().map(|(_, tensor)| tensor))
        .collect()
}

/// A task of a plugin.
pub struct RemoteTask {
    object: Object,
}

impl RemoteTask {
    /// Opens the task of this name.
    ///
    /// # Errors
    /// Whatever the plugin says.
    pub fn open(plugin: &Arc<Plugin>, name: &str, options: &TaskOptions) -> Result<Self> {
        let what = Create::Task(name.to_owned(), options.clone());
        Ok(Self {
            object: Object::new(plugin, &what)?,
        })
    }

    /// Facts known only with the data open; none of a plugin built for interface 1.0.
    ///
    /// # Errors
    /// Whatever the plugin says.
    pub fn attributes(&self) -> Result<BTreeMap<String, serde_json::Value>> {
        if self.object.plugin.api_minor() < 1 {
            return Ok(BTreeMap::new());
        }
        match self.object.call(&Request::Attributes, &[])? {
            (Response::Attributes(attributes), _) => Ok(attributes),
            (other, sent) => Err(sent.unexpected(&other)),
        }
    }

    /// Writes the opened data into a new folder and returns what the task says of it.
    ///
    /// # Errors
    /// Whatever the plugin says.
    pub fn write_data(&self, to: &Path) -> Result<String> {
        match self.object.call(&Request::WriteData(to.to_owned()), &[])? {
            (Response::Said(line), _) => Ok(line),
            (other, sent) => Err(sent.unexpected(&other)),
        }
    }

    /// Number of samples of a split, at least 1.
    ///
    /// # Errors
    /// Whatever the plugin says.
    pub fn len(&self, split: Split) -> Result<u64> {
        match self.object.call(&Request::Len(split), &[])? {
            (Response::Len(0), sent) => Err(sent.broke(format!("the {split} split is empty"))),
            (Response::Len(len), _) => Ok(len),
            (other, sent) => Err(sent.unexpected(&other)),
        }
    }

    /// Loads samples: tensors whose first dimension is the number asked for.
    ///
    /// Only calls into the plugin: nothing here runs libtorch's operators, so that a loading thread
    /// starts no team of OpenMP threads of its own. [`RemoteTask::check`] is the other half.
    ///
    /// # Errors
    /// Whatever the plugin says, or how its answer is wrong.
    pub fn load(&self, request: BatchRequest) -> Result<Batch> {
        let wanted = request.indices.len();
        let (response, mut sent) = self.object.call(&Request::Batch(request), &[])?;
        let Response::Batch { inputs, targets } = response else {
            return Err(sent.unexpected(&response));
        };
        let batch = Batch {
            inputs: sent.named(inputs)?,
            targets: sent.named(targets)?,
        };
        if batch.inputs.is_empty() {
            return Err(sent.broke("the batch has no input tensor"));
        }
        for (name, tensor) in batch.inputs.iter().chain(batch.targets.iter()) {
            let size = tensor.size();
            if size.first() != Some(&(wanted as i64)) {
                let message =
                    format!("'{name}' has shape {size:?} where {wanted} samples were asked for");
                return Err(sent.broke(message));
            }
        }
        Ok(batch)
    }

    /// Refuses a batch that is not finite throughout.
    ///
    /// # Errors
    /// Names the tensor.
    pub fn check(&self, batch: &Batch) -> Result<()> {
        let sent = Sent {
            plugin: &self.object.plugin.info().name,
            call: "Task::batch",
            tensors: Vec::new().into_iter(),
        };
        let mut tensors = batch.inputs.iter().chain(batch.targets.iter());
        tensors.try_for_each(|(name, tensor)| sent.finite(name, tensor))
    }

    /// Samples for screening, consistent with the branch's declaration.
    ///
    /// # Errors
    /// Whatever the plugin says, or how its answer is wrong.
    pub fn screening_samples(
        &self,
        branch: &BranchInfo,
        request: ScreeningRequest,
    ) -> Result<ScreeningSamples> {
        let wanted = request.samples as i64;
        let (response, mut sent) = self.object.call(&Request::ScreeningSamples(request), &[])?;
        let Response::ScreeningSamples {
            shape,
            fixed,
            targets,
            valid,
        } = response
        else {
            return Err(sent.unexpected(&response));
        };
        let fixed = sent.named(fixed)?;
        let targets = sent.named(targets)?;
        let valid = if valid { Some(sent.one()?) } else { None };
        if shape[0] != wanted || shape.iter().any(|&side| side <= 0) {
            return Err(sent.broke(format!("shape {shape:?} for {wanted} samples")));
        }
        for input in branch.inputs.iter().filter(|input| !input.prediction) {
            let tensor = fixed
                .get(&input.name)
                .map_err(|error| sent.broke(error.to_string()))?;
            if tensor.size() != shape {
                let size = tensor.size();
                let message = format!("'{}' has shape {size:?}, not {shape:?}", input.name);
                return Err(sent.broke(message));
            }
            sent.finite(&input.name, tensor)?;
        }
        if let Some(valid) = &valid {
            if valid.size() != [shape[0], 1, shape[2], shape[3]] {
                return Err(sent.broke(format!("'valid' has shape {:?}", valid.size())));
            }
            sent.finite("valid", valid)?;
        }
        Ok(ScreeningSamples {
            shape,
            fixed,
            valid,
            targets,
        })
    }

    /// The value of a reference loss, a scalar with gradient.
    ///
    /// # Errors
    /// Whatever the plugin says, or that the answer is no scalar.
    pub fn reference_loss(&self, name: &str, branch: &str, inputs: &Tensors) -> Result<Tensor> {
        let request = Request::ReferenceLoss {
            name: name.to_owned(),
            branch: branch.to_owned(),
            inputs: names(inputs),
        };
        let (response, mut sent) = self.object.call(&request, &all([inputs]))?;
        let Response::Tensor = response else {
            return Err(sent.unexpected(&response));
        };
        let loss = sent.one()?;
        if !loss.requires_grad() {
            return Err(sent.broke("the loss has no gradient"));
        }
        if loss.numel() != 1 {
            return Err(sent.broke(format!("a loss of shape {:?}", loss.size())));
        }
        Ok(loss.reshape([] as [i64; 0]))
    }
}

/// A network of a plugin.
pub struct RemoteNetwork {
    object: Object,
    /// Whether a training pass was seen: fresh parameters owe finite inputs, diverged ones do not.
    trained: Cell<bool>,
}

impl RemoteNetwork {
    /// Builds the network of this name.
    ///
    /// # Errors
    /// Whatever the plugin says.
    pub fn build(plugin: &Arc<Plugin>, name: &str, options: NetworkOptions) -> Result<Self> {
        let what = Create::Network(name.to_owned(), Box::new(options));
        Ok(Self {
            object: Object::new(plugin, &what)?,
            trained: Cell::new(false),
        })
    }

    /// The inputs of every declared branch, in the order of its declaration; extra ones are dropped.
    ///
    /// # Errors
    /// Whatever the plugin says, or how its answer is wrong.
    pub fn forward(
        &self,
        branches: &[BranchInfo],
        batch: &Batch,
        mode: Mode,
    ) -> Result<BTreeMap<String, Tensors>> {
        let request = Request::Forward {
            inputs: names(&batch.inputs),
            targets: names(&batch.targets),
            mode,
        };
        let (response, mut sent) = self
            .object
            .call(&request, &all([&batch.inputs, &batch.targets]))?;
        let Response::Branches(answered) = response else {
            return Err(sent.unexpected(&response));
        };
        let mut found = BTreeMap::new();
        for (branch, names) in answered {
            found.insert(branch, sent.named(names)?);
        }
        branches
            .iter()
            .map(|branch| {
                let inputs = found
                    .remove(&branch.name)
                    .ok_or_else(|| sent.broke(format!("no inputs for branch '{}'", branch.name)))?;
                let inputs = declared(&sent, branch, &inputs)?;
                if mode == Mode::Train {
                    self.check_training(&sent, branch, &inputs)?;
                }
                Ok((branch.name.clone(), inputs))
            })
            .collect()
    }

    fn check_training(&self, sent: &Sent<'_>, branch: &BranchInfo, inputs: &Tensors) -> Result<()> {
        for ((name, tensor), input) in inputs.iter().zip(&branch.inputs) {
            if input.prediction && !tensor.requires_grad() {
                let message = format!(
                    "prediction '{name}' of branch '{}' has no gradient",
                    branch.name
                );
                return Err(sent.broke(message));
            }
            if !self.trained.get() {
                sent.finite(name, tensor)?;
            }
        }
        self.trained.set(true);
        Ok(())
    }

    /// What metrics judge.
    ///
    /// # Errors
    /// Whatever the plugin says.
    pub fn predict(&self, inputs: &Tensors) -> Result<Tensors> {
        let request = Request::Predict {
            inputs: names(inputs),
        };
        match self.object.call(&request, &all([inputs]))? {
            (Response::Tensors(names), mut sent) => sent.named(names),
            (other, sent) => Err(sent.unexpected(&other)),
        }
    }

    /// Every trainable tensor: leaves that record gradients, under distinct names.
    ///
    /// # Errors
    /// How the answer is wrong.
    pub fn parameters(&self) -> Result<Vec<Parameter>> {
        let (response, mut sent) = self.object.call(&Request::Parameters, &[])?;
        let Response::Parameters(named) = response else {
            return Err(sent.unexpected(&response));
        };
        let mut parameters: Vec<Parameter> = Vec::with_capacity(named.len());
        for (name, decay) in named {
            let tensor = sent.one()?;
            if !tensor.requires_grad() || !tensor.is_leaf() {
                return Err(sent.broke(format!("parameter '{name}' records no gradient")));
            }
            if parameters.iter().any(|known| known.name == name) {
                return Err(sent.broke(format!("two parameters are named '{name}'")));
            }
            parameters.push(Parameter {
                name,
                tensor,
                decay,
            });
        }
        if parameters.is_empty() {
            return Err(sent.broke("the network has no parameters"));
        }
        Ok(parameters)
    }

    /// Every other tensor a checkpoint must hold.
    ///
    /// # Errors
    /// Whatever the plugin says.
    pub fn buffers(&self) -> Result<Tensors> {
        match self.object.call(&Request::Buffers, &[])? {
            (Response::Tensors(names), mut sent) => sent.named(names),
            (other, sent) => Err(sent.unexpected(&other)),
        }
    }
}

/// The declared inputs of a branch in order, of one (N, C, H, W) shape.
fn declared(sent: &Sent<'_>, branch: &BranchInfo, inputs: &Tensors) -> Result<Tensors> {
    let mut ordered = Tensors::new();
    let mut shape: Option<Vec<i64>> = None;
    for input in &branch.inputs {
        let tensor = inputs
            .get(&input.name)
            .map_err(|error| sent.broke(format!("branch '{}': {error}", branch.name)))?;
        let size = tensor.size();
        let first = shape.get_or_insert_with(|| size.clone());
        if size.len() != 4 || size.contains(&0) || size != *first {
            return Err(sent.broke(format!(
                "input '{}' of branch '{}' has shape {size:?}; inputs are (N, C, H, W), of equal \
                 shape and not empty (the first has {first:?})",
                input.name, branch.name
            )));
        }
        ordered.insert(input.name.clone(), tensor.shallow_clone());
    }
    Ok(ordered)
}

/// A metric of a plugin.
pub struct RemoteMetric {
    object: Object,
    name: String,
    scores: Vec<String>,
}

impl RemoteMetric {
    /// Creates the metric.
    ///
    /// # Errors
    /// Whatever the plugin says.
    pub fn create(plugin: &Arc<Plugin>, info: &MetricInfo, options: MetricOptions) -> Result<Self> {
        let what = Create::Metric(info.name.clone(), Box::new(options));
        Ok(Self {
            object: Object::new(plugin, &what)?,
            name: info.name.clone(),
            scores: info.scores.clone(),
        })
    }

    /// Counts a batch.
    ///
    /// # Errors
    /// Whatever the plugin says.
    pub fn update(&self, predictions: &Tensors, targets: &Tensors) -> Result<()> {
        let request = Request::Update {
            predictions: names(predictions),
            targets: names(targets),
        };
        self.object
            .call(&request, &all([predictions, targets]))
            .map(|_| ())
    }

    /// The scores of all that was counted: every declared one, each finite.
    ///
    /// # Errors
    /// Whatever the plugin says, or which score is not finite.
    pub fn compute(&self) -> Result<Scores> {
        let (response, sent) = self.object.call(&Request::Compute, &[])?;
        let Response::Scores(scores) = response else {
            return Err(sent.unexpected(&response));
        };
        let missing = self
            .scores
            .iter()
            .find(|name| !scores.iter().any(|(known, _)| known == *name));
        if let Some(name) = missing {
            return Err(sent.broke(format!("score '{name}' of '{}' is missing", self.name)));
        }
        scores
            .into_iter()
            .map(|(name, score)| match score {
                Some(score) => Ok((name, score)),
                None => Err(sent.broke(format!("score '{name}' of '{}' is not finite", self.name))),
            })
            .collect()
    }

    /// One score for each optimised sample.
    ///
    /// # Errors
    /// Whatever the plugin says, or how its answer is wrong.
    pub fn screen(
        &self,
        score: &str,
        predictions: &Tensors,
        targets: &Tensors,
        samples: usize,
    ) -> Result<Vec<f64>> {
        let request = Request::Screen {
            score: score.to_owned(),
            predictions: names(predictions),
            targets: names(targets),
        };
        let (response, sent) = self.object.call(&request, &all([predictions, targets]))?;
        let Response::SampleScores(scores) = response else {
            return Err(sent.unexpected(&response));
        };
        if scores.len() != samples {
            return Err(sent.broke(format!("{} scores for {samples} samples", scores.len())));
        }
        scores
            .into_iter()
            .map(|known| known.ok_or_else(|| sent.broke(format!("score '{score}' is not finite"))))
            .collect()
    }
}
