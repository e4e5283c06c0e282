//! Features of a network's frozen part, computed once for each sample and kept.
//!
//! A search trains hundreds of networks on the same samples. Where the first part of the network never
//! trains, what it makes of a sample is always the same: it is computed in one pass before the first
//! training, kept in half precision, and trainings are given it in the place of the task's inputs.
//! Instead of augmentation there are the task's fixed views of each training sample.
//!
//! The features lie in memory up to a limit, and on disk for the next run. A file is used only where the
//! inputs and targets themselves, read again, have the digest it was made from: data that changed in its place makes
//! the file useless, not wrong. Samples of different shapes (`Task::shapes`) have tables of their own. A worker process is
//! told the digest by the one that started it, which has just read them.

use crate::alike::alike;
use crate::graph_eval::is_finite;
use crate::loader::{Loading, Loads, with_batches};
use crate::network::{Compute, Network, read_tensors, write_tensors};
use crate::plugin::{Plugin, RemoteTask, hexadecimal};
use crate::{Result, TrainError};
use autoloss_graph::hash::{GOLDEN, finalize};
use autoloss_plugin_api::{Batch, BatchRequest, NetworkInfo, NetworkOptions, Split, Tensors};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;
use tch::{Device, Kind, Tensor};

/// Samples that are encoded at once, and most bytes of their inputs. Fixed: they bound memory.
const BATCH: usize = 32;
const BATCH_BYTES: usize = 16 << 20;
/// The files in the folder hold at most this many times what may lie in memory.
const FILES: u64 = 4;
/// Name of the tensor of a file that holds the digest of inputs and targets, and what the names of the targets begin with.
const DIGEST: &str = "digest of inputs and targets";
const TARGET: &str = "target ";
/// Of the files; others are not read.
const LAYOUT: &str = "2";

/// Where features are kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Caching {
    /// Most bytes in memory; what exceeds them is computed whenever it is used.
    pub bytes: usize,
    /// Folder of files for later runs; none keeps nothing.
    pub folder: Option<PathBuf>,
    /// Digests of the inputs and targets of splits, as another process has computed them a moment ago: files with these
    /// need not be compared with the data again.
    pub verified: BTreeMap<Split, Vec<u8>>,
}

/// The features of all samples of a task, as one network sees them.
pub(crate) struct Features {
    plugin: Arc<Plugin>,
    name: String,
    options: NetworkOptions,
    compute: Compute,
    caching: Caching,
    encoder: Mutex<Option<Network>>,
    /// Of the splits that were prepared; nothing where none of a split fits.
    tables: Mutex<BTreeMap<Split, Option<Arc<Table>>>>,
}

/// The features and targets of the first samples of a split.
struct Table {
    parts: Vec<Part>,
    /// The part of each sample, and its row there in the first view.
    places: Vec<(usize, u64)>,
    /// SHA-256 of all inputs and targets.
    digest: Vec<u8>,
    /// None where samples are as they are, without views.
    views: Option<u32>,
    bytes: usize,
}

/// The features and targets of samples of one shape: row v·S + i is view v of sample i of S.
struct Part {
    /// Halves, on the CPU.
    features: Mutex<Tensors>,
    targets: Mutex<Tensors>,
}

/// Batches with features where the network has a frozen part, and otherwise as the task gives them.
#[derive(Clone, Copy)]
pub(crate) struct Feed<'a> {
    pub(crate) task: &'a RemoteTask,
    pub(crate) features: Option<&'a Features>,
}

impl Loads for Feed<'_> {
    fn load(&self, request: BatchRequest) -> Result<Batch> {
        match self.features {
            Some(features) => features.load(self.task, request),
            None => Ok(self.task.load(request)?),
        }
    }
}

/// How a pass over a split goes: what it loads ahead, what ends it, and who is told of samples done and
/// samples in all.
pub(crate) struct Pass<'a> {
    pub(crate) loading: Loading,
    pub(crate) stop: &'a AtomicBool,
    pub(crate) watch: &'a mut dyn FnMut(u64, u64),
}

