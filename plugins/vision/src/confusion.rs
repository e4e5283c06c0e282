//! Confusion matrices over label maps, and the quick scores read off them.
//!
//! One matrix serves two purposes: the whole data set's counts behind mIoU, FWIoU, gAcc and mAcc, and
//! the score of a single small label map, where candidates are screened on bare predictions.
//!
//! A pixel counts where both labels are below the number of classes. Any other value, such as the void
//! label 255, in the target or in the prediction takes the pixel out.

use crate::VisionError;

/// The most classes a matrix is made for: eight megabytes of counts.
pub const MAX_CLASSES: usize = 1024;

/// Pixel counts by target class (row) and predicted class (column).
///
/// ```
/// use autoloss_vision::ConfusionMatrix;
///
/// let target: [u8; 6] = [0, 0, 1, 1, 255, 0];
/// let prediction: [u8; 6] = [0, 1, 1, 1, 1, 0];
/// let matrix = ConfusionMatrix::of(3, &prediction, &target)?;
/// assert_eq!(matrix.count(0, 1), 1);
/// assert_eq!(matrix.pixel_accuracy(), Some(0.8));
/// // Class 0: 2 of 3, class 1: 2 of 3, class 2 does not occur.
/// assert_eq!(matrix.mean_iou(), Some(2.0 / 3.0));
/// # Ok::<(), autoloss_vision::VisionError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfusionMatrix {
    classes: usize,
    counts: Vec<u64>,
}

impl ConfusionMatrix {
    /// An empty matrix.
    ///
    /// # Errors
    /// [`VisionError::ClassCount`] for no class or more than [`MAX_CLASSES`].
    pub fn new(num_classes: usize) -> Result<ConfusionMatrix, VisionError> {
        if !(1..=MAX_CLASSES).contains(&num_classes) {
            return Err(VisionError::ClassCount {
                found: num_classes,
                max: MAX_CLASSES,
            });
        }
        Ok(ConfusionMatrix {
            classes: num_classes,
            counts: vec![0; num_classes * num_classes],
        })
    }

    /// The matrix of one label map, of any shape.
    ///
    /// # Errors
    /// As [`ConfusionMatrix::new`] and [`ConfusionMatrix::add`].
    pub fn of<P, T>(
        num_classes: usize,
        prediction: &[P],
        target: &[T],
    ) -> Result<ConfusionMatrix, VisionError>
    where
        P: Copy + Into<u32>,
        T: Copy + Into<u32>,
    {
        let mut matrix = ConfusionMatrix::new(num_classes)?;
        matrix.add(prediction, target)?;
        Ok(matrix)
    }

    /// Counts the pixels of one label map, of any shape.
    ///
    /// # Errors
    /// [`VisionError::Length`] where the two differ in length; nothing is counted then.
    pub fn add<P, T>(&mut self, prediction: &[P], target: &[T]) -> Result<(), VisionError>
    where
        P: Copy + Into<u32>,
        T: Copy + Into<u32>,
    {
        if prediction.len() != target.len() {
            return Err(VisionError::Length {
                what: "the prediction",
                found: prediction.len(),
                expected: target.len(),
                height: 1,
                width: target.len(),
            });
        }
        for (&prediction, &target) in prediction.iter().zip(target) {
            self.tally(prediction.into() as usize, target.into() as usize);
        }
        Ok(())
    }

    /// Counts one pixel, or nothing where a label is not a class.
    pub(crate) fn tally(&mut self, prediction: usize, target: usize) {
        if prediction < self.classes && target < self.classes {
            self.counts[target * self.classes + prediction] += 1;
        }
    }

