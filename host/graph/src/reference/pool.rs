//! Pooling over 3×3 windows with stride 1 and padding that never wins, keeping for each output which
//! input it came from. As in PyTorch's kernels a later value wins only by being greater or by being
//! NaN: among equals the first in row-major order stays, and NaN spreads.

use super::field::Field;

/// A pooled field and where each of its values came from.
pub(super) struct Pool {
    pub(super) value: Field,
    origin: Vec<usize>,
}

impl Pool {
    /// The maxima.
    pub(super) fn of(field: &Field) -> Self {
        let [n, c, h, w] = field.shape();
        let mut value = field.clone();
        let mut origin = vec![0; value.data().len()];
        for plane in 0..n * c {
            for row in 0..h {
                for column in 0..w {
                    let at = (plane * h + row) * w + column;
                    let best = window(row, h)
                        .flat_map(|y| window(column, w).map(move |x| (plane * h + y) * w + x))
                        .reduce(|best, next| {
                            let (kept, new) = (field.data()[best], field.data()[next]);
                            if new > kept || new.is_nan() {
                                next
                            } else {
                                best
                            }
                        })
                        .unwrap_or(at);
                    origin[at] = best;
                    value.data_mut()[at] = field.data()[best];
                }
            }
        }
        Self { value, origin }
    }

    /// Sends each gradient to where the value came from.
    pub(super) fn back(&self, g: &Field) -> Field {
        let mut sent = Field::filled(g.shape(), 0.0);
        for (from, to) in self.origin.iter().enumerate() {
            sent.data_mut()[*to] += g.data()[from];
        }
        sent
    }
}

/// The minima, as −maxpool(−x).
pub(super) fn min_pool(field: &Field) -> Pool {
    let mut pool = Pool::of(&field.map(|x| -x));
    pool.value = pool.value.map(|x| -x);
    pool
}

/// The neighbours of a coordinate that lie inside.
fn window(at: usize, size: usize) -> std::ops::Range<usize> {
    at.saturating_sub(1)..(at + 2).min(size)
}
