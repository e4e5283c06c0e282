//! The funnel a candidate falls through before it may cost a proxy training, cheapest test first:
//! structure (0.1 µs), canonical form looked up among those seen (µs), one probe gradient and its
//! key (tens of µs), loss rejection (tens of ms).
//!
//! Branches are screened one by one and each to its end, even behind a branch that failed: what a
//! branch's screen costs is never lost, because a branch that passed is kept for the next attempt
//! and every finding is cached. Two kinds of cache result. *Branch caches* hold what the screens
//! found in one graph, by canonical form and by gradient key. The *judged* losses are whole
//! candidates that were evaluated, again by both; only they have a score to share.
//!
//! Canonical forms are looked up by a 64-bit hash: among a million forms a collision has a
//! probability of 3·10⁻⁸ and would cost one candidate.

use std::collections::{HashMap, HashSet};

use autoloss_graph::{LossGraph, Signature, StaticReason, static_check};

use crate::ahead::Source;
use crate::branch_verdict::BranchVerdict;
use crate::config::{EquivalenceConfig, ScreeningConfig, SearchConfig};
use crate::equivalence::GradientKey;
use crate::propose::Draft;
use crate::screening::{BackendError, Probe, Rejection, Work};
use crate::task::TaskSpec;
use crate::timing::{Stage, StageTimes};
use crate::verdict::{CandidateId, Verdict};

/// What the screens found in one branch's graph, as it is cached and stored.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct BranchEntry {
    /// The candidate in which the graph was screened.
    pub(crate) of: CandidateId,
    pub(crate) branch: usize,
    pub(crate) canonical: Option<u64>,
    pub(crate) key: Option<GradientKey>,
    pub(crate) verdict: BranchVerdict,
}

/// Whether a candidate is worth an evaluation.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Decision {
    /// A branch failed.
    Rejected { verdict: Verdict, branch: usize },
    /// An equal or equivalent loss was evaluated, or is about to be.
    Known(Verdict),
    /// It has to be evaluated.
    New,
}

/// What the funnel says of a candidate.
#[derive(Clone, Debug)]
pub(crate) struct Screening {
    pub(crate) decision: Decision,
    /// Bit b: branch b passed.
    pub(crate) passed: u32,
    /// Hash of the canonical forms of all branches.
    pub(crate) canonical: Option<u64>,
    pub(crate) key: Option<GradientKey>,
    /// What was newly cached.
    pub(crate) entries: Vec<BranchEntry>,
}

/// The funnel with everything it remembers.
#[derive(Debug)]
pub(crate) struct Funnel {
    screening: ScreeningConfig,
    equivalence: EquivalenceConfig,
    signatures: Vec<Signature>,
    caches: Vec<BranchCache>,
    pub(crate) judged: Judged,
}

#[derive(Clone, Debug)]
struct Cached {
    of: CandidateId,
    verdict: BranchVerdict,
    key: Option<GradientKey>,
}

#[derive(Debug, Default)]
struct BranchCache {
    forms: HashMap<u64, Cached>,
    keys: HashMap<GradientKey, (CandidateId, BranchVerdict)>,
}

/// One branch's way through the funnel.
struct Finding {
    verdict: BranchVerdict,
    /// The verdict of the candidate, where an earlier one is reused.
    reused: Option<Verdict>,
    canonical: Option<u64>,
    key: Option<GradientKey>,
}

impl Finding {
    fn fresh(verdict: BranchVerdict, canonical: Option<u64>, key: Option<GradientKey>) -> Self {
        Self {
            verdict,
            reused: None,
            canonical,
            key,
        }
    }
}

impl Funnel {
    pub(crate) fn new(config: &SearchConfig, task: &TaskSpec) -> Self {
        Self {
            screening: config.screening.clone(),
            equivalence: config.equivalence.clone(),
            signatures: task.branches.iter().map(|b| b.signature.clone()).collect(),
            caches: task
                .branches
                .iter()
                .map(|_| BranchCache::default())
                .collect(),
            judged: Judged::default(),
        }
    }

    /// Screens a candidate; one that is new counts as judged from now on.
    pub(crate) fn screen(
        &mut self,
        draft: &Draft,
        source: &mut Source<'_>,
        times: &mut StageTimes,
    ) -> Result<Screening, BackendError> {
        let (mut rejected, mut passed) = (None, 0u32);
        let mut entries = Vec::new();
        let mut findings = Vec::with_capacity(draft.graphs.len());
        for branch in 0..draft.graphs.len() {
            let (finding, entry) = self.screen_branch(draft, branch, source, times)?;
            entries.extend(entry);
            match finding.verdict.rejection() {
                None => passed |= 1 << branch,
                Some(verdict) if rejected.is_none() => {
                    let verdict = finding.reused.clone().unwrap_or(verdict);
                    rejected = Some(Decision::Rejected { verdict, branch });
                }
                Some(_) => {}
            }
            findings.push(finding);
        }
        let canonical = join_hashes(&findings);
        let key = join_keys(&findings);
        let decision =
            rejected.unwrap_or_else(|| self.judged.look_up(draft.id, canonical, key.as_ref()));
        Ok(Screening {
            decision,
            passed,
            canonical,
            key,
            entries,
        })
    }