impl Features {
    /// Features of a network that is built when they are first needed.
    pub(crate) fn new(
        (plugin, network): &(Arc<Plugin>, NetworkInfo),
        options: NetworkOptions,
        compute: Compute,
        caching: Caching,
    ) -> Self {
        Self {
            plugin: Arc::clone(plugin),
            name: network.name.clone(),
            options,
            compute,
            caching,
            encoder: Mutex::new(None),
            tables: Mutex::new(BTreeMap::new()),
        }
    }

    /// Fills the table of a split, as far as memory allows; one that is there stays.
    ///
    /// # Errors
    /// Whatever plugins or libtorch say, or [`TrainError::Interrupted`].
    pub(crate) fn prepare(
        &self,
        task: &RemoteTask,
        split: Split,
        pass: &mut Pass<'_>,
    ) -> Result<()> {
        if lock(&self.tables).contains_key(&split) {
            return Ok(());
        }
        let views = match split {
            Split::Train => Some(task.views()?),
            _ => None,
        };
        // All views of training samples have one shape.
        let shapes = match views {
            Some(_) => Vec::new(),
            None => task.shapes(split)?,
        };
        let (kinds, samples, views) = self.fitting(task, split, &shapes, views)?;
        if samples == 0 {
            lock(&self.tables).insert(split, None);
            return Ok(());
        }
        let plan = Plan {
            split,
            views,
            parts: alike(samples, &shapes),
            at_once: kinds.iter().map(|kind| kind.at_once).collect(),
        };
        let file = self.file(&plan)?;
        let stored = match &file {
            Some(file) if file.exists() => self.stored(task, &plan, file, pass)?,
            _ => None,
        };
        let filled = match stored {
            Some(filled) => filled,
            None => {
                let filled = plan.run(task, Some((self, &kinds)), pass)?;
                if let Some(file) = &file {
                    self.write(file, &filled);
                }
                filled
            }
        };
        let mut places = vec![(0, 0); samples as usize];
        for (number, part) in plan.parts.iter().enumerate() {
            for (row, &sample) in (0..).zip(part) {
                places[sample as usize] = (number, row);
            }
        }
        let part = |(features, targets)| Part {
            features: Mutex::new(features),
            targets: Mutex::new(targets),
        };
        let table = Table {
            bytes: filled.bytes(),
            parts: filled.parts.into_iter().map(part).collect(),
            places,
            digest: filled.digest,
            views,
        };
        lock(&self.tables).insert(split, Some(Arc::new(table)));
        Ok(())
    }

    /// Digests of the inputs and targets of the splits that were prepared.
    pub(crate) fn prepared(&self) -> BTreeMap<Split, Vec<u8>> {
        let tables = lock(&self.tables);
        let digest = |(split, table): (&Split, &Option<Arc<Table>>)| {
            Some((*split, table.as_ref()?.digest.clone()))
        };
        tables.iter().filter_map(digest).collect()
    }

    /// Bytes of the tables so far.
    pub(crate) fn bytes(&self) -> usize {
        let tables = lock(&self.tables);
        tables.values().flatten().map(|table| table.bytes).sum()
    }

    /// Features of inputs that the task gave, in single precision with the values of halves.
    ///
    /// # Errors
    /// Whatever plugins or libtorch say.
    pub(crate) fn of(&self, inputs: &Tensors) -> Result<Tensors> {
        widened(&self.encode(inputs)?)
    }