    /// Adds the counts of another matrix.
    ///
    /// # Errors
    /// [`VisionError::Merge`] where the numbers of classes differ.
    pub fn merge(&mut self, other: &ConfusionMatrix) -> Result<(), VisionError> {
        if self.classes != other.classes {
            let (left, right) = (self.classes.to_string(), other.classes.to_string());
            return Err(VisionError::Merge {
                what: "numbers of classes",
                left,
                right,
            });
        }
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count += more;
        }
        Ok(())
    }

    /// Sets every count to zero.
    pub fn clear(&mut self) {
        self.counts.fill(0);
    }

    /// The number of classes.
    #[must_use]
    pub fn num_classes(&self) -> usize {
        self.classes
    }

    /// Pixels of class `target` predicted as `prediction`; 0 for classes that do not exist.
    #[must_use]
    pub fn count(&self, target: usize, prediction: usize) -> u64 {
        if target < self.classes && prediction < self.classes {
            self.counts[target * self.classes + prediction]
        } else {
            0
        }
    }

    /// All pixels counted.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Pixels of each target class.
    #[must_use]
    pub fn target_counts(&self) -> Vec<u64> {
        self.counts
            .chunks_exact(self.classes)
            .map(|row| row.iter().sum())
            .collect()
    }

    /// Intersection over union of each class; None for a class in neither target nor prediction. A class
    /// that is predicted but not in the target has 0.
    #[must_use]
    pub fn class_iou(&self) -> Vec<Option<f64>> {
        let mut predicted = vec![0; self.classes];
        for row in self.counts.chunks_exact(self.classes) {
            for (sum, count) in predicted.iter_mut().zip(row) {
                *sum += count;
            }
        }
        let union =
            |class: usize, target: u64| target + predicted[class] - self.count(class, class);
        let targets = self.target_counts().into_iter().enumerate();
        targets
            .map(|(class, target)| ratio(self.count(class, class), union(class, target)))
            .collect()
    }

    /// Recall of each class; None for a class that is not in the target.
    #[must_use]
    pub fn class_recall(&self) -> Vec<Option<f64>> {
        let targets = self.target_counts().into_iter().enumerate();
        targets
            .map(|(class, target)| ratio(self.count(class, class), target))
            .collect()
    }

    /// The mean of [`ConfusionMatrix::class_iou`] over the classes that have one; None without a pixel.
    #[must_use]
    pub fn mean_iou(&self) -> Option<f64> {
        mean(&self.class_iou())
    }

    /// The mean of [`ConfusionMatrix::class_recall`] over the classes that have one; None without a pixel.
    #[must_use]
    pub fn mean_recall(&self) -> Option<f64> {
        mean(&self.class_recall())
    }

    /// Correct pixels over all; None without a pixel.
    #[must_use]
    pub fn pixel_accuracy(&self) -> Option<f64> {
        let correct = (0..self.classes)
            .map(|class| self.count(class, class))
            .sum();
        ratio(correct, self.total())
    }

    /// The IoU of each class weighted by its share of the target; None without a pixel.
    #[must_use]
    pub fn frequency_weighted_iou(&self) -> Option<f64> {
        let total = self.total();
        let weighted = |(count, iou): (u64, Option<f64>)| count as f64 * iou.unwrap_or(0.0);
        let sum: f64 = self
            .target_counts()
            .into_iter()
            .zip(self.class_iou())
            .map(weighted)
            .sum();
        (total > 0).then(|| sum / total as f64)
    }
}

/// A quotient of counts, None for 0/0 and the like.
pub(crate) fn ratio(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

/// The mean of the values there are.
pub(crate) fn mean(values: &[Option<f64>]) -> Option<f64> {
    let count = values.iter().flatten().count();
    let sum: f64 = values.iter().flatten().sum();
    (count > 0).then(|| sum / count as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_that_is_only_predicted_counts_as_zero_and_an_absent_one_not_at_all() {
        let matrix = ConfusionMatrix::of(4, &[0u8, 0, 2, 2], &[0u8, 0, 0, 0]).unwrap();
        assert_eq!(matrix.class_iou(), [Some(0.5), None, Some(0.0), None]);
        assert_eq!(matrix.mean_iou(), Some(0.25));
        assert_eq!(matrix.class_recall(), [Some(0.5), None, None, None]);
        assert_eq!(matrix.mean_recall(), Some(0.5));
        assert_eq!(matrix.frequency_weighted_iou(), Some(0.5));
    }

    #[test]
    fn nothing_counted_has_no_score() {
        let matrix = ConfusionMatrix::of(2, &[0u8, 255], &[255u8, 1]).unwrap();
        assert_eq!(matrix.total(), 0);
        assert_eq!(matrix.mean_iou(), None);
        assert_eq!(matrix.pixel_accuracy(), None);
        assert_eq!(matrix.frequency_weighted_iou(), None);
    }

    #[test]
    fn wrong_shapes_and_class_counts_are_errors() {
        assert!(matches!(
            ConfusionMatrix::new(0),
            Err(VisionError::ClassCount { found: 0, .. })
        ));
        assert!(ConfusionMatrix::new(MAX_CLASSES + 1).is_err());
        assert!(matches!(
            ConfusionMatrix::of(2, &[0u8], &[0u16, 1]),
            Err(VisionError::Length {
                found: 1,
                expected: 2,
                ..
            })
        ));
        let mut two = ConfusionMatrix::new(2).unwrap();
        assert!(two.merge(&ConfusionMatrix::new(3).unwrap()).is_err());
    }
}
