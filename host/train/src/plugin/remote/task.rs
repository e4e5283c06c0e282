//! A task on the plugin's side.

use super::{Object, Result, all, names};
use crate::plugin::Plugin;
use autoloss_plugin_api::boundary::{Create, TaskRequest, TaskResponse};
use autoloss_plugin_api::{
    Activation, Batch, BatchRequest, BranchInfo, ScreeningRequest, ScreeningSamples, Split,
    TARGET_BOXES, TaskOptions, Tensors,
};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use tch::{Kind, Tensor};

/// Samples that are named in an error about a batch.
const SHOWN: usize = 5;

/// A task of a plugin.
pub struct RemoteTask {
    object: Object<TaskRequest>,
    /// The kinds of batches that were asked for twice, a bit each.
    asked_twice: AtomicU8,
}

/// The first tensor that two groups do not share.
fn differing<'a>(first: &'a Tensors, second: &Tensors) -> Option<&'a str> {
    let mut tensors = first.iter();
    let same = |tensor: &Tensor, other: &Tensor| {
        other.size() == tensor.size() && other.kind() == tensor.kind() && other.equal(tensor)
    };
    tensors
        .find(|(name, tensor)| !second.get(name).is_ok_and(|other| same(tensor, other)))
        .map(|(name, _)| name)
}

impl RemoteTask {
    /// Opens the task of this name.
    ///
    /// # Errors
    /// The plugin's own.
    pub fn open(plugin: &Arc<Plugin>, name: &str, options: &TaskOptions) -> Result<Self> {
        let what = Create::Task(name.to_owned(), options.clone());
        Ok(Self {
            object: Object::new(plugin, &what)?,
            asked_twice: AtomicU8::new(0),
        })
    }

    /// Facts known only with the data open; none of an older plugin without the method.
    ///
    /// # Errors
    /// The plugin's own.
    pub fn attributes(&self) -> Result<BTreeMap<String, serde_json::Value>> {
        let answer = self.object.call_if_offered(TaskRequest::Attributes, &[])?;
        match answer {
            None => Ok(BTreeMap::new()),
            Some((TaskResponse::Attributes(attributes), _)) => Ok(attributes),
            Some((other, sent)) => Err(sent.unexpected(&other)),
        }
    }

    /// Sentences about the opened data for the user; none of an older plugin without the method.
    ///
    /// # Errors
    /// The plugin's own.
    pub fn remarks(&self) -> Result<Vec<String>> {
        self.told(TaskRequest::Remarks)
    }

    /// Sentences about a split's samples for the user; none of an older plugin without the method.
    ///
    /// # Errors
    /// The plugin's own, where the split cannot be trained on or scored.
    pub fn check(&self, split: Split) -> Result<Vec<String>> {
        self.told(TaskRequest::Check(split))
    }

    /// The files that a split's samples come from; empty where the plugin does not say.
    ///
    /// # Errors
    /// The plugin's own.
    pub fn files(&self, split: Split) -> Result<Vec<PathBuf>> {
        match self
            .object
            .call_if_offered(TaskRequest::Files(split), &[])?
        {
            None => Ok(Vec::new()),
            Some((TaskResponse::Files(files), _)) => Ok(files),
            Some((other, sent)) => Err(sent.unexpected(&other)),
        }
    }

    fn told(&self, request: TaskRequest) -> Result<Vec<String>> {
        match self.object.call_if_offered(request, &[])? {
            None => Ok(Vec::new()),
            Some((TaskResponse::Remarks(told) | TaskResponse::Check(told), _)) => Ok(told),
            Some((other, sent)) => Err(sent.unexpected(&other)),
        }
    }

    /// Writes the opened data into a new folder and returns the task's line on what it wrote.
    ///
    /// # Errors
    /// The plugin's own.
    pub fn write_data(&self, to: &Path) -> Result<String> {
        let request = TaskRequest::WriteData(to.to_owned());
        match self.object.call(request, &[])? {
            (TaskResponse::WriteData(line), _) => Ok(line),
            (other, sent) => Err(sent.unexpected(&other)),
        }
    }

    /// Number of samples of a split, at least 1.
    ///
    /// # Errors
    /// The plugin's own.
    pub fn len(&self, split: Split) -> Result<u64> {
        match self.object.call(TaskRequest::Len(split), &[])? {
            (TaskResponse::Len(0), sent) => Err(sent.broke(format!("the {split} split is empty"))),
            (TaskResponse::Len(len), _) => Ok(len),
            (other, sent) => Err(sent.unexpected(&other)),
        }
    }

