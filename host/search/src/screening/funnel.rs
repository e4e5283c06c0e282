//! The funnel a candidate falls through before it may cost a proxy training, cheapest test first:
//! structure (0.1 µs), canonical form looked up among those seen (µs), one probe gradient and its
//! key (tens of µs), loss rejection (tens of ms).
//!
//! Branches are screened one by one and each to its end, even behind a branch that failed: what a
//! branch's screen costs is never lost, because a branch that passed is kept for the next proposal
//! and every finding is cached. Two kinds of cache result. *Branch caches* hold what the screens
//! found in one graph, by canonical form and by gradient key. [`Evaluated`] holds whole candidates,
//! again by both; only they have a fitness to share.
//!
//! Canonical forms are looked up by a 64-bit hash: among a million forms a collision has a
//! probability of 3·10⁻⁸ and would cost one candidate.

use std::collections::{HashMap, HashSet};

use autoloss_graph::hash::{FNV_START, fnv1a};
use autoloss_graph::{LossGraph, Signature, StaticReason, static_check};
use autoloss_spec::Optimizer;

use super::answers::Answers;
use super::equivalence::{Direction, GradientKey};
use super::record::{Passed, ScreenRecord};
use super::screener::{Gain, Probe, Work};
use crate::candidate::Proposal;
use crate::config::{EquivalenceConfig, ScreeningConfig, SearchConfig};
use crate::fault::Fault;
use crate::fitness::Fitness;
use crate::id::CandidateId;
use crate::outcome::Outcome;
use crate::task::{BranchSpec, TaskSpec};
use crate::timing::{Stage, StageTimes};

/// A proposal after the tests that need no gradient; they are made once.
#[derive(Clone, Debug)]
pub(crate) struct Tested {
    pub(crate) proposal: Proposal,
    /// Hash of each branch's canonical form, where forms are asked for, or what is wrong with its
    /// structure.
    forms: Vec<Result<Option<u64>, StaticReason>>,
    pub(crate) times: StageTimes,
}

/// Whether a candidate is worth an evaluation.
#[derive(Clone, Debug)]
pub(crate) struct Decision {
    /// How it ended; absent where it has to be evaluated.
    pub(crate) outcome: Option<Outcome>,
    /// The branch that decided; absent where the loss as a whole was looked up.
    pub(crate) branch: Option<usize>,
    /// Bit b: branch b passed.
    pub(crate) passed: u32,
    /// Hash of the canonical forms of all branches.
    pub(crate) canonical: Option<u64>,
    pub(crate) key: Option<GradientKey>,
    /// What was newly cached.
    pub(crate) screens: Vec<ScreenRecord>,
}

/// The funnel with everything it remembers.
#[derive(Debug)]
pub(crate) struct Funnel {
    screening: ScreeningConfig,
    equivalence: EquivalenceConfig,
    /// Whether a positive factor of a branch's loss changes no training.
    pub(crate) any_scale: Vec<bool>,
    signatures: Vec<Signature>,
    caches: Vec<BranchCache>,
    pub(crate) evaluated: Evaluated,
}

#[derive(Clone, Debug)]
struct Cached {
    of: CandidateId,
    found: Result<Passed, Outcome>,
    key: Option<GradientKey>,
}

#[derive(Debug, Default)]
struct BranchCache {
    forms: HashMap<u64, Cached>,
    keys: HashMap<GradientKey, (CandidateId, Result<Passed, Outcome>)>,
}

/// One branch's way through the funnel.
struct Finding {
    found: Result<Passed, Outcome>,
    /// The outcome of the candidate, where an earlier one is shared.
    shared: Option<Outcome>,
    canonical: Option<u64>,
    key: Option<GradientKey>,
}

impl Finding {
    fn fresh(
        found: Result<Passed, Outcome>,
        canonical: Option<u64>,
        key: Option<GradientKey>,
    ) -> Self {
        Self {
            found,
            shared: None,
            canonical,
            key,
        }
    }
}

/// Whether a positive factor of a branch's loss changes no training: it is trained at one scale whatever its factor,
/// or Adam divides the factor out, where no norm is clipped before and no other branch's loss, searched or frozen,
/// is added to it.
fn scale_is_free(config: &SearchConfig, task: &TaskSpec, branch: &BranchSpec) -> bool {
    let budget = &config.proxy.budget;
    let adam = budget.optimizer == Optimizer::Adam && budget.clip_norm.is_none();
    let alone = task.branches.len() == 1 && task.conventions.len() <= 1;
    (config.normalised && branch.scaled) || (adam && alone)
}

