//! Weights from files: checkpoints of the whole network, or published ones of its encoder.
//!
//! Files are recognised by what is in them, not by a switch: names decide. A checkpoint must be
//! complete, but for heads of another number of classes, which stay fresh; of a file for the
//! encoder, every encoder tensor must be there. Anything else in the file (a classifier, an
//! auxiliary head) is ignored. A training that silently began with half of its weights would look
//! like a bad loss.

mod file;

use super::weights::Weights;
use autoloss_plugin_api::Result;
use autoloss_spec::unwrapped;
use std::collections::BTreeMap;
use std::path::Path;
use tch::Tensor;

/// PyTorch's own files from before 0.4.1 have no counters, and they decide nothing.
const COUNTER: &str = ".num_batches_tracked";

/// The parts of a network in which a file may differ from it.
///
/// ```
/// use autoloss_vision::networks::pretrained::Names;
///
/// // A detector whose checkpoints are torchvision's: its own, and those of classifiers.
/// const DETECTOR: Names = Names {
///     network: "faster_rcnn_r50",
///     encoder: "backbone.body.",
///     head: &["roi_heads.box_predictor."],
///     bare: &["backbone.fpn.", "rpn.head.conv."],
/// };
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Names {
    /// The network's, for messages.
    pub network: &'static str,
    /// The encoder's tensors begin with it; published files lack it.
    pub encoder: &'static str,
    /// The tensors of the last layers, whose shape depends on the number of classes, begin with one
    /// of these.
    pub head: &'static [&'static str],
    /// The tensors of convolutions that older files hold bare begin with one of these:
    /// `conv.weight` for what is `conv.0.weight` or `conv.0.0.weight` in the network, as in the
    /// detectors that torchvision published first.
    pub bare: &'static [&'static str],
}

impl Names {
    fn in_head(&self, name: &str) -> bool {
        self.head.iter().any(|head| name.starts_with(head))
    }

    /// The names that a name of an older file may have now.
    fn wrapped(&self, name: &str) -> Vec<String> {
        match name.rsplit_once('.') {
            Some((layer, member)) if self.bare.iter().any(|bare| name.starts_with(bare)) => {
                ["0", "0.0"]
                    .map(|place| format!("{layer}.{place}.{member}"))
                    .to_vec()
            }
            _ => Vec::new(),
        }
    }
}

/// The outcome of loading a file.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Loaded {
    /// Tensors overwritten.
    pub loaded: usize,
    /// Names of tensors that stay as they were.
    pub fresh: Vec<String>,
    /// Names in the file that no tensor has.
    pub ignored: Vec<String>,
}

/// Ends the making of a network: makes its counters and loads the file of weights that the user named,
/// if any.
///
/// # Errors
/// Those of [`Weights::finish`] and [`load`].
pub fn finish(weights: &mut Weights, file: Option<&Path>, names: &Names) -> Result<()> {
    weights.finish()?;
    if let Some(file) = file {
        load(weights, file, names)?;
    }
    Ok(())
}

/// Overwrites the network's tensors with those of a file and logs what was done.
///
/// # Errors
/// A file that cannot be read, in which nothing fits, which lacks a tensor, or in which one has
/// another shape; then nothing is overwritten.
pub fn load(weights: &Weights, file: &Path, names: &Names) -> Result<Loaded> {
    let shown = file.display();
    let network = names.network;
    let stored = file::read(file)?;
    let own: BTreeMap<&str, &Tensor> = weights.iter().collect();
    let outcome = assign(&own, &stored, names);
    let (pairs, report) = outcome.map_err(|error| format!("{shown}: {error}"))?;
    let _no_gradients = tch::no_grad_guard();
    for (tensor, new) in pairs {
        tensor.shallow_clone().f_copy_(new)?;
    }
    let Loaded {
        loaded,
        fresh,
        ignored,
    } = &report;
    tracing::info!(
        "network '{network}': {loaded} tensors from {shown}, {} left fresh{}, {} of the file not used{}",
        fresh.len(),
        examples(fresh),
        ignored.len(),
        examples(ignored)
    );
    if fresh.iter().any(|name| names.in_head(name)) && is_checkpoint(fresh, names) {
        tracing::warn!(
            "network '{network}': {shown} is of another number of classes; '{}' stays fresh",
            names.head.join("', '")
        );
    }
    Ok(report)
}

/// Whether nothing but heads (and counters) stays fresh.
fn is_checkpoint(fresh: &[String], names: &Names) -> bool {
    fresh
        .iter()
        .all(|name| names.in_head(name) || name.ends_with(COUNTER))
}

type Pairs<'a> = Vec<(&'a Tensor, &'a Tensor)>;