    /// How many of the first samples of a split and of their views memory holds, and the shapes of these samples in the
    /// order of their first ones.
    fn fitting(
        &self,
        task: &RemoteTask,
        split: Split,
        shapes: &[u32],
        views: Option<u32>,
    ) -> Result<(Vec<OfShape>, u64, Option<u32>)> {
        let samples = task.len(split)?;
        let room = self.caching.bytes.saturating_sub(self.bytes());
        let mut kinds: Vec<OfShape> = Vec::new();
        let mut numbers = BTreeMap::new();
        let (mut kept, mut used) = (0, 0);
        while kept < samples {
            let shape = shapes.get(kept as usize).copied().unwrap_or_default();
            let number = *numbers.entry(shape).or_insert(kinds.len());
            if number == kinds.len() {
                let raw = task.load(request(split, vec![kept], views.map(|_| 0)))?;
                let features = self.encode(&raw.inputs)?;
                kinds.push(OfShape {
                    row: bytes(&features) + bytes(&raw.targets),
                    at_once: (BATCH_BYTES / bytes(&raw.inputs).max(1)).clamp(1, BATCH),
                    features,
                });
            }
            if used + kinds[number].row > room {
                break;
            }
            used += kinds[number].row;
            kept += 1;
        }
        let wanted = views.unwrap_or(1);
        let fitting = match kept == samples {
            true => (room / used.max(1)).clamp(1, wanted as usize) as u32,
            false => 1,
        };
        if kept < samples || fitting < wanted {
            tracing::warn!(
                "features of {kept} of {samples} samples ({split}), {fitting} of {wanted} views each, fill the \
                 {} MB of proxy.features_mb; others are computed at each use",
                self.caching.bytes >> 20
            );
        }
        Ok((kinds, kept, views.map(|_| fitting)))
    }

    fn load(&self, task: &RemoteTask, asked: BatchRequest) -> Result<Batch> {
        let table = self.table(asked.split);
        let views = match (asked.augment, &table) {
            (None, _) => None,
            (Some(_), Some(table)) => table.views,
            (Some(_), None) => Some(task.views()?),
        };
        let view = |index: u64| match (asked.augment, views) {
            (Some(seed), Some(views)) => {
                let own = finalize(seed ^ index.wrapping_mul(GOLDEN));
                (own % u64::from(views.max(1))) as u32
            }
            _ => 0,
        };
        if let Some(table) = &table
            && table.views == views
            && let Some(found) = table.batch(&asked.indices, view)
        {
            return found;
        }
        if views.is_none() {
            return self.computed(task, asked);
        }
        // A request is of one view; these samples have one each.
        let alone = |&index: &u64| {
            let own = request(asked.split, vec![index], Some(view(index)));
            self.computed(task, own)
        };
        joined(
            &asked
                .indices
                .iter()
                .map(alone)
                .collect::<Result<Vec<_>>>()?,
        )
    }

    fn computed(&self, task: &RemoteTask, request: BatchRequest) -> Result<Batch> {
        let raw = task.load(request)?;
        Ok(Batch {
            inputs: self.of(&raw.inputs)?,
            targets: raw.targets,
        })
    }

    /// Features of inputs in half precision, on the CPU.
    fn encode(&self, inputs: &Tensors) -> Result<Tensors> {
        let mut encoder = lock(&self.encoder);
        let network = match encoder.as_ref() {
            Some(network) => network,
            None => {
                let options = self.options.clone();
                let built = Network::build(&self.plugin, &self.name, options, self.compute)?;
                encoder.insert(built)
            }
        };
        let _guard = tch::no_grad_guard();
        let features = network.frozen_features(inputs)?.to_device(Device::Cpu)?;
        let halves = features.try_map(|tensor| tensor.f_to_kind(Kind::Half))?;
        for (name, tensor) in halves.iter() {
            if !is_finite(tensor)? {
                return Err(TrainError::Features {
                    why: format!("'{name}' has values beyond ±65504, the range of half precision"),
                });
            }
        }
        Ok(halves)
    }

    fn table(&self, split: Split) -> Option<Arc<Table>> {
        lock(&self.tables).get(&split).cloned().flatten()
    }

