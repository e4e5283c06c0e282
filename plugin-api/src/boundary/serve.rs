//! The plugin's side: objects under numbers, and messages turned into method calls.

use super::guard::{catch, failure};
use super::handles::{TensorHandle, give, share};
use super::module::{Answer, Failure, FailureKind, identity};
use super::wire::{Create, Names, Request, Response};
use crate::register::{MetricEntry, NetworkEntry, TaskEntry};
use crate::{Batch, Error, Metric, PluginInfo, ProxyNetwork, Task, Tensors, brief};
use abi_stable::std_types::{RResult, RSlice, RStr, RVec};
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use tch::Tensor;

enum Object {
    /// Shared: the host loads batches from several threads at once.
    Task(Arc<dyn Task>),
    Network(Box<dyn ProxyNetwork>),
    Metric(Box<dyn Metric>),
}

/// None once a panic has left the object in an unknown state.
type Slot = Arc<Mutex<Option<Object>>>;

static OBJECTS: OnceLock<Mutex<HashMap<u64, Slot>>> = OnceLock::new();
static NEXT: AtomicU64 = AtomicU64::new(1);

fn objects() -> MutexGuard<'static, HashMap<u64, Slot>> {
    lock(OBJECTS.get_or_init(Mutex::default))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(super) extern "C" fn describe() -> RResult<RVec<u8>, Failure> {
    catch(|| {
        let (name, version) = identity();
        let mut info = PluginInfo {
            name: name.into(),
            version: version.into(),
            tasks: inventory::iter::<TaskEntry>()
                .map(|entry| (entry.info)())
                .collect(),
            networks: inventory::iter::<NetworkEntry>()
                .map(|entry| (entry.info)())
                .collect(),
            metrics: inventory::iter::<MetricEntry>()
                .map(|entry| (entry.info)())
                .collect(),
        };
        // The order of registration is the linker's.
        info.tasks.sort_by(|a, b| a.name.cmp(&b.name));
        info.networks.sort_by(|a, b| a.name.cmp(&b.name));
        info.metrics.sort_by(|a, b| a.name.cmp(&b.name));
        if info.tasks.is_empty() && info.networks.is_empty() && info.metrics.is_empty() {
            let message = "it registers no task, network or metric; entries in an rlib that the \
                           plugin crate never mentions are dropped by the linker";
            return Err(failure(FailureKind::Error, message, ""));
        }
        encode(&info)
    })
    .into()
}

pub(super) extern "C" fn create(request: RSlice<'_, u8>) -> RResult<u64, Failure> {
    let make = || {
        let object = match decode(&request)? {
            Create::Task(name, options) => {
                let entry = entry::<TaskEntry>("task", &name, |entry| (entry.info)().name)?;
                Object::Task((entry.open)(&options).map_err(failed)?.into())
            }
            Create::Network(name, options) => {
                let entry = entry::<NetworkEntry>("network", &name, |entry| (entry.info)().name)?;
                // One generator per process: networks of every plugin draw from it.
                tch::manual_seed(i64::from_ne_bytes(options.seed.to_ne_bytes()));
                Object::Network((entry.build)(&options).map_err(failed)?)
            }
            Create::Metric(name, options) => {
                let entry = entry::<MetricEntry>("metric", &name, |entry| (entry.info)().name)?;
                Object::Metric((entry.create)(&options).map_err(failed)?)
            }
        };
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        objects().insert(number, Arc::new(Mutex::new(Some(object))));
        Ok(number)
    };
    // Parameters must be leaves that record gradients whatever the host's thread was doing.
    tch::with_grad(|| catch(make)).into()
}

pub(super) extern "C" fn call(
    number: u64,
    request: RSlice<'_, u8>,
    tensors: RSlice<'_, TensorHandle>,
) -> RResult<Answer, Failure> {
    let outcome = decode::<Request>(&request).and_then(|request| {
        let slot = objects().get(&number).cloned();
        let slot = slot.ok_or_else(|| protocol(format!("there is no object {number}")))?;
        let outcome = serve(&slot, &request, &tensors);
        if matches!(&outcome, Err(failure) if failure.kind == FailureKind::Panic) {
            let lost = lock(&slot).take();
            // Dropping a half-changed object may panic again.
            let _ = catch(|| {
                drop(lost);
                Ok(())
            });
        }
        outcome
    });
    outcome.into()
}

