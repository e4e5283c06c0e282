//! A task, a network and metrics, composed from whatever plugins offer them.

use crate::alike::alike;
use crate::branches::{branch_loss, conventions, fixed_text, reference_texts, signatures};
use crate::draw::{Picture, Sample, pictures};
use crate::features::{Caching, Features, Feed, Pass};
use crate::loader::{Loading, Loads, with_batches};
use crate::network::{Compute, Network};
use crate::plugin::{Plugin, Registry, RemoteMetric, RemoteScreeningMetric, RemoteTask, Trouble};
use crate::retrain::Retraining;
use crate::scale::{Scales, Scaling};
use crate::screen::fault;
use crate::trainer::{BranchLoss, Ending, Step, Trained, Training};
use crate::{Result, TaskScreener, TrainError, runtime};
use autoloss_graph::{BranchName, Convention, Limits, LossGraph, Signature};
use autoloss_plugin_api::{
    BatchRequest, BranchInfo, MetricInfo, MetricOptions, NetworkInfo, NetworkOptions, Scores,
    ScreeningMetricInfo, Split, TaskInfo, TaskOptions,
};
use autoloss_search::{
    BranchSpec, Contender, Evaluation, Evaluator, Fault, FinalTable, Job, Outcome, ScreeningConfig,
    TaskSpec, TrainingBudget,
};
use autoloss_spec::UnknownName;
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tch::Device;

/// Most samples of an evaluation batch, and most bytes of its inputs: photographs may be large, and a
/// network's predictions are larger. Fixed: they bound memory.
const EVALUATION_BATCH: usize = 32;
const EVALUATION_BYTES: usize = 32 << 20;
/// Work that would be done sooner than this is done where an end is asked for.
const PATIENCE: Duration = Duration::from_secs(5);

/// What the user chose; what is absent takes the task's default.
#[derive(Clone, Debug, Default)]
pub struct Choice {
    /// Name of the task.
    pub task: Option<String>,
    /// Name of the network.
    pub network: Option<String>,
    /// Name of the score to raise.
    pub score: Option<String>,
    /// How the data is opened.
    pub options: TaskOptions,
    /// Pretrained weights.
    pub weights: Option<PathBuf>,
    /// Branches that are not searched, each with its loss: the name of a reference loss, or a text as
    /// [`Workbench::losses`] reads it.
    pub fixed: BTreeMap<String, String>,
    /// Settings of the network alone.
    pub network_settings: BTreeMap<String, serde_json::Value>,
    /// Threads that load batches; none takes what suits the device.
    pub loaders: Option<usize>,
    /// Where the features of a network's frozen part are kept.
    pub caching: Caching,
    /// How losses are scaled; absent: they are trained as they are.
    pub scaling: Option<Scaling>,
}

/// Trains networks and scores them.
pub struct Workbench {
    registry: Registry,
    task: RemoteTask,
    plugin: Arc<Plugin>,
    options: TaskOptions,
    info: TaskInfo,
    network: (Arc<Plugin>, NetworkInfo),
    metrics: Vec<(Arc<Plugin>, MetricInfo)>,
    score: String,
    signatures: BTreeMap<BranchName, Signature>,
    fixed: BTreeMap<String, String>,
    weights: Option<PathBuf>,
    network_settings: BTreeMap<String, serde_json::Value>,
    device: Device,
    loading: Loading,
    /// What the network's frozen part makes of the samples, if it has one.
    features: Option<Features>,
    /// What constant predictions score, by split and number of samples.
    constants: Mutex<BTreeMap<(Split, usize), Vec<f64>>>,
    /// How many samples are scored at once with a sample of a split.
    at_once: Mutex<BTreeMap<(Split, u64), usize>>,
    limits: Limits,
    scales: Option<Scales>,
    stop: Arc<AtomicBool>,
}