impl Funnel {
    pub(crate) fn new(config: &SearchConfig, task: &TaskSpec) -> Self {
        Self {
            screening: config.screening.clone(),
            equivalence: config.equivalence.clone(),
            any_scale: task
                .branches
                .iter()
                .map(|branch| scale_is_free(config, task, branch))
                .collect(),
            signatures: task.branches.iter().map(|b| b.signature.clone()).collect(),
            caches: task
                .branches
                .iter()
                .map(|_| BranchCache::default())
                .collect(),
            evaluated: Evaluated::within(&config.equivalence),
        }
    }

    /// What losses with this probe have in common.
    pub(crate) fn key_of(&self, branch: usize, probe: &Probe) -> Option<GradientKey> {
        GradientKey::new(probe, &self.equivalence, self.any_scale[branch])
    }

    /// Makes the tests that need no gradient: structure and canonical form of each branch's graph.
    pub(crate) fn test(&self, proposal: Proposal, mut times: StageTimes) -> Tested {
        let signatures = self.signatures.iter().enumerate();
        let graphs = signatures.zip(&proposal.graphs);
        let form = |((branch, signature), graph): ((usize, &Signature), &LossGraph)| {
            if self.screening.static_checks && !proposal.knows(branch) {
                times.measure(Stage::Static, || static_check(graph, signature))?;
            }
            let form = || graph.training_form(signature).structural_hash();
            let wanted = self.screening.duplicates;
            Ok(wanted.then(|| times.measure(Stage::Canonical, form)))
        };
        let forms = graphs.map(form).collect();
        Tested {
            proposal,
            forms,
            times,
        }
    }

    /// Screens a candidate; one that is new counts as evaluated from now on.
    ///
    /// A screen that failed is an outcome; other faults are returned.
    pub(crate) fn screen(
        &mut self,
        tested: &mut Tested,
        answers: &mut Answers<'_>,
    ) -> Result<Decision, Fault> {
        let (mut rejected, mut passed) = (None, 0u32);
        let mut screens = Vec::new();
        let mut findings = Vec::with_capacity(tested.forms.len());
        for branch in 0..tested.forms.len() {
            let (finding, screen) = match self.screen_branch(tested, branch, answers) {
                Err(Fault::Failed(reason)) => {
                    let failed = Err(Outcome::Failed { reason });
                    (Finding::fresh(failed, None, None), None)
                }
                other => other?,
            };
            screens.extend(screen);
            match &finding.found {
                Ok(_) => passed |= 1 << branch,
                Err(outcome) if rejected.is_none() => {
                    let outcome = finding.shared.as_ref().unwrap_or(outcome);
                    rejected = Some((outcome.clone(), branch));
                }
                Err(_) => {}
            }
            findings.push(finding);
        }
        let canonical = join_hashes(&findings);
        let key = join_keys(&findings);
        let (outcome, branch) = match rejected {
            Some((outcome, branch)) => (Some(outcome), Some(branch)),
            None => {
                let id = tested.proposal.id;
                (self.evaluated.look_up(id, canonical, key.as_ref()), None)
            }
        };
        Ok(Decision {
            outcome,
            branch,
            passed,
            canonical,
            key,
            screens,
        })
    }