/// Runs one call: on a task beside others, on a network or a metric alone.
fn serve(
    slot: &Slot,
    request: &Request,
    tensors: &RSlice<'_, TensorHandle>,
) -> Result<Answer, Failure> {
    let mut inside = Inside::new(tensors);
    let mut object = lock(slot);
    if let Some(Object::Task(task)) = &*object {
        let task = Arc::clone(task);
        drop(object);
        return guarded(request, || dispatch_task(&*task, request, &mut inside));
    }
    guarded(request, || match object.as_mut() {
        None => Err(protocol("the object was lost in an earlier panic")),
        Some(Object::Network(network)) => dispatch_network(&mut **network, request, &mut inside),
        Some(Object::Metric(metric)) => dispatch_metric(&mut **metric, request, &mut inside),
        Some(Object::Task(_)) => Err(wrong_object(request)),
    })
}

/// Catches panics, with the grad mode the request wants. The mode belongs to the thread and outlives a
/// caught panic; the closure form restores it.
fn guarded(
    request: &Request,
    work: impl FnOnce() -> Result<Answer, Failure>,
) -> Result<Answer, Failure> {
    if request.records_gradients() {
        tch::with_grad(|| catch(work))
    } else {
        tch::no_grad(|| catch(work))
    }
}

pub(super) extern "C" fn destroy(number: u64) {
    let slot = objects().remove(&number);
    // An object's destructor is the author's code too.
    let dropped = catch(|| {
        drop(slot);
        Ok(())
    });
    if let Err(failure) = dropped {
        crate::tracing::warn!("a destructor panicked: {}", failure.message);
    }
}

pub(super) extern "C" fn query_interface(_name: RStr<'_>) -> *const u8 {
    std::ptr::null()
}

/// The tensors of a request, taken in the order the message names them.
struct Inside<'a> {
    rest: std::slice::Iter<'a, TensorHandle>,
}

impl<'a> Inside<'a> {
    fn new(tensors: &'a RSlice<'_, TensorHandle>) -> Self {
        Self {
            rest: tensors.as_slice().iter(),
        }
    }

    #[allow(
        unsafe_code,
        reason = "the only place where borrowed handles become tensors"
    )]
    fn take(&mut self, names: &Names) -> Result<Tensors, Failure> {
        names
            .iter()
            .map(|name| {
                let handle = self.rest.next();
                let handle = handle.ok_or_else(|| protocol("fewer tensors than names"))?;
                // SAFETY: the host borrows its tensors for the length of this call.
                Ok((name.clone(), unsafe { share(*handle) }))
            })
            .collect()
    }
}

fn dispatch_task(
    task: &dyn Task,
    request: &Request,
    inside: &mut Inside<'_>,
) -> Result<Answer, Failure> {
    match request {
        Request::Attributes => answer(&Response::Attributes(task.attributes()), []),
        Request::WriteData(to) => answer(&Response::Said(task.write_data(to).map_err(failed)?), []),
        Request::Len(split) => answer(&Response::Len(task.len(*split).map_err(failed)?), []),
        Request::Groups(split) => {
            answer(&Response::Groups(task.groups(*split).map_err(failed)?), [])
        }
        Request::Batch(request) => {
            let Batch { inputs, targets } = task.batch(request).map_err(failed)?;
            let (inputs, mut tensors) = apart(inputs);
            let (targets, more) = apart(targets);
            tensors.extend(more);
            answer(&Response::Batch { inputs, targets }, tensors)
        }
        Request::ScreeningSamples(request) => {
            let samples = task.screening_samples(request).map_err(failed)?;
            let (fixed, mut tensors) = apart(samples.fixed);
            let (targets, more) = apart(samples.targets);
            tensors.extend(more);
            let valid = samples.valid.is_some();
            tensors.extend(samples.valid);
            let shape = samples.shape;
            answer(
                &Response::ScreeningSamples {
                    shape,
                    fixed,
                    targets,
                    valid,
                },
                tensors,
            )
        }
        Request::Draw {
            inputs,
            targets,
            predictions,
        } => {
            let batch = Batch {
                inputs: inside.take(inputs)?,
                targets: inside.take(targets)?,
            };
            let predictions = predictions.as_ref().map(|names| inside.take(names));
            let predictions = predictions.transpose()?;
            let drawn = task.draw(&batch, predictions.as_ref()).map_err(failed)?;
            let (names, tensors) = apart(drawn);
            answer(&Response::Tensors(names), tensors)
        }
        Request::ReferenceLoss {
            name,
            branch,
            inputs,
        } => {
            let inputs = inside.take(inputs)?;
            let loss = task.reference_loss(name, branch, &inputs).map_err(failed)?;
            answer(&Response::Tensor, [loss])
        }
        other => Err(wrong_object(other)),
    }
}

