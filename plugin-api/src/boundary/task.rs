//! The messages of tasks.

use super::message::{Answer, Inside, Names, apart, requests};
use crate::{Batch, BatchRequest, ScreeningRequest, Split, Task};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

requests! {
    /// Calls a method of a task.
    TaskRequest of "Task", answered by TaskResponse {
        /// [`Task::attributes`]
        Attributes = "attributes",
        /// [`Task::remarks`]
        Remarks = "remarks",
        /// [`Task::check`]
        Check(Split) = "check",
        /// [`Task::files`]
        Files(Split) = "files",
        /// [`Task::len`]
        Len(Split) = "len",
        /// [`Task::groups`]
        Groups(Split) = "groups",
        /// [`Task::shapes`]
        Shapes(Split) = "shapes",
        /// [`Task::views`]
        Views = "views",
        /// [`Task::batch`]
        Batch(BatchRequest) = "batch",
        /// [`Task::constant_predictions`]
        ConstantPredictions {
            /// Names of the batch's inputs.
            inputs: Names,
            /// Names of the batch's targets.
            targets: Names,
        } = "constant_predictions",
        /// [`Task::screening_samples`]
        ScreeningSamples(ScreeningRequest) = "screening_samples",
        /// [`Task::write_data`]
        WriteData(PathBuf) = "write_data",
        /// [`Task::draw`]
        Draw {
            /// Names of the batch's inputs.
            inputs: Names,
            /// Names of the batch's targets.
            targets: Names,
            /// Names of the predictions, if the samples are to be drawn with predictions.
            predictions: Option<Names>,
        } = "draw",
        /// [`Task::reference_loss`]
        ReferenceLoss {
            /// The loss.
            name: String,
            /// The branch.
            branch: String,
            /// Names of the inputs.
            inputs: Names,
        } = "reference_loss",
    }
}

/// What a task answers, by the request's name.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TaskResponse {
    /// Facts of an opened task.
    Attributes(BTreeMap<String, serde_json::Value>),
    /// Sentences for the user.
    Remarks(Vec<String>),
    /// Sentences for the user.
    Check(Vec<String>),
    /// Paths of files.
    Files(Vec<PathBuf>),
    /// A number of samples.
    Len(u64),
    /// A number for each sample, or none at all.
    Groups(Vec<u32>),
    /// A number for each sample, or none at all.
    Shapes(Vec<u32>),
    /// A number of views.
    Views(u32),
    /// A batch.
    Batch {
        /// Names of its inputs.
        inputs: Names,
        /// Names of its targets.
        targets: Names,
    },
    /// Names of the tensors of each prediction.
    ConstantPredictions(Vec<Names>),
    /// Samples for screening.
    ScreeningSamples {
        /// Shape of the raw predictions.
        shape: [i64; 4],
        /// Names of the fixed inputs.
        fixed: Names,
        /// Names of the metric's targets.
        targets: Names,
        /// Whether a `valid` tensor follows the others.
        valid: bool,
    },
    /// A line for the user.
    WriteData(String),
    /// Titles of pictures.
    Draw(Names),
    /// One tensor follows, without a name.
    ReferenceLoss,
}

impl TaskRequest {
    /// Whether gradients are recorded during the call.
    pub(super) fn records_gradients(&self) -> bool {
        matches!(self, Self::ReferenceLoss { .. })
    }

    /// Calls the method.
    pub(super) fn serve(self, task: &dyn Task, inside: &mut Inside) -> Answer<TaskResponse> {
        let plain = |response| Ok((response, Vec::new()));
        match self {
            Self::Attributes => plain(TaskResponse::Attributes(task.attributes())),
            Self::Remarks => plain(TaskResponse::Remarks(task.remarks())),
            Self::Check(split) => plain(TaskResponse::Check(task.check(split)?)),
            Self::Files(split) => plain(TaskResponse::Files(task.files(split)?)),
            Self::Len(split) => plain(TaskResponse::Len(task.len(split)?)),
            Self::Groups(split) => plain(TaskResponse::Groups(task.groups(split)?)),
            Self::Shapes(split) => plain(TaskResponse::Shapes(task.shapes(split)?)),
            Self::Views => plain(TaskResponse::Views(task.views()?)),
            Self::Batch(request) => {
                let Batch { inputs, targets } = task.batch(&request)?;
                let (inputs, mut tensors) = apart(inputs);
                let (targets, more) = apart(targets);
                tensors.extend(more);
                Ok((TaskResponse::Batch { inputs, targets }, tensors))
            }
            Self::ConstantPredictions { inputs, targets } => {
                let batch = Batch {
                    inputs: inside.take(inputs)?,
                    targets: inside.take(targets)?,
                };
                let predictions = task.constant_predictions(&batch)?.into_iter().map(apart);
                let (names, tensors): (Vec<_>, Vec<_>) = predictions.unzip();
                let tensors = tensors.into_iter().flatten().collect();
                Ok((TaskResponse::ConstantPredictions(names), tensors))
            }
            Self::ScreeningSamples(request) => {
                let samples = task.screening_samples(&request)?;
                let (fixed, mut tensors) = apart(samples.fixed);
                let (targets, more) = apart(samples.targets);
                tensors.extend(more);
                let response = TaskResponse::ScreeningSamples {
                    shape: samples.shape,
                    fixed,
                    targets,
                    valid: samples.valid.is_some(),
                };
                tensors.extend(samples.valid);
                Ok((response, tensors))
            }
            Self::WriteData(to) => plain(TaskResponse::WriteData(task.write_data(&to)?)),
            Self::Draw {
                inputs,
                targets,
                predictions,
            } => {
                let batch = Batch {
                    inputs: inside.take(inputs)?,
                    targets: inside.take(targets)?,
                };
                let predictions = predictions.map(|names| inside.take(names)).transpose()?;
                let (titles, pictures) = apart(task.draw(&batch, predictions.as_ref())?);
                Ok((TaskResponse::Draw(titles), pictures))
            }
            Self::ReferenceLoss {
                name,
                branch,
                inputs,
            } => {
                let loss = task.reference_loss(&name, &branch, &inside.take(inputs)?)?;
                Ok((TaskResponse::ReferenceLoss, vec![loss]))
            }
        }
    }
}
