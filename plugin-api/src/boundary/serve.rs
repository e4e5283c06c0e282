//! The plugin's side: objects under numbers, and messages turned into method calls.

use super::failure::{Failure, FailureKind, catch};
use super::message::{Answer, Inside};
use super::wire::{Call, Create, capabilities};
use crate::register::{MetricEntry, NetworkEntry, ScreeningMetricEntry, TaskEntry};
use crate::{Metric, PluginInfo, ProxyNetwork, ScreeningMetric, Settings, Task, UnknownName};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use tch::Tensor;

/// What [`export_plugin!`](crate::export_plugin) publishes a library as.
#[derive(Debug)]
pub struct Export {
    /// Package name.
    pub name: &'static str,
    /// Package version.
    pub version: &'static str,
    /// Capabilities that the host must know.
    pub requires: &'static [&'static str],
    /// Changes the description as JSON: for tests of what this version's types cannot express.
    pub rewrite: Option<fn(Vec<u8>) -> Vec<u8>>,
}

static EXPORT: OnceLock<Export> = OnceLock::new();

pub(super) fn publish(export: Export) {
    EXPORT.get_or_init(|| export);
}

/// The objects of one kind; None once a panic has left an object in an unknown state.
struct Objects<T>(Mutex<BTreeMap<u64, Slot<T>>>);

type Slot<T> = Arc<Mutex<Option<T>>>;

/// Shared: the host loads batches from several threads at once.
static TASKS: Objects<Arc<dyn Task>> = Objects::new();
static NETWORKS: Objects<Box<dyn ProxyNetwork>> = Objects::new();
static METRICS: Objects<Box<dyn Metric>> = Objects::new();
static SCREENING_METRICS: Objects<Box<dyn ScreeningMetric>> = Objects::new();

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<T> Objects<T> {
    const fn new() -> Self {
        Self(Mutex::new(BTreeMap::new()))
    }

    fn add(&self, object: T) -> u64 {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        lock(&self.0).insert(number, Arc::new(Mutex::new(Some(object))));
        number
    }

    fn slot(&self, number: u64) -> Result<Slot<T>, Failure> {
        let slot = lock(&self.0).get(&number).cloned();
        slot.ok_or_else(|| Failure::protocol(format!("there is no object {number} of this kind")))
    }

    fn remove(&self, number: u64) -> Option<Slot<T>> {
        lock(&self.0).remove(&number)
    }

    /// Calls an object alone.
    fn call<A>(
        &self,
        number: u64,
        gradients: bool,
        work: impl FnOnce(&mut T) -> Answer<A>,
    ) -> Answer<A> {
        let slot = self.slot(number)?;
        let outcome = guarded(gradients, || match lock(&slot).as_mut() {
            Some(object) => work(object),
            None => Err(lost()),
        });
        give_up_after_panic(&slot, outcome)
    }
}

fn lost() -> Failure {
    Failure::protocol("the object was lost in an earlier panic")
}

/// Catches panics, with gradients on or off. The mode belongs to the thread and outlives a caught
/// panic; the closure form restores it.
fn guarded<T>(gradients: bool, work: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
    match gradients {
        true => tch::with_grad(|| catch(work)),
        false => tch::no_grad(|| catch(work)),
    }
}

fn give_up_after_panic<T, A>(slot: &Mutex<Option<T>>, outcome: Answer<A>) -> Answer<A> {
    if matches!(&outcome, Err(failure) if failure.kind == FailureKind::Panic) {
        let lost = lock(slot).take();
        // Dropping a half-changed object may panic again.
        let _ = catch(|| {
            drop(lost);
            Ok(())
        });
    }
    outcome
}

pub(super) fn describe() -> Result<Vec<u8>, Failure> {
    catch(|| {
        let export = EXPORT.get();
        let (name, version) = export.map_or(("unknown", "0"), |own| (own.name, own.version));
        let mut info = PluginInfo::new(name, version);
        info.tasks = TaskEntry::offers();
        info.networks = NetworkEntry::offers();
        info.metrics = MetricEntry::offers();
        info.screening_metrics = ScreeningMetricEntry::offers();
        info.capabilities = capabilities().map(str::to_owned).collect();
        let requires = export.map_or(&[][..], |own| own.requires);
        info.requires = requires.iter().map(|&name| name.to_owned()).collect();
        if info.is_empty() {
            let message = "it registers no task, network or metric; entries in an rlib that the \
                           plugin crate never mentions are dropped by the linker";
            return Err(Failure::from(crate::Error::from(message)));
        }
        let json = encode(&info)?;
        Ok(match export.and_then(|own| own.rewrite) {
            Some(rewrite) => rewrite(json),
            None => json,
        })
    })
}