    /// A number for each sample of a split: samples of one number share batches. None where any samples
    /// can, and of an older plugin without the method.
    ///
    /// # Errors
    /// The plugin's own, or that there is not one number for each sample.
    pub fn groups(&self, split: Split) -> Result<Vec<u32>> {
        self.numbers(TaskRequest::Groups(split), split, "groups")
    }

    /// A number for each sample of a split: an evaluation's batches hold samples of one number. None where any samples
    /// can be scored together, and of an older plugin without the method.
    ///
    /// # Errors
    /// The plugin's own, or that there is not one number for each sample.
    pub fn shapes(&self, split: Split) -> Result<Vec<u32>> {
        self.numbers(TaskRequest::Shapes(split), split, "shapes")
    }

    fn numbers(&self, request: TaskRequest, split: Split, what: &str) -> Result<Vec<u32>> {
        let Some((response, sent)) = self.object.call_if_offered(request, &[])? else {
            return Ok(Vec::new());
        };
        let (TaskResponse::Groups(numbers) | TaskResponse::Shapes(numbers)) = response else {
            return Err(sent.unexpected(&response));
        };
        let len = self.len(split)?;
        if !numbers.is_empty() && numbers.len() as u64 != len {
            let found = numbers.len();
            return Err(sent.broke(format!("{found} {what} for {len} samples of split {split}")));
        }
        Ok(numbers)
    }

    /// The number of fixed views of each training sample, at least 1; one of an older plugin without the
    /// method.
    ///
    /// # Errors
    /// The plugin's own.
    pub fn views(&self) -> Result<u32> {
        match self.object.call_if_offered(TaskRequest::Views, &[])? {
            None => Ok(1),
            Some((TaskResponse::Views(0), sent)) => Err(sent.broke("no view of a sample")),
            Some((TaskResponse::Views(views), _)) => Ok(views),
            Some((other, sent)) => Err(sent.unexpected(&other)),
        }
    }

    /// Loads samples: finite tensors whose first dimension is the number asked for.
    ///
    /// # Errors
    /// The plugin's own, or how its answer is wrong.
    pub fn load(&self, request: BatchRequest) -> Result<Batch> {
        let kind = match (&request.augment, &request.view) {
            (None, None) => 1,
            (Some(_), _) => 2,
            (None, Some(_)) => 4,
        };
        let again = match self.asked_twice.fetch_or(kind, Ordering::Relaxed) & kind {
            0 => Some(request.clone()),
            _ => None,
        };
        let batch = self.load_once(request)?;
        if let Some(request) = again {
            self.compare(&batch, request)?;
        }
        Ok(batch)
    }

    /// Asks once more for a batch: what differs would make trainings that no seed repeats.
    fn compare(&self, batch: &Batch, request: BatchRequest) -> Result<()> {
        let again = self.load_once(request.clone())?;
        let Some(name) = differing(&batch.inputs, &again.inputs)
            .or_else(|| differing(&batch.targets, &again.targets))
        else {
            return Ok(());
        };
        let message = format!(
            "asked for twice, samples {:?} of split {} have another '{name}' the second time; what is random in a \
             batch must follow from the request",
            &request.indices[..request.indices.len().min(SHOWN)],
            request.split
        );
        Err(self.object.broke(&TaskRequest::Batch(request), message))
    }

    fn load_once(&self, request: BatchRequest) -> Result<Batch> {
        let (indices, split) = (request.indices.clone(), request.split);
        self.answered(request).map_err(|mut error| {
            let few: Vec<String> = indices.iter().take(SHOWN).map(u64::to_string).collect();
            let more = if indices.len() > SHOWN { ", …" } else { "" };
            let few = few.join(", ");
            error.message += &format!(" (a batch of {split}, samples {few}{more})");
            error
        })
    }

    fn answered(&self, request: BatchRequest) -> Result<Batch> {
        let wanted = request.indices.len();
        let (response, mut sent) = self.object.call(TaskRequest::Batch(request), &[])?;
        let TaskResponse::Batch { inputs, targets } = response else {
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
            sent.finite(name, tensor)?;
        }
        Ok(batch)
    }