    /// The graphs among attempts to come that will have to be probed, as far as can be known now.
    pub(crate) fn fresh<'a>(&self, drafts: impl IntoIterator<Item = &'a Draft>) -> Vec<Work> {
        let mut fresh = Vec::new();
        if !self.equivalence.enabled && !self.screening.probe {
            return fresh;
        }
        let mut forms = HashSet::new();
        // The tests are booked when the search makes them itself.
        let mut times = StageTimes::default();
        for draft in drafts {
            for (branch, graph) in draft.graphs.iter().enumerate() {
                let Ok(canonical) = self.cheap_tests(draft, branch, &mut times) else {
                    continue;
                };
                let met = canonical.is_some_and(|form| {
                    self.caches[branch].forms.contains_key(&form) || !forms.insert((branch, form))
                });
                if !met {
                    let graph = graph.clone();
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
            let Some(key) = GradientKey::new(probe, &self.equivalence) else {
                return true;
            };
            !self.caches[work.branch].keys.contains_key(&key) && keys.insert((work.branch, key))
        }
    }

    /// Puts back what an earlier session found.
    pub(crate) fn restore(&mut self, entry: &BranchEntry) {
        self.remember(entry);
    }

    /// The structure of a branch's graph, and its canonical form where that is asked for.
    fn cheap_tests(
        &self,
        draft: &Draft,
        branch: usize,
        times: &mut StageTimes,
    ) -> Result<Option<u64>, StaticReason> {
        let graph = &draft.graphs[branch];
        if self.screening.static_checks && !draft.knows(branch) {
            times.measure(Stage::Static, || {
                static_check(graph, &self.signatures[branch])
            })?;
        }
        let form = || times.measure(Stage::Canonical, || self.hash(branch, graph));
        Ok(self.screening.duplicates.then(form))
    }

    fn screen_branch(
        &mut self,
        draft: &Draft,
        branch: usize,
        source: &mut Source<'_>,
        times: &mut StageTimes,
    ) -> Result<(Finding, Option<BranchEntry>), BackendError> {
        let canonical = match self.cheap_tests(draft, branch, times) {
            Ok(canonical) => canonical,
            Err(reason) => return Ok((Finding::fresh(reason.into(), None, None), None)),
        };
        if let Some(cached) = canonical.and_then(|hash| self.caches[branch].forms.get(&hash)) {
            let finding = Finding {
                verdict: cached.verdict.clone(),
                reused: Some(Verdict::Duplicate { of: cached.of }),
                canonical,
                key: cached.key.clone(),
            };
            return Ok((finding, None));
        }
        let work = Work {
            branch,
            graph: draft.graphs[branch].clone(),
        };
        let finding = self.judge(&work, canonical, draft.knows(branch), source, times)?;
        let of = finding.reused.as_ref().and_then(Verdict::of);
        let entry = BranchEntry {
            of: of.unwrap_or(draft.id),
            branch,
            canonical,
            key: finding.key.clone(),
            verdict: finding.verdict.clone(),
        };
        let entry = self.remember(&entry).then_some(entry);
        Ok((finding, entry))
    }

    /// Probe, gradient key and loss rejection of a graph that is new.
    fn judge(
        &self,
        work: &Work,
        canonical: Option<u64>,
        known: bool,
        source: &mut Source<'_>,
        times: &mut StageTimes,
    ) -> Result<Finding, BackendError> {
        let mut key = None;
        if self.equivalence.enabled || (self.screening.probe && !known) {
            let probe = source.probe(work, times)?;
            check_shape(&probe)?;
            if self.screening.probe
                && !known
                && let Some(verdict) = degenerate(&probe)
            {
                return Ok(Finding::fresh(verdict, canonical, None));
            }
            if self.equivalence.enabled {
                key = GradientKey::new(&probe, &self.equivalence);
            }
        }
        if let Some((of, verdict)) = key
            .as_ref()
            .and_then(|k| self.caches[work.branch].keys.get(k))
        {
            return Ok(Finding {
                verdict: verdict.clone(),
                reused: Some(Verdict::Equivalent { of: *of }),
                canonical,
                key,
            });
        }
        let verdict = if self.screening.lrp && !known {
            let rejection = source.reject(work, times)?;
            self.verdict_of(rejection)
        } else {
            BranchVerdict::Passed { gain: None }
        };
        Ok(Finding::fresh(verdict, canonical, key))
    }

    fn verdict_of(&self, rejection: Rejection) -> BranchVerdict {
        match rejection {
            Rejection::NonFinite { step } => BranchVerdict::NonFinite { step: Some(step) },
            // A metric without a value on these predictions cannot vouch for them.
            Rejection::Finished { gain, steps, .. } if !gain.is_finite() => {
                BranchVerdict::NonFinite { step: Some(steps) }
            }
            Rejection::Finished { gain, .. } if self.screening.accepts(gain) => {
                BranchVerdict::Passed { gain: Some(gain) }
            }
            Rejection::Finished { gain, .. } => BranchVerdict::Rejected { gain },
        }
    }

    fn hash(&self, branch: usize, graph: &LossGraph) -> u64 {
        graph
            .training_form(&self.signatures[branch])
            .structural_hash()
    }

    /// Caches a finding; the first one under a form or a key stays. Whether anything was new.
    fn remember(&mut self, entry: &BranchEntry) -> bool {
        let Some(cache) = self.caches.get_mut(entry.branch) else {
            return false;
        };
        let mut new = false;
        if let Some(hash) = entry.canonical {
            cache.forms.entry(hash).or_insert_with(|| {
                new = true;
                Cached {
                    of: entry.of,
                    verdict: entry.verdict.clone(),
                    key: entry.key.clone(),
                }
            });
        }
        if let Some(key) = &entry.key
            && !cache.keys.contains_key(key)
        {
            new = true;
            let value = (entry.of, entry.verdict.clone());
            cache.keys.insert(key.clone(), value);
        }
        new
    }
}

fn check_shape(probe: &Probe) -> Result<(), BackendError> {
    let samples = probe.norms.len();
    if samples == 0 || probe.losses.len() != samples || probe.alignments.len() != samples {
        return Err(BackendError::new(format!(
            "the probe returned {} losses, {samples} norms and {} alignments, which must be as \
             many and at least one",
            probe.losses.len(),
            probe.alignments.len()
        )));
    }
    Ok(())
}

fn degenerate(probe: &Probe) -> Option<BranchVerdict> {
    if !probe.is_finite() {
        Some(BranchVerdict::NonFinite { step: None })
    } else if probe.is_zero() {
        Some(BranchVerdict::ZeroGradient)
    } else {
        None
    }
}

/// The hash of a whole loss: that of its only branch, or an FNV-1a hash of all.
fn join_hashes(findings: &[Finding]) -> Option<u64> {
    if let [only] = findings {
        return only.canonical;
    }
    findings
        .iter()
        .try_fold(0xcbf2_9ce4_8422_2325, |hash, finding| {
            let bytes = finding.canonical?.to_le_bytes();
            Some(bytes.iter().fold(hash, |hash: u64, &byte| {
                (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
            }))
        })
}

fn join_keys(findings: &[Finding]) -> Option<GradientKey> {
    let keys: Option<Vec<&GradientKey>> = findings.iter().map(|f| f.key.as_ref()).collect();
    keys.map(GradientKey::join)
}

/// The losses that were evaluated, or are about to be.
#[derive(Debug, Default)]
pub(crate) struct Judged {
    forms: HashMap<u64, CandidateId>,
    keys: HashMap<GradientKey, CandidateId>,
    /// Score of every candidate whose evaluation has ended; none where it has no score.
    scores: HashMap<CandidateId, Option<f64>>,
}

impl Judged {
    /// Looks a loss up and, where it is new, notes it. Forms and keys are absent where their
    /// technique is switched off.
    fn look_up(
        &mut self,
        id: CandidateId,
        canonical: Option<u64>,
        key: Option<&GradientKey>,
    ) -> Decision {
        if let Some(&of) = canonical.and_then(|hash| self.forms.get(&hash)) {
            return Decision::Known(Verdict::Duplicate { of });
        }
        let equivalent = key.and_then(|key| self.keys.get(key)).copied();
        self.note(equivalent.unwrap_or(id), canonical, key);
        match equivalent {
            Some(of) => Decision::Known(Verdict::Equivalent { of }),
            None => Decision::New,
        }
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
    pub(crate) fn finish(&mut self, id: CandidateId, score: Option<f64>) {
        self.scores.insert(id, score);
    }

    /// The evaluation could not be run, which says nothing about the loss: an equivalent one will
    /// be evaluated.
    pub(crate) fn forget(&mut self, id: CandidateId) {
        self.forms.retain(|_, of| *of != id);
        self.keys.retain(|_, of| *of != id);
    }

    /// The outcome of an evaluated candidate: none while it is pending, or where it failed.
    pub(crate) fn score(&self, id: CandidateId) -> Option<Option<f64>> {
        self.scores.get(&id).copied()
    }
}

#[cfg(test)]
mod tests;