/// Pairs every own tensor with its new values, or explains why the file cannot be used.
fn assign<'a>(
    own: &BTreeMap<&str, &'a Tensor>,
    stored: &'a [(String, Tensor)],
    names: &Names,
) -> Result<(Pairs<'a>, Loaded)> {
    let mut found: BTreeMap<&str, &Tensor> = BTreeMap::new();
    let mut ignored = Vec::new();
    for (name, tensor) in stored {
        match own_name(own, name, names) {
            Some(known) => {
                if found.insert(known, tensor).is_some() {
                    return Err(format!("two of its tensors fit '{known}'").into());
                }
            }
            None => ignored.push(name.clone()),
        }
    }
    if found.is_empty() {
        return Err(nothing_fits(own, stored, names).into());
    }
    let whole = found.keys().any(|name| !name.starts_with(names.encoder));
    let mut report = Loaded {
        ignored,
        ..Loaded::default()
    };
    let mut pairs = Vec::new();
    for (name, tensor) in own {
        let needed = (whole || name.starts_with(names.encoder)) && !name.ends_with(COUNTER);
        let new = found.get(name).copied();
        let new = new.filter(|new| !other_classes(name, tensor, new, names));
        match new {
            Some(new) if new.size() == tensor.size() => pairs.push((*tensor, new)),
            Some(new) => return Err(other_shape(name, &new.size(), tensor, names).into()),
            None if needed && !found.contains_key(name) => {
                return Err(lacking(own, &found, name, whole, names).into());
            }
            None => report.fresh.push((*name).to_owned()),
        }
    }
    report.loaded = pairs.len();
    Ok((pairs, report))
}

/// The own tensor that a name in a file means; a name is tried as it is first, since a network's own may begin like a
/// wrapper's.
fn own_name<'a>(own: &BTreeMap<&'a str, &Tensor>, name: &str, names: &Names) -> Option<&'a str> {
    for rest in unwrapped(name) {
        let in_encoder = format!("{}{rest}", names.encoder);
        // segmentation-models-pytorch's older encoders lack the wrapper that the newer have.
        let older = rest.strip_prefix("encoder.").unwrap_or(&rest);
        let older = format!("{}{older}", names.encoder);
        let wrapped = names.wrapped(&rest);
        let wrapped = wrapped.iter().map(String::as_str);
        for candidate in [&*rest, &in_encoder, &older].into_iter().chain(wrapped) {
            if let Some((known, _)) = own.get_key_value(candidate) {
                return Some(*known);
            }
        }
    }
    None
}

/// Whether a tensor of a head differs in nothing but the number of classes.
fn other_classes(name: &str, own: &Tensor, new: &Tensor, names: &Names) -> bool {
    let (own, new) = (own.size(), new.size());
    names.in_head(name)
        && own.len() == new.len()
        && own.first() != new.first()
        && own[1..] == new[1..]
}

fn nothing_fits(
    own: &BTreeMap<&str, &Tensor>,
    stored: &[(String, Tensor)],
    names: &Names,
) -> String {
    let held: Vec<_> = stored.iter().map(|(name, _)| name.clone()).collect();
    let wanted: Vec<_> = own.keys().map(|name| (*name).to_owned()).collect();
    format!(
        "none of its {} tensors{} fits network '{}', which has {}{}; is it for another network?",
        held.len(),
        examples(&held),
        names.network,
        wanted.len(),
        examples(&wanted)
    )
}

fn other_shape(name: &str, found: &[i64], own: &Tensor, names: &Names) -> String {
    format!(
        "'{name}' has shape {found:?}, network '{}' expects {:?}",
        names.network,
        own.size()
    )
}

fn lacking(
    own: &BTreeMap<&str, &Tensor>,
    found: &BTreeMap<&str, &Tensor>,
    name: &str,
    whole: bool,
    names: &Names,
) -> String {
    let what = if whole {
        "a checkpoint"
    } else {
        "weights of the encoder"
    };
    let shape = own.get(name).map(|tensor| tensor.size());
    let needed =
        |name: &&&str| (whole || name.starts_with(names.encoder)) && !name.ends_with(COUNTER);
    let missing = own
        .keys()
        .filter(needed)
        .filter(|name| !found.contains_key(**name));
    let others = match missing.count() {
        0 | 1 => String::new(),
        count => format!(" (and {} others)", count - 1),
    };
    format!(
        "'{name}' of shape {:?}{others} is not in it: {} tensors fit, but as {what} it is not complete",
        shape.unwrap_or_default(),
        found.len()
    )
}

/// A few of the names, in brackets.
fn examples(names: &[String]) -> String {
    match names {
        [] => String::new(),
        [one] => format!(" ({one})"),
        [one, two] => format!(" ({one}, {two})"),
        [one, two, ..] => format!(" ({one}, {two} …)"),
    }
}

#[cfg(test)]
mod tests;