    /// Predictions for a batch that do not depend on its inputs; none of an older plugin without the method.
    ///
    /// # Errors
    /// The plugin's own.
    pub fn constant_predictions(&self, batch: &Batch) -> Result<Vec<Tensors>> {
        let request = TaskRequest::ConstantPredictions {
            inputs: names(&batch.inputs),
            targets: names(&batch.targets),
        };
        let sending = all([&batch.inputs, &batch.targets]);
        match self.object.call_if_offered(request, &sending)? {
            None => Ok(Vec::new()),
            Some((TaskResponse::ConstantPredictions(predictions), mut sent)) => predictions
                .into_iter()
                .map(|names| sent.named(names))
                .collect(),
            Some((other, sent)) => Err(sent.unexpected(&other)),
        }
    }

    /// Samples for screening, consistent with the branch's declaration.
    ///
    /// # Errors
    /// The plugin's own, or how its answer is wrong.
    pub fn screening_samples(
        &self,
        branch: &BranchInfo,
        request: ScreeningRequest,
    ) -> Result<ScreeningSamples> {
        let wanted = request.samples as i64;
        let (response, mut sent) = self
            .object
            .call(TaskRequest::ScreeningSamples(request), &[])?;
        let TaskResponse::ScreeningSamples {
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
        let boxes = branch.activation == Activation::Boxes;
        let moving = branch.inputs.iter().filter(|input| input.prediction);
        if boxes && (shape[1] != 4 || moving.count() != branch.activation.parts()) {
            return Err(sent.broke(format!(
                "shape {shape:?}, where boxes have four channels and make three prediction inputs"
            )));
        }
        let [samples, channels, height, width] = shape;
        let of_inputs = [samples, if boxes { 1 } else { channels }, height, width];
        let inputs = branch.inputs.iter().filter(|input| !input.prediction);
        let inputs = inputs.map(|input| (input.name.as_str(), of_inputs));
        for (name, shape) in inputs.chain(boxes.then_some((TARGET_BOXES, shape))) {
            let tensor = fixed
                .get(name)
                .map_err(|error| sent.broke(error.to_string()))?;
            if tensor.size() != shape {
                let size = tensor.size();
                return Err(sent.broke(format!("'{name}' has shape {size:?}, not {shape:?}")));
            }
            sent.finite(name, tensor)?;
            if let Some(input) = branch.inputs.iter().find(|input| input.name == name) {
                sent.declared(branch, input, tensor, false)?;
            }
        }
        for (name, target) in targets.iter() {
            let size = target.size();
            if size.first() != Some(&wanted) {
                return Err(sent.broke(format!(
                    "target '{name}' has shape {size:?} where {wanted} samples were asked for"
                )));
            }
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

    /// Pictures of a batch for people by title: bytes, (N, 3, H, W). None of an older plugin without the
    /// method.
    ///
    /// # Errors
    /// The plugin's own, or how its answer is wrong.
    pub fn draw(&self, batch: &Batch, predictions: Option<&Tensors>) -> Result<Tensors> {
        let request = TaskRequest::Draw {
            inputs: names(&batch.inputs),
            targets: names(&batch.targets),
            predictions: predictions.map(names),
        };
        let groups = [&batch.inputs, &batch.targets];
        let sending = all(groups.into_iter().chain(predictions));
        let answer = self.object.call_if_offered(request, &sending)?;
        let Some((response, mut sent)) = answer else {
            return Ok(Tensors::new());
        };
        let TaskResponse::Draw(titles) = response else {
            return Err(sent.unexpected(&response));
        };
        let drawn = sent.named(titles)?;
        let samples = batch.inputs.iter().next();
        let samples = samples.map_or(0, |(_, tensor)| tensor.size()[0]);
        for (title, picture) in drawn.iter() {
            let fits = matches!(picture.size()[..], [n, 3, _, _] if n == samples);
            if !fits || picture.kind() != Kind::Uint8 {
                let (size, kind) = (picture.size(), picture.kind());
                return Err(sent.broke(format!(
                    "pictures '{title}' of {samples} samples: {kind:?} of shape {size:?}, expected bytes (N, 3, H, W)"
                )));
            }
        }
        Ok(drawn)
    }

    /// The value of a reference loss, a scalar with gradient.
    ///
    /// # Errors
    /// The plugin's own, or an answer that is not a scalar with a gradient.
    pub fn reference_loss(&self, name: &str, branch: &str, inputs: &Tensors) -> Result<Tensor> {
        let request = TaskRequest::ReferenceLoss {
            name: name.to_owned(),
            branch: branch.to_owned(),
            inputs: names(inputs),
        };
        let (response, mut sent) = self.object.call(request, &all([inputs]))?;
        let TaskResponse::ReferenceLoss = response else {
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