    /// The file of a table: its name tells the network, its weights and the number of rows.
    fn file(&self, plan: &Plan) -> Result<Option<PathBuf>> {
        let Some(folder) = &self.caching.folder else {
            return Ok(None);
        };
        let mut digest = Sha256::new();
        let settings = serde_json::to_string(&self.options.settings).unwrap_or_default();
        let mut rows = format!("{} {} {:?}", plan.split, plan.samples(), plan.views);
        if plan.parts.len() > 1 {
            rows += &format!(" {:?}", plan.parts);
        }
        let computed = format!("{:?}", self.compute);
        for part in [
            LAYOUT,
            self.plugin.sha256(),
            &self.name,
            &settings,
            &rows,
            &computed,
        ] {
            digest.update(part);
            digest.update([0]);
        }
        if let Some(weights) = &self.options.weights {
            let bytes = fs::read(weights).map_err(|error| TrainError::Checkpoint {
                file: weights.clone(),
                why: error.to_string(),
            })?;
            digest.update(bytes);
        }
        let name = hexadecimal(&digest.finalize()[..12]);
        Ok(Some(folder.join(format!("{name}.safetensors"))))
    }

    /// What a file holds, if that is of the inputs and targets as they are now.
    fn stored(
        &self,
        task: &RemoteTask,
        plan: &Plan,
        file: &Path,
        pass: &mut Pass<'_>,
    ) -> Result<Option<Filled>> {
        let expected = match self.caching.verified.get(&plan.split) {
            Some(digest) => digest.clone(),
            None => plan.run(task, None, pass)?.digest,
        };
        let mut stored = match read_tensors(file) {
            Ok(stored) => stored,
            Err(error) => {
                tracing::warn!("features are computed anew: {error}");
                return Ok(None);
            }
        };
        let digest: Option<Vec<u8>> = stored
            .get(DIGEST)
            .ok()
            .and_then(|tensor| Vec::try_from(tensor).ok());
        let found = match digest.as_ref() == Some(&expected) {
            true => plan.parted(std::mem::take(&mut stored)),
            false => None,
        };
        let Some(parts) = found else {
            tracing::info!("the inputs are not those of {}", file.display());
            return Ok(None);
        };
        // The folder is emptied by age of use.
        let touched = fs::File::open(file).and_then(|open| open.set_modified(SystemTime::now()));
        if let Err(error) = touched {
            tracing::debug!("{}: {error}", file.display());
        }
        Ok(Some(Filled {
            parts,
            digest: expected,
        }))
    }

    /// Keeps features for later runs. What fails costs only time.
    fn write(&self, file: &Path, filled: &Filled) {
        let written = || -> Result<()> {
            let io = |error: std::io::Error| TrainError::Checkpoint {
                file: file.to_owned(),
                why: error.to_string(),
            };
            let folder = file.parent().unwrap_or(Path::new("."));
            fs::create_dir_all(folder).map_err(io)?;
            let partial = file.with_extension(format!("{}.partial", std::process::id()));
            let digest = Tensor::f_from_slice(&filled.digest)?;
            let mut all = Tensors::new().with(DIGEST, digest);
            for (number, (features, targets)) in filled.parts.iter().enumerate() {
                let part = part_name(number, filled.parts.len());
                for (name, tensor) in features.iter() {
                    all = all.with(format!("{part}{name}"), tensor.shallow_clone());
                }
                for (name, tensor) in targets.iter() {
                    all = all.with(format!("{part}{TARGET}{name}"), tensor.shallow_clone());
                }
            }
            write_tensors(&partial, &all)
                .and_then(|()| fs::rename(&partial, file).map_err(io))
                .inspect_err(|_| drop(fs::remove_file(&partial)))?;
            forget_old(folder, FILES * self.caching.bytes as u64).map_err(io)
        };
        if let Err(error) = written() {
            tracing::warn!("features are not kept for later runs: {error}");
        }
    }
}

