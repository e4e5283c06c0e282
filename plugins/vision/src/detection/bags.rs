//! Sums over positions of feature maps, many at once.
//!
//! All bins of all regions are one `embedding_bag` over the maps' positions: libtorch's own vectorised sum, which
//! never holds the sampled values, and whose gradient is that of the features.

use super::sample_points::AxisBins;
use autoloss_plugin_api::Result;
use tch::Tensor;

/// `embedding_bag`'s number of the weighted sum.
const SUM: i64 = 0;

/// Weighted sums of rows of a table. Whole numbers of 32 bits take less time to sort in the gradient.
pub(super) struct Bags {
    rows: Vec<i32>,
    weights: Vec<f32>,
    starts: Vec<i32>,
}

impl Bags {
    /// Room for `count` sums over a table of `rows`.
    pub(super) fn new(count: usize, rows: usize) -> Result<Self> {
        i32::try_from(rows)
            .map_err(|_| format!("{rows} positions of maps, expected at most 2³¹ − 1"))?;
        let mut starts = Vec::with_capacity(count + 1);
        starts.push(0);
        Ok(Self {
            rows: Vec::with_capacity(count * 9),
            weights: Vec::with_capacity(count * 9),
            starts,
        })
    }

    /// The bins of one region, whose map begins at row `first` and is `width` wide.
    pub(super) fn add(
        &mut self,
        down: &AxisBins,
        right: &AxisBins,
        first: usize,
        width: usize,
    ) -> Result<()> {
        for vertical in down.bins() {
            for horizontal in right.bins() {
                for (y, high) in vertical {
                    let row = first + y * width;
                    self.rows
                        .extend(horizontal.iter().map(|(x, _)| (row + x) as i32));
                    self.weights
                        .extend(horizontal.iter().map(|(_, wide)| high * wide));
                }
                let end = self.rows.len();
                self.starts
                    .push(i32::try_from(end).map_err(|_| "too many sample points of regions")?);
            }
        }
        Ok(())
    }

    pub(super) fn sums(&self, table: &Tensor) -> Result<Tensor> {
        let device = table.device();
        let rows = Tensor::f_from_slice(&self.rows)?.f_to_device(device)?;
        let starts = Tensor::f_from_slice(&self.starts)?.f_to_device(device)?;
        let weights = Tensor::f_from_slice(&self.weights)?.f_to_device(device)?;
        let weights = weights.f_to_kind(table.kind())?;
        let (sums, ..) = Tensor::f_embedding_bag(
            table,
            &rows,
            &starts,
            false,
            SUM,
            false,
            Some(&weights),
            true,
        )?;
        Ok(sums)
    }
}
