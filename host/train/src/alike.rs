//! Samples whose tensors have one shape.
//!
//! Photographs of one split may have many sizes. A task says which of its samples can be scored together
//! (`Task::shapes`); batches of an evaluation and tables of features hold samples of one shape only.

use std::collections::BTreeMap;

/// The first `count` samples of a split, those that can be scored together in one part: parts in the order of their first
/// samples, samples in theirs. Without `shapes` all make one part.
pub(crate) fn alike(count: u64, shapes: &[u32]) -> Vec<Vec<u64>> {
    let mut places = BTreeMap::new();
    let mut parts: Vec<Vec<u64>> = Vec::new();
    for sample in 0..count {
        let shape = shapes.get(sample as usize).copied().unwrap_or_default();
        let place = *places.entry(shape).or_insert(parts.len());
        match parts.get_mut(place) {
            Some(part) => part.push(sample),
            None => parts.push(vec![sample]),
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_samples_are_parted_by_shape() {
        assert_eq!(alike(3, &[]), [[0, 1, 2]]);
        let shapes = [7, 2, 7, 7, 2, 9];
        assert_eq!(alike(5, &shapes), [vec![0, 2, 3], vec![1, 4]]);
        assert_eq!(alike(6, &shapes).len(), 3);
        assert!(alike(0, &shapes).is_empty());
    }
}
