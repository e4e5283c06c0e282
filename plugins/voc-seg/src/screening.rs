//! Label maps that candidate losses are screened on.
//!
//! They are real ones, made small by majority rather than drawn at random: pooling operators and
//! boundary terms tell spatially coherent maps from noise, and a loss should be evaluated on what it
//! will meet.

use crate::inputs::one_hot;
use crate::source::Source;
use autoloss_plugin_api::{Result, ScreeningRequest, ScreeningSamples, Split, Tensors};
use autoloss_vision::networks::check_screening;
use autoloss_vision::splitmix64;
use tch::Tensor;

/// Most pictures tried for each sample.
const TRIES: usize = 64;

/// A class counts as present from this share of the positions on.
const PRESENT: usize = 64;

/// Draws the samples from the train split.
///
/// # Errors
/// Sizes or numbers of samples outside 1 to 1024.
pub(crate) fn draw_samples(
    source: &Source,
    request: &ScreeningRequest,
) -> Result<ScreeningSamples> {
    check_screening(request)?;
    let (samples, size) = (request.samples, request.size);
    let maps = coherent_maps(source, samples, size, request.seed)?;
    let (count, side) = (samples as i64, size as i64);
    let labels = Tensor::f_from_slice(&maps)?.f_view([count, side, side])?;
    let classes = source.class_names().len() as i64;
    let (y, valid) = one_hot(&labels, classes)?;
    Ok(ScreeningSamples {
        shape: [count, classes, side, side],
        fixed: Tensors::new().with("y", y),
        valid: Some(valid),
        targets: Tensors::new().with("labels", labels),
    })
}

/// Small maps of different pictures, two classes or more in each.
fn coherent_maps(source: &Source, samples: usize, size: usize, seed: u64) -> Result<Vec<u8>> {
    let len = source.len(Split::Train).max(1);
    let (start, step) = (splitmix64(seed), coprime(splitmix64(seed ^ 1), len));
    let classes = source.class_names().len();
    let mut maps = Vec::with_capacity(samples * size * size);
    for turn in 0..samples.saturating_mul(TRIES) as u64 {
        let index = start.wrapping_add(turn.wrapping_mul(step)) % len;
        let picture = source.get_or_next(Split::Train, index)?;
        let shape = [picture.height(), picture.width()];
        let map = reduce_by_majority(picture.labels(), shape, size);
        if classes_present(&map, classes) >= 2 {
            maps.extend(map);
        }
        if maps.len() == samples * size * size {
            return Ok(maps);
        }
    }
    Err(
        format!("too few train samples have two classes to draw {samples} screening samples from")
            .into(),
    )
}

/// A step, from a random number, that visits every number below `len` before the first comes again.
fn coprime(random: u64, len: u64) -> u64 {
    let divides = |mut a: u64, mut b: u64| {
        while b != 0 {
            (a, b) = (b, a % b);
        }
        a > 1
    };
    let mut step = random | 1;
    while divides(step, len) {
        step = step.wrapping_add(2);
    }
    step
}

/// A label map at `size` pixels a side: each takes the commonest label of its block.
fn reduce_by_majority(labels: &[u8], [height, width]: [usize; 2], size: usize) -> Vec<u8> {
    let block = |place: usize, side: usize| {
        let start = place * side / size;
        start..((place + 1) * side / size).max(start + 1)
    };
    let mut map = Vec::with_capacity(size * size);
    for row in 0..size {
        for column in 0..size {
            let mut counts = [0u32; 256];
            for y in block(row, height) {
                for &label in &labels[y * width..][block(column, width)] {
                    counts[usize::from(label)] += 1;
                }
            }
            // Of equally common labels the larger wins, an item over the background.
            let winner = counts.iter().enumerate().max_by_key(|&(_, &count)| count);
            map.push(winner.map_or(autoloss_vision::VOID, |(label, _)| label as u8));
        }
    }
    map
}