impl Table {
    /// The samples, each in its view, where all are here and of one shape.
    fn batch(&self, samples: &[u64], view: impl Fn(u64) -> u32) -> Option<Result<Batch>> {
        let place = |&sample: &u64| self.places.get(usize::try_from(sample).ok()?);
        let (part, _) = *place(samples.first()?)?;
        let in_view = self.places.len() as u64;
        let row = |sample: &u64| {
            let &(own, row) = place(sample)?;
            (own == part).then(|| (u64::from(view(*sample)) * in_view + row) as i64)
        };
        let rows: Vec<i64> = samples.iter().map(row).collect::<Option<_>>()?;
        Some(self.parts[part].rows(&rows))
    }
}

impl Part {
    fn rows(&self, rows: &[i64]) -> Result<Batch> {
        let rows = Tensor::f_from_slice(rows)?;
        let pick = |tensors: &Mutex<Tensors>| {
            lock(tensors).try_map(|tensor| tensor.f_index_select(0, &rows))
        };
        Ok(Batch {
            inputs: widened(&pick(&self.features)?)?,
            targets: pick(&self.targets)?,
        })
    }
}

/// The samples of a shape, by the first of them.
struct OfShape {
    /// The features of one.
    features: Tensors,
    /// Bytes of its features and targets.
    row: usize,
    /// How many are encoded at once.
    at_once: usize,
}

/// A pass over the first samples of a split.
struct Plan {
    split: Split,
    /// With views there is one part.
    views: Option<u32>,
    /// Samples of one shape in the order of their rows.
    parts: Vec<Vec<u64>>,
    /// How many samples of each part are encoded at once.
    at_once: Vec<usize>,
}

/// What a pass made.
struct Filled {
    /// Features, without any where nothing was encoded, and targets of each part.
    parts: Vec<(Tensors, Tensors)>,
    /// SHA-256 of all inputs and targets in the order of the requests.
    digest: Vec<u8>,
}

impl Filled {
    fn bytes(&self) -> usize {
        let parts = self.parts.iter();
        parts
            .map(|(features, targets)| bytes(features) + bytes(targets))
            .sum()
    }
}

/// What the names of a part's tensors begin with in a file.
fn part_name(number: usize, parts: usize) -> String {
    match parts {
        1 => String::new(),
        _ => format!("{number} "),
    }
}

impl Plan {
    fn samples(&self) -> usize {
        self.parts.iter().map(Vec::len).sum()
    }

    /// Rows of a part.
    fn rows(&self, part: usize) -> usize {
        self.views.unwrap_or(1) as usize * self.parts[part].len()
    }

    /// Each request with its part.
    fn requests(&self) -> Vec<(usize, BatchRequest)> {
        let views = match self.views {
            Some(views) => (0..views).map(Some).collect(),
            None => vec![None],
        };
        let mut requests = Vec::new();
        for view in views {
            for (part, samples) in self.parts.iter().enumerate() {
                let batches = samples.chunks(self.at_once[part]);
                requests.extend(
                    batches.map(|samples| (part, request(self.split, samples.to_vec(), view))),
                );
            }
        }
        requests
    }

    /// The features and targets of a file by part, where it has all rows of all parts.
    fn parted(&self, stored: Tensors) -> Option<Vec<(Tensors, Tensors)>> {
        let count = self.parts.len();
        let mut parts: Vec<(Tensors, Tensors)> = Vec::new();
        parts.resize_with(count, Default::default);
        for (name, tensor) in stored {
            if name == DIGEST {
                continue;
            }
            let (part, name) = match count {
                1 => (0, name.as_str()),
                _ => {
                    let (part, name) = name.split_once(' ')?;
                    (part.parse().ok()?, name)
                }
            };
            let (features, targets) = parts.get_mut(part)?;
            if tensor.size().first() != Some(&(self.rows(part) as i64)) {
                return None;
            }
            match name.strip_prefix(TARGET) {
                Some(name) => targets.insert(name, tensor),
                None => features.insert(name, tensor),
            }
        }
        let whole = |(features, targets): &(Tensors, Tensors)| {
            !features.is_empty() && targets.iter().count() == parts[0].1.iter().count()
        };
        parts.iter().all(whole).then_some(parts)
    }