fn dispatch_network(
    network: &mut dyn ProxyNetwork,
    request: &Request,
    inside: &mut Inside<'_>,
) -> Result<Answer, Failure> {
    match request {
        Request::Forward {
            inputs,
            targets,
            mode,
        } => {
            let batch = Batch {
                inputs: inside.take(inputs)?,
                targets: inside.take(targets)?,
            };
            let mut branches = Vec::new();
            let mut tensors = Vec::new();
            for (branch, inputs) in network.forward(&batch, *mode).map_err(failed)? {
                let (names, more) = apart(inputs);
                tensors.extend(more);
                branches.push((branch, names));
            }
            answer(&Response::Branches(branches), tensors)
        }
        Request::Predict { inputs } => {
            let inputs = inside.take(inputs)?;
            let (names, tensors) = apart(network.predict(&inputs).map_err(failed)?);
            answer(&Response::Tensors(names), tensors)
        }
        Request::Parameters => {
            let parameters = network.parameters();
            let names = parameters
                .iter()
                .map(|known| (known.name.clone(), known.decay))
                .collect();
            let tensors = parameters.into_iter().map(|parameter| parameter.tensor);
            answer(&Response::Parameters(names), tensors)
        }
        Request::Buffers => {
            let (names, tensors) = apart(network.buffers());
            answer(&Response::Tensors(names), tensors)
        }
        other => Err(wrong_object(other)),
    }
}

fn dispatch_metric(
    metric: &mut dyn Metric,
    request: &Request,
    inside: &mut Inside<'_>,
) -> Result<Answer, Failure> {
    match request {
        Request::Update {
            predictions,
            targets,
        } => {
            let (predictions, targets) = (inside.take(predictions)?, inside.take(targets)?);
            metric.update(&predictions, &targets).map_err(failed)?;
            answer(&Response::Done, [])
        }
        Request::Compute => answer(&Response::scores(metric.compute().map_err(failed)?), []),
        Request::Screen {
            score,
            predictions,
            targets,
        } => {
            let (predictions, targets) = (inside.take(predictions)?, inside.take(targets)?);
            let scores = metric
                .screen(score, &predictions, &targets)
                .map_err(failed)?;
            answer(&Response::sample_scores(&scores), [])
        }
        other => Err(wrong_object(other)),
    }
}

fn apart(tensors: Tensors) -> (Names, Vec<Tensor>) {
    tensors.into_iter().unzip()
}

fn answer(
    response: &Response,
    tensors: impl IntoIterator<Item = Tensor>,
) -> Result<Answer, Failure> {
    let message = encode(response)?;
    Ok(Answer {
        message,
        tensors: tensors.into_iter().map(give).collect(),
    })
}

fn encode(value: &impl serde::Serialize) -> Result<RVec<u8>, Failure> {
    serde_json::to_vec(value)
        .map(RVec::from)
        .map_err(|error| protocol(error.to_string()))
}

fn decode<T: serde::de::DeserializeOwned>(message: &RSlice<'_, u8>) -> Result<T, Failure> {
    serde_json::from_slice(message.as_slice()).map_err(|error| {
        protocol(format!(
            "the message was not understood by this plugin's version: {error}"
        ))
    })
}

#[allow(clippy::needless_pass_by_value, reason = "for map_err")]
fn failed(error: Error) -> Failure {
    failure(FailureKind::Error, brief(&*error), format!("{error:?}"))
}

/// The registered entry of a name.
fn entry<T: inventory::Collect>(
    kind: &str,
    name: &str,
    name_of: impl Fn(&T) -> String,
) -> Result<&'static T, Failure> {
    let mut entries = inventory::iter::<T>.into_iter();
    entries.find(|entry| name_of(entry) == name).ok_or_else(|| {
        failure(
            FailureKind::Error,
            format!("there is no {kind} '{name}'"),
            "",
        )
    })
}

fn protocol(message: impl Into<String>) -> Failure {
    failure(FailureKind::Protocol, message, "")
}

fn wrong_object(request: &Request) -> Failure {
    protocol(format!(
        "{} was sent to an object of another kind",
        request.method()
    ))
}
