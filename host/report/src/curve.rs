//! The search's curve: each score, the best so far, and the median of the latest scores.
//!
//! A run may have any number of evaluations and a page draws about a thousand points, so curves are
//! thinned: of every stretch of evaluations the lowest and the highest score stay, as do the first and
//! the last, and of the best score every improvement. What a reader looks for in a curve is never lost.

use autoloss_search::{Fitness, Purpose};
use serde::Serialize;

use crate::error::ReportError;
use crate::source::Source;

/// The running median is over so many scores.
pub(crate) const WINDOW: usize = 50;

/// Stretches that a thinned curve is cut into.
const STRETCHES: usize = 250;

/// A point of a curve: candidates explored, seconds of the run, score.
pub(crate) type Point = (u64, f64, f64);

/// The curve of one run.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Curve {
    pub(crate) name: String,
    /// Whether its children are all random.
    pub(crate) random: bool,
    /// Trainings, whatever came of them.
    pub(crate) evaluations: u64,
    pub(crate) scored: u64,
    pub(crate) scores: Vec<Point>,
    /// A point for each improvement, and the end.
    pub(crate) best: Vec<Point>,
    pub(crate) median: Vec<Point>,
}

/// Every point of a run's curve, not thinned.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Whole {
    pub(crate) evaluations: u64,
    pub(crate) scores: Vec<Point>,
}

impl Whole {
    pub(crate) fn read(source: &Source) -> Result<Self, ReportError> {
        let mut whole = Self::default();
        let mut records = source.reader.evaluations(Purpose::Search)?;
        // With several workers a later candidate's training may end first.
        records.sort_by(|a, b| a.elapsed.total_cmp(&b.elapsed));
        let mut explored = 0;
        for record in records {
            whole.evaluations += 1;
            explored = explored.max(record.key.candidate.0 + 1);
            if let Some(score) = record.evaluation.fitness().map(Fitness::score) {
                whole.scores.push((explored, record.elapsed, score));
            }
        }
        Ok(whole)
    }

    /// The improvements of the best score.
    pub(crate) fn best(&self) -> Vec<Point> {
        let mut best: Vec<Point> = Vec::new();
        for point in &self.scores {
            if best.last().is_none_or(|last| point.2 > last.2) {
                best.push(*point);
            }
        }
        best
    }

    /// The median of the latest [`WINDOW`] scores at each score.
    pub(crate) fn median(&self) -> Vec<Point> {
        let mut sorted: Vec<f64> = Vec::with_capacity(WINDOW + 1);
        let mut medians = Vec::with_capacity(self.scores.len());
        for (at, (explored, elapsed, score)) in self.scores.iter().enumerate() {
            if let Some(left) = at.checked_sub(WINDOW) {
                let place = sorted.partition_point(|known| *known < self.scores[left].2);
                sorted.remove(place);
            }
            sorted.insert(sorted.partition_point(|known| known < score), *score);
            medians.push((*explored, *elapsed, middle(&sorted)));
        }
        medians
    }
}

/// The curve of a run as a page draws it.
pub(crate) fn read(source: &Source, explored: u64, elapsed: f64) -> Result<Curve, ReportError> {
    let whole = Whole::read(source)?;
    let mut best = whole.best();
    if let Some(last) = best.last().copied()
        && explored > last.0
    {
        best.push((explored, elapsed.max(last.1), last.2));
    }
    Ok(Curve {
        name: source.name(),
        random: source.is_random()?,
        evaluations: whole.evaluations,
        scored: whole.scores.len() as u64,
        best,
        median: thinned(&whole.median()),
        scores: thinned(&whole.scores),
    })
}

/// Lowest, highest, first and last of each stretch, in order.
fn thinned(points: &[Point]) -> Vec<Point> {
    if points.len() <= 4 * STRETCHES {
        return points.to_vec();
    }
    let mut kept = Vec::with_capacity(4 * STRETCHES);
    for stretch in points.chunks(points.len().div_ceil(STRETCHES)) {
        let by = |pick: fn(f64, f64) -> bool| {
            let start = (0, stretch[0].2);
            let step =
                |best: (usize, f64), (at, point): (usize, &Point)| match pick(point.2, best.1) {
                    true => (at, point.2),
                    false => best,
                };
            stretch.iter().enumerate().fold(start, step).0
        };
        let mut places = [0, by(|a, b| a < b), by(|a, b| a > b), stretch.len() - 1];
        places.sort_unstable();
        for (n, place) in places.iter().enumerate() {
            if n == 0 || places[n - 1] != *place {
                kept.push(stretch[*place]);
            }
        }
    }
    kept
}

fn middle(sorted: &[f64]) -> f64 {
    let half = sorted.len() / 2;
    match sorted.len() % 2 {
        1 => sorted[half],
        _ => (sorted[half - 1] + sorted[half]) / 2.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn whole(scores: &[f64]) -> Whole {
        let point = |(at, score): (usize, &f64)| (at as u64 + 1, at as f64, *score);
        Whole {
            evaluations: scores.len() as u64,
            scores: scores.iter().enumerate().map(point).collect(),
        }
    }

    #[test]
    fn the_best_improves_and_the_median_runs() {
        let run = whole(&[0.2, 0.1, 0.4, 0.4, 0.3]);
        let best: Vec<f64> = run.best().iter().map(|point| point.2).collect();
        assert_eq!(best, [0.2, 0.4]);
        let medians: Vec<f64> = run.median().iter().map(|point| point.2).collect();
        assert_eq!(medians.len(), 5);
        assert_eq!(medians[2], 0.2);
        assert!((medians[3] - 0.3).abs() < 1e-12 && medians[4] == 0.3);
    }

    proptest! {
        #[test]
        fn the_running_median_is_the_median_of_the_window(scores in prop::collection::vec(-5i32..5, 1..160)) {
            let scores: Vec<f64> = scores.into_iter().map(f64::from).collect();
            for (at, point) in whole(&scores).median().iter().enumerate() {
                let mut window = scores[(at + 1).saturating_sub(WINDOW)..=at].to_vec();
                window.sort_by(f64::total_cmp);
                prop_assert_eq!(point.2, middle(&window));
            }
        }

        #[test]
        fn thinning_keeps_order_ends_and_extremes(count in 1001usize..9000, seed in any::<u64>()) {
            let mut state = seed | 1;
            let mut next = || {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                (state >> 11) as f64
            };
            let scores: Vec<f64> = (0..count).map(|_| next()).collect();
            let run = whole(&scores);
            let kept = thinned(&run.scores);
            prop_assert!(kept.len() <= 4 * STRETCHES);
            prop_assert!(kept.windows(2).all(|pair| pair[0].0 < pair[1].0));
            prop_assert_eq!(kept.first(), run.scores.first());
            prop_assert_eq!(kept.last(), run.scores.last());
            let greatest = |points: &[Point]| points.iter().map(|p| p.2).fold(f64::MIN, f64::max);
            let least = |points: &[Point]| points.iter().map(|p| p.2).fold(f64::MAX, f64::min);
            prop_assert_eq!(greatest(&kept), greatest(&run.scores));
            prop_assert_eq!(least(&kept), least(&run.scores));
        }
    }
}