    /// Loads every row, and encodes it where an encoder is given with the features of one sample of each part.
    fn run(
        &self,
        task: &RemoteTask,
        encoder: Option<(&Features, &[OfShape])>,
        pass: &mut Pass<'_>,
    ) -> Result<Filled> {
        let room = |one: &Tensor, rows: usize| {
            let mut size = one.size();
            size[0] = rows as i64;
            Tensor::f_empty(&size, (one.kind(), Device::Cpu))
        };
        let features = |part: usize| match encoder {
            Some((_, kinds)) => {
                let one = &kinds[part].features;
                one.try_map(|one| room(one, self.rows(part)))
            }
            None => Ok(Tensors::new()),
        };
        let empty = |part| Ok((features(part)?, Tensors::new()));
        let mut parts: Vec<(Tensors, Tensors)> =
            (0..self.parts.len()).map(empty).collect::<Result<_>>()?;
        let mut filled = vec![0; parts.len()];
        let rows: usize = (0..parts.len()).map(|part| self.rows(part)).sum();
        let mut digest = Sha256::new();
        let mut done = 0;
        let requests = self.requests();
        let order: Vec<usize> = requests.iter().map(|(part, _)| *part).collect();
        let requests = requests.into_iter().map(|(_, request)| request);
        let _guard = tch::no_grad_guard();
        let body = |batches: &mut crate::loader::Batches<'_>| -> Result<()> {
            for part in order {
                if pass.stop.load(Ordering::Relaxed) {
                    return Err(TrainError::Interrupted);
                }
                let batch = batches.next()?;
                let count = batch.inputs.iter().next();
                let count = count.map_or(0, |(_, tensor)| tensor.size()[0]);
                for (_, tensor) in batch.inputs.iter().chain(batch.targets.iter()) {
                    digest.update(raw_bytes(tensor)?);
                }
                let (features, targets) = &mut parts[part];
                if targets.is_empty() {
                    *targets = batch.targets.try_map(|one| room(one, self.rows(part)))?;
                }
                place(&batch.targets, targets, filled[part], count)?;
                if let Some((encoder, _)) = encoder {
                    place(
                        &encoder.encode(&batch.inputs)?,
                        features,
                        filled[part],
                        count,
                    )?;
                }
                filled[part] += count as u64;
                done += count as u64;
                (pass.watch)(done, rows as u64);
            }
            Ok(())
        };
        with_batches(task, Device::Cpu, pass.loading, requests, body)?;
        Ok(Filled {
            parts,
            digest: digest.finalize().to_vec(),
        })
    }
}

fn request(split: Split, indices: Vec<u64>, view: Option<u32>) -> BatchRequest {
    BatchRequest {
        view,
        ..BatchRequest::new(split, indices)
    }
}

/// Copies tensors into the rows from `first` on of others of the same names.
fn place(from: &Tensors, into: &Tensors, first: u64, count: i64) -> Result<()> {
    for (name, tensor) in from.iter() {
        let target = into.get(name).map_err(|error| TrainError::Features {
            why: error.to_string(),
        })?;
        let mut rows = target.f_narrow(0, first as i64, count)?;
        if rows.size() != tensor.size() || rows.kind() != tensor.kind() {
            let (found, expected) = (tensor.size(), rows.size());
            return Err(TrainError::Features {
                why: format!(
                    "'{name}' has shape {found:?} where {expected:?} was expected from the first sample"
                ),
            });
        }
        rows.f_copy_(tensor)?;
    }
    Ok(())
}