    /// The graphs among proposals to come that will have to be probed, as far as can be known now.
    pub(crate) fn fresh<'a>(&self, proposals: impl IntoIterator<Item = &'a Tested>) -> Vec<Work> {
        let mut fresh = Vec::new();
        if !self.equivalence.enabled && !self.screening.probe {
            return fresh;
        }
        let mut forms = HashSet::new();
        for tested in proposals {
            for (branch, form) in tested.forms.iter().enumerate() {
                let Ok(form) = form else {
                    continue;
                };
                let met = form.is_some_and(|form| {
                    self.caches[branch].forms.contains_key(&form) || !forms.insert((branch, form))
                });
                if !met {
                    let graph = tested.proposal.graphs[branch].clone();
                    fresh.push(Work { branch, graph });
                }
            }
        }
        fresh
    }

    /// Tells of one probe after the other whether its graph goes on to the loss-rejection protocol.
    pub(crate) fn goes_on(&self) -> impl FnMut(&Work, &Probe) -> bool {
        let mut keys = HashSet::new();
        move |work, probe| {
            if !self.screening.lrp || (self.screening.probe && degenerate(probe).is_some()) {
                return false;
            }
            if !self.equivalence.enabled {
                return true;
            }
            let Some(key) = self.key_of(work.branch, probe) else {
                return true;
            };
            !self.caches[work.branch].keys.contains_key(&key) && keys.insert((work.branch, key))
        }
    }

    fn screen_branch(
        &mut self,
        tested: &mut Tested,
        branch: usize,
        answers: &mut Answers<'_>,
    ) -> Result<(Finding, Option<ScreenRecord>), Fault> {
        let canonical = match tested.forms[branch] {
            Ok(canonical) => canonical,
            Err(reason) => {
                let reason = reason.as_str().to_owned();
                let found = Err(Outcome::Static { reason });
                return Ok((Finding::fresh(found, None, None), None));
            }
        };
        if let Some(cached) = canonical.and_then(|hash| self.caches[branch].forms.get(&hash)) {
            let finding = Finding {
                found: cached.found.clone(),
                shared: Some(Outcome::Duplicate { of: cached.of }),
                canonical,
                key: cached.key.clone(),
            };
            return Ok((finding, None));
        }
        let proposal = &tested.proposal;
        let work = Work {
            branch,
            graph: proposal.graphs[branch].clone(),
        };
        let known = proposal.knows(branch);
        let finding = self.examine(&work, canonical, known, answers, &mut tested.times)?;
        let of = finding.shared.as_ref().and_then(Outcome::of);
        let screen = ScreenRecord {
            of: of.unwrap_or(tested.proposal.id),
            branch,
            canonical,
            key: finding.key.clone(),
            found: finding.found.clone(),
        };
        let screen = self.remember(&screen).then_some(screen);
        Ok((finding, screen))
    }

    /// Probe, gradient key and loss rejection of a graph that is new.
    fn examine(
        &self,
        work: &Work,
        canonical: Option<u64>,
        known: bool,
        answers: &mut Answers<'_>,
        times: &mut StageTimes,
    ) -> Result<Finding, Fault> {
        let mut key = None;
        if self.equivalence.enabled || (self.screening.probe && !known) {
            let probe = answers.probe(work, times)?;
            check_shape(&probe)?;
            if self.screening.probe
                && !known
                && let Some(outcome) = degenerate(&probe)
            {
                return Ok(Finding::fresh(Err(outcome), canonical, None));
            }
            if self.equivalence.enabled {
                key = self.key_of(work.branch, &probe);
            }
        }
        if let Some((of, found)) = key
            .as_ref()
            .and_then(|k| self.caches[work.branch].keys.get(k))
        {
            return Ok(Finding {
                found: found.clone(),
                shared: Some(Outcome::Equivalent { of: *of }),
                canonical,
                key,
            });
        }
        let found = if self.screening.lrp && !known {
            self.accept(answers.reject(work, times)?)
        } else {
            Ok(Passed { gain: None })
        };
        Ok(Finding::fresh(found, canonical, key))
    }

    fn accept(&self, Gain { gain, steps, .. }: Gain) -> Result<Passed, Outcome> {
        if !gain.is_finite() {
            // A metric without a value on these predictions cannot vouch for them.
            return Err(Outcome::NonFinite { step: Some(steps) });
        }
        match self.screening.accepts(gain) {
            true => Ok(Passed { gain: Some(gain) }),
            false => Err(Outcome::Rejected { gain }),
        }
    }

    /// Caches a finding; the first one under a form or a key stays. Whether anything was new.
    pub(crate) fn remember(&mut self, screen: &ScreenRecord) -> bool {
        let Some(cache) = self.caches.get_mut(screen.branch) else {
            return false;
        };
        let mut new = false;
        if let Some(hash) = screen.canonical {
            cache.forms.entry(hash).or_insert_with(|| {
                new = true;
                Cached {
                    of: screen.of,
                    found: screen.found.clone(),
                    key: screen.key.clone(),
                }
            });
        }
        if let Some(key) = &screen.key
            && !cache.keys.contains_key(key)
        {
            new = true;
            let value = (screen.of, screen.found.clone());
            cache.keys.insert(key.clone(), value);
        }
        new
    }
}

fn check_shape(probe: &Probe) -> Result<(), Fault> {
    let samples = probe.norms.len();
    if samples == 0 || probe.losses.len() != samples || probe.alignments.len() != samples {
        return Err(Fault::Fatal(format!(
            "the probe returned {} losses, {samples} norms and {} alignments, which must be as \
             many and at least one",
            probe.losses.len(),
            probe.alignments.len()
        )));
    }
    Ok(())
}

fn degenerate(probe: &Probe) -> Option<Outcome> {
    if !probe.is_finite() {
        Some(Outcome::NonFinite { step: None })
    } else if probe.is_zero() {
        Some(Outcome::ZeroGradient)
    } else {
        None
    }
}

/// The hash of a whole loss: that of its only branch, or an FNV-1a hash of all.
fn join_hashes(findings: &[Finding]) -> Option<u64> {
    if let [only] = findings {
        return only.canonical;
    }
    findings.iter().try_fold(FNV_START, |hash, finding| {
        Some(fnv1a(hash, &finding.canonical?.to_le_bytes()))
    })
}

fn join_keys(findings: &[Finding]) -> Option<GradientKey> {
    let keys: Option<Vec<&GradientKey>> = findings.iter().map(|f| f.key.as_ref()).collect();
    keys.map(GradientKey::join)
}