/// A training that was run for a job.
pub struct Trial {
    /// How the training ended.
    pub trained: Trained,
    /// Network and scores; absent where the training became invalid or was pruned.
    pub scored: Option<(Network, Scores)>,
    /// The target score at the pruning rule's step, where one was taken.
    pub pruning_score: Option<f64>,
    /// Seconds of training.
    pub train_seconds: f64,
    /// Seconds of evaluation.
    pub eval_seconds: f64,
}

impl Workbench {
    /// Opens the chosen task. `stop` is polled between steps.
    ///
    /// # Errors
    /// A name nobody offers, or whatever the plugins say.
    pub fn open(
        registry: Registry,
        choice: &Choice,
        device: Device,
        limits: Limits,
        stop: Arc<AtomicBool>,
    ) -> Result<Self> {
        let (plugin, mut info) = registry.task(choice.task.as_deref())?;
        let signatures = signatures(&info)?;
        let named = choice.network.as_deref();
        let chosen = registry.choose_network(&info, named, choice.weights.as_deref())?;
        let (network, weights) = ((chosen.plugin, chosen.info), chosen.weights);
        let mut metrics = registry.metrics(&info.name);
        if metrics.is_empty() {
            return Err(TrainError::NoMetric {
                kind: "metric",
                task: info.name,
                macro_name: "register_metric",
            });
        }
        let score = choice
            .score
            .clone()
            .unwrap_or_else(|| info.default_score.clone());
        let scores = || {
            metrics
                .iter()
                .flat_map(|(_, metric)| metric.scores.iter().cloned())
        };
        if !scores().any(|known| known == score) {
            return Err(UnknownName::new("score", &score, scores()).into());
        }
        // The metric of the raised score leads in every table.
        metrics.sort_by_key(|(_, metric)| !metric.scores.contains(&score));
        let task = RemoteTask::open(&plugin, &info.name, &choice.options)?;
        info.attributes.extend(task.attributes()?);
        for remark in task.remarks()?.into_iter().chain(chosen.remark) {
            tracing::warn!("{remark}");
        }
        let loading = choice
            .loaders
            .map_or_else(|| Loading::for_device(device), Loading::with_threads);
        let fixed = choice.fixed.iter().map(|(branch, loss)| {
            let text = fixed_text(&info, branch, loss)?;
            Ok((branch.clone(), text))
        });
        let fixed: BTreeMap<String, String> = fixed.collect::<Result<_>>()?;
        for (name, signature) in &signatures {
            if let Some(text) = fixed.get(name.as_str()) {
                branch_loss(name.as_str(), text, signature, &limits)?;
            }
        }
        let compute = Compute::new(&TrainingBudget::default(), device);
        let features = network.1.frozen_features.then(|| {
            let options = NetworkOptions {
                task: info.clone(),
                device: runtime::device_name(device),
                seed: 0,
                weights: weights.clone(),
                settings: choice.network_settings.clone().into(),
            };
            Features::new(&network, options, compute, choice.caching.clone())
        });
        Ok(Self {
            features,
            constants: Mutex::default(),
            at_once: Mutex::default(),
            registry,
            task,
            plugin,
            options: choice.options.clone(),
            info,
            network,
            metrics,
            score,
            signatures,
            fixed,
            weights,
            network_settings: choice.network_settings.clone(),
            device,
            loading,
            limits,
            scales: choice.scaling.clone().map(Scales::new),
            stop,
        })
    }

    /// Opens the task once more, in the place of one that was lost.
    fn reopen(&mut self) -> Result<()> {
        self.task = RemoteTask::open(&self.plugin, &self.info.name, &self.options)?;
        Ok(())
    }

    /// What the task offers.
    pub fn info(&self) -> &TaskInfo {
        &self.info
    }

    /// The chosen network.
    pub fn network(&self) -> &NetworkInfo {
        &self.network.1
    }

    /// The score that is raised.
    pub fn score(&self) -> &str {
        &self.score
    }

    /// Every score of the task, in the order the metrics list them.
    pub fn scores(&self) -> Vec<String> {
        self.metrics
            .iter()
            .flat_map(|(_, metric)| metric.scores.iter().cloned())
            .collect()
    }