fn classes_present(map: &[u8], classes: usize) -> usize {
    let enough = (map.len() / PRESENT).max(1);
    let share = |class: usize| {
        map.iter()
            .filter(|&&label| usize::from(label) == class)
            .count()
    };
    (0..classes).filter(|&class| share(class) >= enough).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use autoloss_plugin_api::TaskOptions;
    use std::collections::BTreeSet;
    use tch::Kind;

    fn source() -> Source {
        crate::source::open(&TaskOptions::default()).unwrap().0
    }

    fn request(samples: usize, size: usize, seed: u64) -> ScreeningRequest {
        ScreeningRequest {
            branch: crate::BRANCH.to_owned(),
            samples,
            size,
            seed,
        }
    }

    fn draw(samples: usize, size: usize, seed: u64) -> ScreeningSamples {
        draw_samples(&source(), &request(samples, size, seed)).unwrap()
    }

    #[test]
    fn samples_agree_with_their_labels() {
        let drawn = draw(5, 16, 2);
        let labels = drawn.targets.get("labels").unwrap();
        assert_eq!(
            (drawn.shape, labels.size()),
            ([5, 11, 16, 16], vec![5, 16, 16])
        );
        let y = drawn.fixed.get("y").unwrap();
        assert_eq!(y.size(), drawn.shape);
        let valid = drawn.valid.unwrap();
        assert_eq!(valid.size(), [5, 1, 16, 16]);
        assert_eq!(
            y.sum_dim_intlist([1i64].as_slice(), true, Kind::Float),
            valid
        );
        assert_eq!(valid.squeeze_dim(1), labels.lt(11).to_kind(Kind::Float));
        let classes = y.argmax(1, false) * valid.squeeze_dim(1).to_kind(Kind::Int64);
        assert_eq!(classes, (labels * labels.lt(11)).to_kind(Kind::Int64));
    }

    #[test]
    fn maps_are_coherent_and_hold_several_classes() {
        let drawn = draw(20, 16, 0);
        let labels = drawn.targets.get("labels").unwrap();
        let right = labels.narrow(2, 1, 15).eq_tensor(&labels.narrow(2, 0, 15));
        // Labels drawn independently would agree at most half of the time.
        assert!(
            right
                .to_kind(Kind::Float)
                .mean(Kind::Float)
                .double_value(&[])
                > 0.75
        );
        for sample in 0..20 {
            let values: Vec<u8> =
                Vec::try_from(labels.get(sample).contiguous().view([-1])).unwrap();
            let classes: BTreeSet<_> = values.into_iter().filter(|&label| label < 11).collect();
            assert!(classes.len() >= 2, "{classes:?}");
        }
    }

    #[test]
    fn the_seed_decides_which() {
        let labels = |seed| draw(4, 8, seed).targets.get("labels").unwrap().copy();
        assert_eq!(labels(1), labels(1));
        assert_ne!(labels(1), labels(2));
    }

    #[test]
    fn majority_reduces_by_blocks_and_enlarges_by_repetition() {
        let labels = [1, 1, 0, 0, 1, 0, 0, 2, 255, 255, 3, 3, 255, 4, 3, 3];
        assert_eq!(reduce_by_majority(&labels, [4, 4], 2), [1, 0, 255, 3]);
        assert_eq!(reduce_by_majority(&labels, [4, 4], 4), labels);
        assert_eq!(
            reduce_by_majority(&[5, 6, 7, 8], [2, 2], 4)[..8],
            [5, 5, 6, 6, 5, 5, 6, 6]
        );
        // Two rows of four columns: each of the left places takes two columns.
        assert_eq!(
            reduce_by_majority(&[1, 1, 2, 3, 4, 4, 5, 5], [2, 4], 2),
            [1, 3, 4, 5]
        );
    }

    #[test]
    fn a_step_visits_every_sample() {
        for len in [1u64, 2, 9, 15, 4096, 1464] {
            for seed in 0..20 {
                let step = coprime(splitmix64(seed), len) % len.max(1);
                let mut seen = BTreeSet::new();
                (0..len).for_each(|turn| {
                    seen.insert(turn * step % len);
                });
                assert_eq!(seen.len() as u64, len);
            }
        }
    }

    #[test]
    fn requests_out_of_range_are_refused() {
        let source = source();
        for (samples, size) in [(0, 16), (5, 0), (5, 1), (5, 5000), (usize::MAX, 16)] {
            let error = draw_samples(&source, &request(samples, size, 0)).unwrap_err();
            assert!(
                error.to_string().starts_with(&samples.to_string()),
                "{error}"
            );
        }
    }
}