/// The losses that were evaluated, or are about to be.
#[derive(Debug, Default)]
pub(crate) struct Evaluated {
    forms: HashMap<u64, CandidateId>,
    keys: HashMap<GradientKey, CandidateId>,
    /// What was evaluated itself, with the directions of the gradients.
    directions: Vec<(CandidateId, Direction)>,
    /// Steps of a projection within which two losses are one to the proxy; none where they never are.
    near: Option<f64>,
    /// Width of such a step.
    resolution: f64,
    /// Fitness of every candidate whose evaluation has ended; none where it has no score.
    fitness: HashMap<CandidateId, Option<Fitness>>,
    /// Those whose evaluation could not be run.
    forgotten: HashSet<CandidateId>,
}

impl Evaluated {
    /// Nothing yet.
    fn within(config: &EquivalenceConfig) -> Self {
        let near = config.enabled && config.near > 0.0;
        Self {
            near: near.then(|| config.near / config.resolution),
            resolution: config.resolution,
            ..Self::default()
        }
    }

    /// The evaluated loss with the closest gradient, where it is close enough.
    fn nearest(&self, key: Option<&GradientKey>) -> Option<CandidateId> {
        let (near, direction) = (self.near?, key?.direction()?);
        let known = self.directions.iter();
        let distances = known.filter_map(|(id, known)| Some((known.distance(&direction)?, *id)));
        let nearest = distances.min_by(|a, b| a.0.total_cmp(&b.0));
        nearest
            .filter(|(distance, _)| *distance <= near)
            .map(|(_, id)| id)
    }

    /// How far apart the gradients of two evaluated losses are, as `equivalence.near` measures it; none where the
    /// direction of one is not known.
    pub(crate) fn distance(&self, one: CandidateId, other: CandidateId) -> Option<f64> {
        let direction = |id| {
            let mut known = self.directions.iter();
            known.find_map(|(known, direction)| (*known == id).then_some(direction))
        };
        let steps = direction(one)?.distance(direction(other)?)?;
        Some(steps * self.resolution)
    }

    /// Looks a loss up and, where it is new, notes it. Forms and keys are absent where their
    /// technique is switched off.
    fn look_up(
        &mut self,
        id: CandidateId,
        canonical: Option<u64>,
        key: Option<&GradientKey>,
    ) -> Option<Outcome> {
        if let Some(&of) = canonical.and_then(|hash| self.forms.get(&hash)) {
            return Some(Outcome::Duplicate { of });
        }
        let equivalent = key.and_then(|key| self.keys.get(key)).copied();
        let equivalent = equivalent.map(|of| Outcome::Equivalent { of });
        let near = || self.nearest(key).map(|of| Outcome::Near { of });
        let known = equivalent.or_else(near);
        let of = known.as_ref().and_then(Outcome::of);
        self.note(of.unwrap_or(id), canonical, key);
        if known.is_none() {
            self.add(id, key);
        }
        known
    }

    /// Notes the direction of a loss that is evaluated itself.
    pub(crate) fn add(&mut self, id: CandidateId, key: Option<&GradientKey>) {
        let direction = key.and_then(GradientKey::direction);
        self.directions
            .extend(direction.map(|direction| (id, direction)));
    }

    /// Notes under which form and key an evaluated loss will be met again.
    pub(crate) fn note(
        &mut self,
        of: CandidateId,
        canonical: Option<u64>,
        key: Option<&GradientKey>,
    ) {
        if let Some(hash) = canonical {
            self.forms.entry(hash).or_insert(of);
        }
        if let Some(key) = key
            && !self.keys.contains_key(key)
        {
            self.keys.insert(key.clone(), of);
        }
    }

    /// The evaluation of a candidate has ended.
    pub(crate) fn finish(&mut self, id: CandidateId, fitness: Option<Fitness>) {
        self.fitness.insert(id, fitness);
    }

    /// The evaluation could not be run, which says nothing about the loss: an equivalent one will
    /// be evaluated.
    pub(crate) fn forget(&mut self, id: CandidateId) {
        self.forgotten.insert(id);
        self.forms.retain(|_, of| *of != id);
        self.keys.retain(|_, of| *of != id);
        self.directions.retain(|(of, _)| *of != id);
    }

    /// Whether its evaluation could not be run.
    pub(crate) fn is_forgotten(&self, id: CandidateId) -> bool {
        self.forgotten.contains(&id)
    }

    /// What came of an evaluated candidate: nothing while it is pending, or where it failed.
    pub(crate) fn fitness(&self, id: CandidateId) -> Option<Option<Fitness>> {
        self.fitness.get(&id).copied()
    }
}