/// Batches one behind the other.
fn joined(batches: &[Batch]) -> Result<Batch> {
    let join = |of: fn(&Batch) -> &Tensors| -> Result<Tensors> {
        let first = batches.first().map(of);
        let names = first.into_iter().flat_map(Tensors::names);
        let join = |name: &str| {
            let parts = batches.iter().map(|batch| of(batch).get(name));
            let parts: Result<Vec<&Tensor>, _> = parts.collect();
            let parts = parts.map_err(|error| TrainError::Features {
                why: error.to_string(),
            })?;
            Ok((name.to_owned(), Tensor::f_cat(&parts, 0)?))
        };
        names.map(join).collect()
    };
    Ok(Batch {
        inputs: join(|batch| &batch.inputs)?,
        targets: join(|batch| &batch.targets)?,
    })
}

fn widened(halves: &Tensors) -> Result<Tensors> {
    Ok(halves.try_map(|tensor| tensor.f_to_kind(Kind::Float))?)
}

fn bytes(tensors: &Tensors) -> usize {
    let each = tensors.iter().map(|(_, tensor)| tensor);
    each.map(|tensor| tensor.numel() * tensor.kind().elt_size_in_bytes())
        .sum()
}

fn raw_bytes(tensor: &Tensor) -> Result<Vec<u8>> {
    let plain = tensor.f_contiguous()?;
    let mut bytes = vec![0; plain.numel() * plain.kind().elt_size_in_bytes()];
    plain.f_copy_data_u8(&mut bytes, plain.numel())?;
    Ok(bytes)
}

/// Removes the files that were not used for longest until the others hold at most so many bytes.
fn forget_old(folder: &Path, most: u64) -> std::io::Result<()> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let (path, about) = entry.and_then(|entry| Ok((entry.path(), entry.metadata()?)))?;
        if path.extension().is_some_and(|ext| ext == "safetensors") {
            files.push((about.modified()?, about.len(), path));
        }
    }
    files.sort_by_key(|(used, ..)| std::cmp::Reverse(*used));
    let mut total = 0;
    for (_, size, path) in files {
        total += size;
        if total > most {
            fs::remove_file(path)?;
        }
    }
    Ok(())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_not_used_for_longest_are_removed() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str| folder.path().join(name);
        for (age, name) in ["new.safetensors", "old.safetensors", "older.safetensors"]
            .iter()
            .enumerate()
        {
            fs::write(file(name), [0; 10]).unwrap();
            let used = SystemTime::now() - std::time::Duration::from_secs(100 * age as u64);
            let open = fs::File::options().write(true).open(file(name)).unwrap();
            open.set_modified(used).unwrap();
        }
        fs::write(file("other.txt"), [0; 100]).unwrap();
        forget_old(folder.path(), 25).unwrap();
        let left = |name: &str| file(name).exists();
        assert!(left("new.safetensors") && left("old.safetensors") && left("other.txt"));
        assert!(!left("older.safetensors"));
    }

    #[test]
    fn what_does_not_fit_the_first_sample_is_named() {
        let tensors = |size: &[i64]| {
            Tensors::new().with("map", Tensor::zeros(size, (Kind::Half, Device::Cpu)))
        };
        let table = tensors(&[4, 2, 3]);
        place(&tensors(&[2, 2, 3]), &table, 2, 2).unwrap();
        let error = place(&tensors(&[2, 2, 4]), &table, 0, 2).unwrap_err();
        assert!(error.to_string().contains("[2, 2, 4]"), "{error}");
    }

    #[test]
    fn bytes_are_those_of_the_values() {
        let tensor = Tensor::from_slice(&[1.5f32, -2.0]);
        let expected: Vec<u8> = [1.5f32, -2.0]
            .iter()
            .flat_map(|v| v.to_ne_bytes())
            .collect();
        assert_eq!(raw_bytes(&tensor).unwrap(), expected);
    }
}