    /// The loaded plugins.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// The inputs of each branch's loss.
    pub fn signatures(&self) -> &BTreeMap<BranchName, Signature> {
        &self.signatures
    }

    /// The branches that are searched, in the order in which they are screened.
    pub fn searched(&self) -> impl Iterator<Item = &BranchInfo> {
        let branches = self.info.branches.iter();
        branches.filter(|branch| !self.fixed.contains_key(&branch.name))
    }

    /// The losses of the others, as [`Workbench::losses`] reads them.
    pub fn fixed(&self) -> &BTreeMap<String, String> {
        &self.fixed
    }

    /// The task as the search sees it.
    ///
    /// # Errors
    /// [`TrainError::NothingSearched`], or a branch name that cannot be.
    pub fn spec(&self) -> Result<TaskSpec> {
        if self.searched().next().is_none() {
            return Err(TrainError::NothingSearched);
        }
        let branches = self.searched().map(|branch| {
            let found = self
                .signatures
                .iter()
                .find(|(name, _)| name.as_str() == branch.name);
            let (name, signature) =
                found.ok_or_else(|| TrainError::MissingLoss(branch.name.clone()))?;
            Ok(BranchSpec {
                name: name.clone(),
                signature: signature.clone(),
                scaled: self.reference_formula(&branch.name).is_some(),
            })
        });
        Ok(TaskSpec {
            task: self.info.name.clone(),
            network: self.network.1.name.clone(),
            branches: branches.collect::<Result<_>>()?,
            conventions: self.conventions(),
        })
    }

    pub(crate) fn task(&self) -> &RemoteTask {
        &self.task
    }

    /// What loss files say of the branches.
    pub fn conventions(&self) -> BTreeMap<String, Convention> {
        conventions(&self.info, &self.signatures)
    }

    /// Writes the opened data into a new folder and returns what the task says of it.
    ///
    /// # Errors
    /// Whatever the plugin says.
    pub fn write_data(&self, to: &Path) -> Result<String> {
        Ok(self.task.write_data(to)?)
    }

    /// Number of samples of a split, at least 1.
    ///
    /// # Errors
    /// A split without any, or whatever the plugin says.
    pub fn len(&self, split: Split) -> Result<u64> {
        Ok(self.task.len(split)?)
    }

    /// A screener on samples of this task, whose probes tell so many projections of their gradients.
    ///
    /// # Errors
    /// A screening score that no metric offers, or whatever the plugins say.
    pub fn screener(
        &self,
        config: &ScreeningConfig,
        sketched: usize,
        seed: u64,
    ) -> Result<TaskScreener> {
        let metrics = self.registry.screening_metrics(&self.info.name);
        let metric = |score: &str| {
            let offers = |metric: &ScreeningMetricInfo| metric.scores.iter().any(|s| s == score);
            let found = metrics.iter().find(|(_, metric)| offers(metric));
            let (plugin, metric) = found.ok_or_else(|| {
                let known = metrics.iter().flat_map(|(_, metric)| metric.scores.clone());
                UnknownName::new("screening score", score, known)
            })?;
            let options = self.metric_options();
            Ok(RemoteScreeningMetric::create(
                plugin,
                &metric.name,
                options,
            )?)
        };
        let branches: Vec<BranchInfo> = self.searched().cloned().collect();
        TaskScreener::new(&self.task, &branches, metric, config, sketched, seed)
    }

    /// The losses of a request: text forms, or `@NAME` for a reference loss the task computes. Branches
    /// that are not searched keep their own.
    ///
    /// # Errors
    /// A branch without a loss, or a text that cannot be read.
    pub fn losses(&self, texts: &BTreeMap<String, String>) -> Result<BTreeMap<String, BranchLoss>> {
        let loss = |(name, signature): (&BranchName, &Signature)| {
            let branch = name.as_str().to_owned();
            let text = self.fixed.get(&branch).or_else(|| texts.get(&branch));
            let text = text.ok_or_else(|| TrainError::MissingLoss(branch.clone()))?;
            let mut loss = branch_loss(&branch, text, signature, &self.limits)?;
            if let BranchLoss::Graph(graph, scale) = &mut loss {
                *scale = self.scale(&branch, graph, text)?;
            }
            Ok((branch, loss))
        };
        self.signatures.iter().map(loss).collect()
    }

