//! Dense arrays of shape (N, C, H, W) in row-major order, the layout of a contiguous PyTorch
//! tensor, and the two means.

use super::FieldError;

/// A dense array of shape (N, C, H, W) in row-major order, never empty.
#[derive(Clone, Debug, PartialEq)]
pub struct Field<T = f64> {
    shape: [usize; 4],
    data: Vec<T>,
}

impl Field {
    /// A field of values in row-major order.
    ///
    /// # Errors
    ///
    /// [`FieldError::Length`] where the values do not fill the shape, or it is empty.
    pub fn new(shape: [usize; 4], data: Vec<f64>) -> Result<Self, FieldError> {
        let size = shape
            .iter()
            .try_fold(1usize, |size, axis| size.checked_mul(*axis));
        if data.is_empty() || size != Some(data.len()) {
            return Err(FieldError::Length {
                shape,
                found: data.len(),
            });
        }
        Ok(Self { shape, data })
    }

    pub(super) fn filled(shape: [usize; 4], value: f64) -> Self {
        let data = vec![value; shape.iter().product()];
        Self { shape, data }
    }

    pub(super) fn map(&self, f: impl FnMut(f64) -> f64) -> Self {
        let data = self.data.iter().copied().map(f).collect();
        let shape = self.shape;
        Self { shape, data }
    }

    pub(super) fn add(&mut self, other: &Self) {
        for (to, from) in self.data.iter_mut().zip(&other.data) {
            *to += from;
        }
    }

    pub(super) fn data_mut(&mut self) -> &mut [f64] {
        &mut self.data
    }
}

impl<T: Copy> Field<T> {
    /// (N, C, H, W), each at least 1.
    #[must_use]
    pub fn shape(&self) -> [usize; 4] {
        self.shape
    }

    /// The values in row-major order.
    #[must_use]
    pub fn data(&self) -> &[T] {
        &self.data
    }

    /// Combines two fields of one shape.
    pub(super) fn zip<U: Copy, V>(&self, other: &Field<U>, f: impl Fn(T, U) -> V) -> Field<V> {
        let pairs = self.data.iter().zip(&other.data);
        Field {
            shape: self.shape,
            data: pairs.map(|(a, b)| f(*a, *b)).collect(),
        }
    }
}

/// Replaces every value by the mean of its group; `group` maps an index to one of `groups`.
fn mean_by(field: &Field, groups: usize, group: impl Fn(usize) -> usize) -> Field {
    let mut sums = vec![0.0; groups];
    for (at, value) in field.data.iter().enumerate() {
        sums[group(at)] += value;
    }
    let count = (field.data.len() / groups) as f64;
    let data = (0..field.data.len())
        .map(|at| sums[group(at)] / count)
        .collect();
    Field {
        shape: field.shape,
        data,
    }
}

/// The mean over N, H and W, broadcast back.
pub(super) fn mean_nhw(field: &Field) -> Field {
    let [_, c, h, w] = field.shape;
    mean_by(field, c, |at| at / (h * w) % c)
}

/// The mean over C, broadcast back.
pub(super) fn mean_c(field: &Field) -> Field {
    let [n, c, h, w] = field.shape;
    let plane = h * w;
    mean_by(field, n * plane, |at| at / (c * plane) * plane + at % plane)
}
