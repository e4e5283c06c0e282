//! Names of tensors in files of weights.

/// What torch.compile puts before a module's names, wherever the module is.
const COMPILED: &str = "_orig_mod.";

/// What wrappers of a network put before its names: DistributedDataParallel, trainers, detectors.
const WRAPPERS: [&str; 3] = ["module.", "model.", "backbone."];

/// The names that a tensor of a file can mean, the longest first: without what torch.compile adds, then without one
/// wrapper of the network after another.
///
/// ```
/// let names: Vec<String> = autoloss_spec::unwrapped("module._orig_mod.model.stem.weight").collect();
/// assert_eq!(names, ["module.model.stem.weight", "model.stem.weight", "stem.weight"]);
/// ```
pub fn unwrapped(name: &str) -> impl Iterator<Item = String> + use<> {
    std::iter::successors(Some(name.replace(COMPILED, "")), |name| {
        let mut wrappers = WRAPPERS.iter();
        wrappers.find_map(|wrapper| name.strip_prefix(wrapper).map(str::to_owned))
    })
}