    /// What the losses of a request are multiplied by in training, by branch; without those that are trained as they
    /// are.
    ///
    /// # Errors
    /// As [`Workbench::losses`].
    pub fn scales(&self, texts: &BTreeMap<String, String>) -> Result<BTreeMap<String, f64>> {
        let scale = |(branch, loss): (String, BranchLoss)| match loss {
            BranchLoss::Graph(_, scale) => Some((branch, scale)).filter(|_| scale != 1.0),
            BranchLoss::Reference(_) => None,
        };
        Ok(self.losses(texts)?.into_iter().filter_map(scale).collect())
    }

    fn scale(&self, branch: &str, graph: &LossGraph, text: &str) -> Result<f64> {
        let place = self.searched().position(|searched| searched.name == branch);
        let (Some(scales), Some(place)) = (&self.scales, place) else {
            return Ok(1.0);
        };
        if self.reference_formula(branch) == Some(text) {
            return Ok(1.0);
        }
        scales.of(place, graph, text, |scaling| {
            let screener = self.screener(&scaling.screening, 0, scaling.seed)?;
            let reference = |branch: &BranchInfo| {
                let text = self.reference_formula(&branch.name)?;
                let mut signatures = self.signatures.iter();
                let (_, signature) = signatures.find(|(name, _)| name.as_str() == branch.name)?;
                LossGraph::parse(text, signature, &self.limits).ok()
            };
            Ok((screener, self.searched().map(reference).collect()))
        })
    }

    /// The formula of the first reference loss that has one for a branch.
    fn reference_formula(&self, branch: &str) -> Option<&str> {
        let mut references = self.info.reference_losses.iter();
        references.find_map(|loss| Some(loss.formulas.get(branch)?.as_str()))
    }

    /// The texts of a reference loss, as [`Workbench::losses`] reads them.
    ///
    /// # Errors
    /// [`TrainError::Unknown`].
    pub fn reference(&self, name: &str) -> Result<BTreeMap<String, String>> {
        let mut texts = reference_texts(&self.info, name).ok_or_else(|| {
            let known = self.info.reference_losses.iter();
            let names = known.map(|loss| loss.name.clone());
            UnknownName::new("reference loss", name, names)
        })?;
        texts.extend(self.fixed.clone());
        // The rest has to be said otherwise.
        let mut branches = self.signatures.keys().map(BranchName::as_str);
        match branches.find(|branch| !texts.contains_key(*branch)) {
            Some(open) => Err(TrainError::MissingLoss(open.to_owned())),
            None => Ok(texts),
        }
    }

    /// What a chosen loss is compared with on the test split: the task's first reference loss for all
    /// branches, and the median random loss of the search, where there is one.
    ///
    /// # Errors
    /// As [`Workbench::reference`].
    pub fn final_table(
        &self,
        references: usize,
        median_random: Option<BTreeMap<String, String>>,
    ) -> Result<FinalTable> {
        let mut others = self.whole_references(references)?;
        if let Some(mut losses) = median_random {
            losses.extend(self.fixed.clone());
            others.push(Contender {
                name: "median random".into(),
                losses,
            });
        }
        Ok(FinalTable {
            split: Split::Test.name().to_owned(),
            score: self.score.clone(),
            found: "found".into(),
            fixed: self.fixed.clone(),
            others,
            ..FinalTable::default()
        })
    }