pub(super) fn create(message: &[u8]) -> Result<u64, Failure> {
    let make = || -> Result<u64, Failure> {
        Ok(match decode(message)? {
            Create::Task(name, options) => {
                let task = TaskEntry::make(&name, &options)?;
                refuse_unread("task", &name, &options.settings)?;
                TASKS.add(task.into())
            }
            Create::Network(name, options) => {
                // One generator per process: networks of every plugin draw from it.
                tch::manual_seed(i64::from_ne_bytes(options.seed.to_ne_bytes()));
                let network = NetworkEntry::make(&name, &options)?;
                refuse_unread("network", &name, &options.settings)?;
                NETWORKS.add(network)
            }
            Create::Metric(name, options) => METRICS.add(MetricEntry::make(&name, &options)?),
            Create::ScreeningMetric(name, options) => {
                SCREENING_METRICS.add(ScreeningMetricEntry::make(&name, &options)?)
            }
        })
    };
    // Parameters must be leaves that record gradients whatever the host's thread was doing.
    tch::with_grad(|| catch(make))
}

/// A setting that nobody has asked for is misspelt.
fn refuse_unread(kind: &str, name: &str, settings: &Settings) -> Result<(), Failure> {
    settings.in_vain().map_or(Ok(()), |unknown| {
        let owner = format!("{kind} '{name}'");
        Err(Failure::from(crate::Error::from(UnreadSetting {
            owner,
            unknown,
        })))
    })
}

/// A setting of a task or a network.
#[derive(Debug, thiserror::Error)]
#[error("{owner} has {unknown}")]
struct UnreadSetting {
    owner: String,
    #[source]
    unknown: UnknownName,
}

pub(super) fn call(number: u64, message: &[u8], tensors: Vec<Tensor>) -> Answer<Vec<u8>> {
    let inside = &mut Inside::new(tensors);
    match decode(message)? {
        Call::Task(request) => {
            let slot = TASKS.slot(number)?;
            let outcome = beside_others(&slot, request.records_gradients(), |task| {
                request.serve(task, inside)
            });
            encoded(give_up_after_panic(&slot, outcome))
        }
        Call::Network(request) => {
            let gradients = request.records_gradients();
            let serve = |network: &mut Box<dyn ProxyNetwork>| request.serve(&mut **network, inside);
            encoded(NETWORKS.call(number, gradients, serve))
        }
        Call::Metric(request) => {
            encoded(METRICS.call(number, false, |metric| request.serve(&mut **metric, inside)))
        }
        Call::ScreeningMetric(request) => encoded(SCREENING_METRICS.call(
            number,
            false,
            |metric| request.serve(&mut **metric, inside),
        )),
    }
}

fn beside_others<A>(
    slot: &Slot<Arc<dyn Task>>,
    gradients: bool,
    work: impl FnOnce(&dyn Task) -> Answer<A>,
) -> Answer<A> {
    let task = lock(slot).clone().ok_or_else(lost)?;
    guarded(gradients, || work(&*task))
}

pub(super) fn destroy(number: u64) {
    // An object's destructor is the author's code too.
    let dropped = catch(|| {
        drop(TASKS.remove(number));
        drop(NETWORKS.remove(number));
        drop(METRICS.remove(number));
        drop(SCREENING_METRICS.remove(number));
        Ok(())
    });
    if let Err(failure) = dropped {
        crate::tracing::warn!("a destructor panicked: {}", failure.message);
    }
}

fn encoded<A: serde::Serialize>(outcome: Answer<A>) -> Answer<Vec<u8>> {
    let (answer, tensors) = outcome?;
    Ok((encode(&answer)?, tensors))
}

fn encode(value: &impl serde::Serialize) -> Result<Vec<u8>, Failure> {
    serde_json::to_vec(value).map_err(|error| Failure::protocol(error.to_string()))
}

fn decode<T: serde::de::DeserializeOwned>(message: &[u8]) -> Result<T, Failure> {
    serde_json::from_slice(message).map_err(|error| {
        Failure::protocol(format!(
            "the message was not understood by this plugin's version: {error}"
        ))
    })
}