    /// The first of the task's reference losses that are for all branches together, without those that fixed
    /// branches make equal.
    ///
    /// # Errors
    /// As [`Workbench::reference`].
    pub fn whole_references(&self, most: usize) -> Result<Vec<Contender>> {
        let mut contenders: Vec<Contender> = Vec::new();
        let references = self.info.reference_losses.iter();
        for loss in references.filter(|loss| loss.only.is_empty()) {
            let losses = self.reference(&loss.name)?;
            if contenders.len() < most && contenders.iter().all(|known| known.losses != losses) {
                contenders.push(Contender {
                    name: loss.title.clone(),
                    losses,
                });
            }
        }
        Ok(contenders)
    }

    /// A fresh network that computes as the budget says.
    ///
    /// # Errors
    /// Whatever plugins or libtorch say.
    pub fn build(&self, budget: &TrainingBudget, seed: u64) -> Result<Network> {
        let options = NetworkOptions {
            task: self.info.clone(),
            device: runtime::device_name(self.device),
            seed,
            weights: self.weights.clone(),
            settings: self.network_settings.clone().into(),
        };
        let (plugin, info) = &self.network;
        Network::build(
            plugin,
            &info.name,
            options,
            Compute::new(budget, self.device),
        )
    }

    /// Looks at the samples of splits before they are used and prints what the user should know of them.
    ///
    /// # Errors
    /// Why a split cannot be trained on or scored.
    pub fn check(&self, splits: &[Split]) -> Result<()> {
        for &split in splits {
            for remark in self.task.check(split)? {
                tracing::warn!("{remark}");
            }
        }
        Ok(())
    }

    /// The files that a split's samples come from; empty where the task does not say.
    ///
    /// # Errors
    /// Whatever the plugin says.
    pub fn files(&self, split: Split) -> Result<Vec<PathBuf>> {
        Ok(self.task.files(split)?)
    }

    /// Computes what the network's frozen part makes of the samples of some splits, where it has one
    /// and that was not done before; trainings otherwise do it when they first need it. `watch` is told
    /// samples done and samples in all of a split. The bytes that are kept in all; none without a frozen
    /// part.
    ///
    /// # Errors
    /// Whatever plugins or libtorch say, or [`TrainError::Interrupted`].
    pub fn prepare(
        &self,
        splits: &[Split],
        watch: &mut dyn FnMut(Split, u64, u64),
    ) -> Result<Option<usize>> {
        let Some(features) = &self.features else {
            return Ok(None);
        };
        for &split in splits {
            let mut pass = Pass {
                loading: self.loading,
                stop: &self.stop,
                watch: &mut |done, of| watch(split, done, of),
            };
            features.prepare(&self.task, split, &mut pass)?;
        }
        Ok(Some(features.bytes()))
    }

    /// Digests of the inputs and targets of the splits that were prepared, where the network has a frozen part; see
    /// [`Caching::verified`].
    #[must_use]
    pub fn prepared(&self) -> BTreeMap<Split, Vec<u8>> {
        let features = self.features.as_ref();
        features.map(Features::prepared).unwrap_or_default()
    }

    fn feed(&self) -> Feed<'_> {
        Feed {
            task: &self.task,
            features: self.features.as_ref(),
        }
    }

    /// Trains a fresh network; `watch` is told every step.
    ///
    /// # Errors
    /// Whatever plugins or libtorch say, or [`TrainError::Interrupted`].
    pub fn train(
        &self,
        losses: &BTreeMap<String, BranchLoss>,
        budget: &TrainingBudget,
        seed: u64,
        stop_invalid: bool,
        watch: &mut dyn FnMut(Step),
    ) -> Result<(Network, Trained)> {
        let mut watch = |step, _: &Network| {
            watch(step);
            Ok(ControlFlow::Continue(()))
        };
        self.train_until(losses, budget, seed, stop_invalid, &mut watch)
    }

    /// Trains a fresh network; `watch` sees it after every step, and may end the training.
    fn train_until(
        &self,
        losses: &BTreeMap<String, BranchLoss>,
        budget: &TrainingBudget,
        seed: u64,
        stop_invalid: bool,
        watch: &mut dyn FnMut(Step, &Network) -> Result<ControlFlow<()>>,
    ) -> Result<(Network, Trained)> {
        self.prepare(&[Split::Train], &mut |_, _, _| ())?;
        let network = self.build(budget, seed)?;
        let training = self.training(&network, losses, budget, seed, stop_invalid);
        let mut optimizer = training.optimizer()?;
        let trained = training.run_from(0, &mut optimizer, &mut |step, _| watch(step, &network))?;
        Ok((network, trained))
    }

    pub(crate) fn training<'a>(
        &'a self,
        network: &'a Network,
        losses: &'a BTreeMap<String, BranchLoss>,
        budget: &'a TrainingBudget,
        seed: u64,
        stop_invalid: bool,
    ) -> Training<'a> {
        Training {
            feed: self.feed(),
            network,
            branches: &self.info.branches,
            losses,
            budget,
            seed,
            stop_invalid,
            loading: self.loading,
            ending: self.ending(),
        }
    }

    /// A training or scoring that is nearly done when an end is asked for is done: the next session need not repeat
    /// it.
    fn ending(&self) -> Ending<'_> {
        Ending {
            stop: &self.stop,
            patience: PATIENCE,
        }
    }

    /// Every score of the task on the first `images` samples of a split (0: all of them).
    ///
    /// # Errors
    /// Whatever plugins or libtorch say, or [`TrainError::Interrupted`].
    pub fn scores_on(&self, network: &Network, split: Split, images: usize) -> Result<Scores> {
        self.scores_by(&self.metrics, network, split, images)
    }

    /// The target score, as [`scores_on`](Self::scores_on) takes it, without the others; none where
    /// no metric computes it.
    ///
    /// # Errors
    /// As [`scores_on`](Self::scores_on).
    fn score_of(&self, network: &Network, split: Split, images: usize) -> Result<Option<f64>> {
        let computes = |metric: &&(Arc<Plugin>, MetricInfo)| metric.1.scores.contains(&self.score);
        let metrics: Vec<_> = self.metrics.iter().filter(computes).cloned().collect();
        let scores = self.scores_by(&metrics, network, split, images)?;
        Ok(scores.get(&self.score).copied())
    }

    /// The target score on the first `images` samples of a split of each of the task's constant predictions;
    /// computed once.
    ///
    /// # Errors
    /// As [`scores_on`](Self::scores_on).
    pub fn constant_scores(&self, split: Split, images: usize) -> Result<Vec<f64>> {
        if let Some(known) = lock(&self.constants).get(&(split, images)) {
            return Ok(known.clone());
        }
        let computes = |metric: &&(Arc<Plugin>, MetricInfo)| metric.1.scores.contains(&self.score);
        let Some((plugin, info)) = self.metrics.iter().find(computes) else {
            return Ok(Vec::new());
        };
        let _guard = tch::no_grad_guard();
        let mut metrics = Vec::new();
        for indices in self.evaluation_batches(split, images)? {
            let batch = self.task.load(BatchRequest::new(split, indices))?;
            let predictions = self.task.constant_predictions(&batch)?;
            for (number, prediction) in predictions.iter().enumerate() {
                if number == metrics.len() {
                    metrics.push(self.create_metric(plugin, info)?);
                }
                metrics[number].update(prediction, &batch.targets)?;
            }
        }
        let mut scores = Vec::new();
        for metric in &metrics {
            scores.extend(metric.compute()?.get(&self.score));
        }
        lock(&self.constants).insert((split, images), scores.clone());
        Ok(scores)
    }

    fn scores_by(
        &self,
        metrics: &[(Arc<Plugin>, MetricInfo)],
        network: &Network,
        split: Split,
        images: usize,
    ) -> Result<Scores> {
        let metrics = metrics
            .iter()
            .map(|(plugin, metric)| self.create_metric(plugin, metric))
            .collect::<Result<Vec<_>>>()?;
        self.prepare(&[split], &mut |_, _, _| ())?;
        let _guard = tch::no_grad_guard();
        let batches = self.evaluation_batches(split, images)?;
        let all = batches.len();
        let requests = batches
            .into_iter()
            .map(|indices| BatchRequest::new(split, indices));
        // Metrics count on the CPU, so that is where targets stay; the network moves its inputs.
        with_batches(
            &self.feed(),
            Device::Cpu,
            self.loading,
            requests,
            |batches| {
                let began = Instant::now();
                for made in 0..all {
                    if made > 0 && self.ending().is_abandoned(began, made, all) {
                        return Err(TrainError::Interrupted);
                    }
                    let batch = batches.next()?;
                    let predictions = network.predict(&batch.inputs)?.to_device(Device::Cpu)?;
                    for metric in &metrics {
                        metric.update(&predictions, &batch.targets)?;
                    }
                }
                Ok(())
            },
        )?;
        let mut scores = Scores::new();
        for metric in &metrics {
            scores.extend(metric.compute()?);
        }
        Ok(scores)
    }

    /// The first `images` samples of a split (0: all of them), those in one batch that are scored at once. A batch holds
    /// samples of one shape.
    fn evaluation_batches(&self, split: Split, images: usize) -> Result<Vec<Vec<u64>>> {
        let len = self.task.len(split)?;
        let count = match images {
            0 => len,
            images => len.min(images as u64),
        };
        let mut batches = Vec::new();
        for part in alike(count, &self.task.shapes(split)?) {
            let size = self.evaluation_batch(split, part[0])?;
            batches.extend(part.chunks(size).map(<[u64]>::to_vec));
        }
        Ok(batches)
    }

    /// How many samples of the shape of this one are scored at once.
    fn evaluation_batch(&self, split: Split, sample: u64) -> Result<usize> {
        if let Some(&known) = lock(&self.at_once).get(&(split, sample)) {
            return Ok(known);
        }
        let one = self.feed().load(BatchRequest::new(split, vec![sample]))?;
        let bytes = |tensor: &tch::Tensor| tensor.numel() * tensor.kind().elt_size_in_bytes();
        let each: usize = one.inputs.iter().map(|(_, tensor)| bytes(tensor)).sum();
        let size = (EVALUATION_BYTES / each.max(1)).clamp(1, EVALUATION_BATCH);
        lock(&self.at_once).insert((split, sample), size);
        Ok(size)
    }

    /// Trains a fresh network as a job says and scores it; `watch` is told every step. A training with checkpoints is
    /// not pruned.
    ///
    /// # Errors
    /// Whatever plugins or libtorch say, or [`TrainError::Interrupted`].
    pub fn run(&self, job: &Job, watch: &mut dyn FnMut(Step)) -> Result<Trial> {
        let split = job.split.parse()?;
        let started = Instant::now();
        let (mut pruning_score, mut scoring) = (None, Duration::ZERO);
        let losses = self.losses(&job.losses)?;
        let mut after = |step: Step, network: &Network| {
            watch(step);
            let Some(rule) = job.pruning else {
                return Ok(ControlFlow::Continue(()));
            };
            let earlier = rule.first == Some(step.done);
            if !earlier && rule.step != step.done {
                return Ok(ControlFlow::Continue(()));
            }
            let started = Instant::now();
            let score = self.score_of(network, split, rule.images)?;
            let constant = match rule.constant {
                true => self.constant_scores(split, rule.images)?,
                false => Vec::new(),
            };
            let constant = constant.into_iter().reduce(f64::max);
            scoring += started.elapsed();
            let prunes = if earlier {
                rule.earlier().prunes(score, constant)
            } else {
                pruning_score = score;
                rule.prunes(score, constant)
            };
            Ok(match prunes {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            })
        };
        let (network, trained) = match &job.checkpoints {
            Some(checkpoints) => {
                let unasked = AtomicBool::new(false);
                let retraining = Retraining {
                    save: &unasked,
                    losses: &losses,
                    budget: &job.budget,
                    seed: job.seed,
                    checkpoints,
                };
                retraining.run(self, &mut |_| (), watch)?
            }
            None => {
                self.train_until(&losses, &job.budget, job.seed, job.stop_invalid, &mut after)?
            }
        };
        let train_seconds = (started.elapsed() - scoring).as_secs_f64();
        let started = Instant::now();
        let ended = trained.invalid_at.is_none() && trained.steps == job.budget.steps;
        let scores = ended.then(|| self.scores_on(&network, split, job.budget.eval_images));
        Ok(Trial {
            scored: scores.transpose()?.map(|scores| (network, scores)),
            trained,
            pruning_score,
            train_seconds,
            eval_seconds: (started.elapsed() + scoring).as_secs_f64(),
        })
    }

    /// What a trial says of the job's losses.
    ///
    /// # Errors
    /// [`TrainError::Undefined`] where the split does not define the target score, which it would for no
    /// other losses either.
    pub fn evaluation(&self, trial: &Trial, job: &Job) -> Result<Evaluation> {
        let trained = &trial.trained;
        let ended = match (&trial.scored, trained.invalid_at) {
            (Some((_, scores)), _) => {
                let target = scores
                    .get(self.score())
                    .ok_or_else(|| TrainError::Undefined {
                        score: self.score().to_owned(),
                        split: job.split.clone(),
                    })?;
                Evaluation::scored(*target, scores.clone())
            }
            (None, Some(step)) => Evaluation::of(Outcome::InvalidTraining { step }),
            (None, None) => Evaluation::of(Outcome::StoppedEarly {
                step: trained.steps.saturating_sub(1),
            }),
        };
        Ok(Evaluation {
            steps: trained.steps,
            train_seconds: trial.train_seconds,
            eval_seconds: trial.eval_seconds,
            waited_seconds: trained.waited_seconds,
            final_loss: trained.final_loss,
            pruning_score: trial.pruning_score,
            worker: None,
            ..ended
        })
    }

    /// What an error of a training means for a search. A task that panicked is opened anew, since its
    /// plugin has given it up.
    pub fn recover(&mut self, error: TrainError) -> Fault {
        if let TrainError::Plugin(lost) = &error
            && lost.trouble == Trouble::Panicked
            && lost.call.starts_with("Task::")
            && let Err(again) = self.reopen()
        {
            return Fault::Fatal(format!("{error}; the task cannot be opened again: {again}"));
        }
        fault(error)
    }

    /// A sample of a split, and pictures of what a network sees of it and of the truth; none where the task
    /// draws none.
    ///
    /// # Errors
    /// Whatever the plugin says.
    pub fn sample(&self, split: Split, index: u64) -> Result<(Sample, Vec<Picture>)> {
        let batch = self.task().load(BatchRequest::new(split, vec![index]))?;
        let drawn = self.task().draw(&batch, None)?;
        Ok((Sample { batch }, pictures(&drawn)?))
    }

    /// Pictures of what a network predicts for a sample.
    ///
    /// # Errors
    /// Whatever plugins or libtorch say.
    pub fn predicted(&self, network: &Network, sample: &Sample) -> Result<Vec<Picture>> {
        let _guard = tch::no_grad_guard();
        let inputs = match &self.features {
            Some(features) => features.of(&sample.batch.inputs)?,
            None => sample.batch.inputs.shallow_clone(),
        };
        let predictions = network.predict(&inputs)?.to_device(Device::Cpu)?;
        pictures(&self.task().draw(&sample.batch, Some(&predictions))?)
    }

    fn create_metric(&self, plugin: &Arc<Plugin>, metric: &MetricInfo) -> Result<RemoteMetric> {
        Ok(RemoteMetric::create(plugin, metric, self.metric_options())?)
    }

    fn metric_options(&self) -> MetricOptions {
        MetricOptions {
            task: self.info.clone(),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Evaluator for Workbench {
    fn evaluate(&mut self, job: &Job) -> Result<Evaluation, Fault> {
        let trial = self.run(job, &mut |_| ());
        trial
            .and_then(|trial| self.evaluation(&trial, job))
            .map_err(|error| self.recover(error))
    }
}
