//! From logits and label maps to the named inputs of a loss.
//!
//! The loss is taken at the resolution of the logits, not of the image: losses under search are
//! graphs of element-wise operators, whose cost grows with the number of positions, and a quarter
//! of the resolution trains the same network to nearly the same score. Labels are brought down by
//! taking one pixel of every block, so that y stays one-hot; averages would blur the borders into
//! soft labels that no formula of the literature expects.

use autoloss_plugin_api::{Result, Tensors};
use tch::{Kind, Tensor};

/// The row and column, in every block of `factor`² pixels, whose label the block gets.
///
/// [`upsample`] puts each logit back at exactly this pixel.
pub(crate) const fn sample_offset(factor: i64) -> i64 {
    factor / 2
}

/// Labels (N, H, W) at a `factor` of the resolution: one pixel of every block.
///
/// # Errors
/// A shape that is not (N, H, W) with H and W multiples of `factor`.
pub(crate) fn reduce_labels(labels: &Tensor, factor: i64) -> Result<Tensor> {
    let shape = labels.size();
    let [_, height, width] = shape[..] else {
        return Err(format!("labels have shape {shape:?}, expected (N, H, W)").into());
    };
    if factor < 1 || height % factor != 0 || width % factor != 0 {
        return Err(format!(
            "labels of {height}x{width} pixels do not divide into blocks of {factor}"
        )
        .into());
    }
    let offset = sample_offset(factor);
    Ok(labels
        .f_slice(1, offset, height, factor)?
        .f_slice(2, offset, width, factor)?)
}

/// The one-hot coding (N, C, H, W) of labels (N, H, W), and where it holds a one, (N, 1, H, W).
///
/// Labels from C on, such as 255 for void, have no channel: their position is zero throughout.
///
/// ```
/// use tch::Tensor;
/// use voc_seg::one_hot;
///
/// let labels = Tensor::from_slice(&[0u8, 2, 255, 1]).view([1, 2, 2]);
/// let (y, valid) = one_hot(&labels, 3)?;
/// assert_eq!(y.size(), [1, 3, 2, 2]);
/// assert_eq!(valid, Tensor::from_slice(&[1f32, 1.0, 0.0, 1.0]).view([1, 1, 2, 2]));
/// # Ok::<(), autoloss_plugin_api::Error>(())
/// ```
///
/// # Errors
/// libtorch's own.
pub fn one_hot(labels: &Tensor, classes: i64) -> Result<(Tensor, Tensor)> {
    let labels = labels.f_unsqueeze(1)?;
    let channels =
        Tensor::f_arange(classes, (labels.kind(), labels.device()))?.f_view([1, classes, 1, 1])?;
    let y = labels.f_eq_tensor(&channels)?.f_to_kind(Kind::Float)?;
    let valid = labels
        .f_lt(classes)?
        .f_logical_and(&labels.f_ge(0)?)?
        .f_to_kind(Kind::Float)?;
    Ok((y, valid))
}

/// The inputs of branch `seg`: ŷ, the softmax of the logits (N, C, h, w), and y, the one-hot labels,
/// both zero where the label is void. `labels` are (N, H, W) with H/h and W/w the same whole number.
///
/// # Errors
/// Shapes that do not fit each other.
pub(crate) fn branch_inputs(logits: &Tensor, labels: &Tensor) -> Result<Tensors> {
    let factor = reduction(&logits.size(), &labels.size())?;
    let (y, valid) = one_hot(&reduce_labels(labels, factor)?, logits.size()[1])?;
    let yhat = logits.f_softmax(1, Kind::Float)?.f_mul(&valid)?;
    Ok(Tensors::new().with("yhat", yhat).with("y", y))
}

/// Logits (N, C, h, w) bilinearly at `factor` times the resolution, the value of each logit at the
/// pixel that [`reduce_labels`] took its label from.
///
/// # Errors
/// libtorch's own.
pub(crate) fn upsample(logits: &Tensor, factor: i64) -> Result<Tensor> {
    let [_, _, height, width] = logits.size()[..] else {
        return Err(format!(
            "logits have shape {:?}, expected (N, C, h, w)",
            logits.size()
        )
        .into());
    };
    if factor <= 1 {
        return Ok(logits.shallow_clone());
    }
    // With aligned corners the logits fall on pixels 0, factor, 2·factor …; the border is repeated.
    let between = [(height - 1) * factor + 1, (width - 1) * factor + 1];
    let (before, after) = (sample_offset(factor), factor - 1 - sample_offset(factor));
    let inner = logits.f_upsample_bilinear2d(between, true, None, None)?;
    Ok(inner.f_replication_pad2d([before, after, before, after])?)
}

/// How many times finer the labels are than the logits.
fn reduction(logits: &[i64], labels: &[i64]) -> Result<i64> {
    if let (&[n, _, h, w], &[m, height, width]) = (logits, labels)
        && n == m
        && h > 0
        && height % h == 0
        && height / h > 0
        && width == height / h * w
    {
        return Ok(height / h);
    }
    Err(format!(
        "logits {logits:?} and labels {labels:?} do not fit: expected (N, C, h, w) and \
         (N, k·h, k·w) with a whole number k"
    )
    .into())
}

/// What metrics evaluate: the class of the largest logit at every pixel, `labels`, bytes (N, H, W).
pub(crate) fn predicted(logits: &Tensor) -> Result<Tensors> {
    let labels = logits.f_argmax(1, false)?.f_to_kind(Kind::Uint8)?;
    Ok(Tensors::new().with("labels", labels))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::Device;

    fn labels() -> Tensor {
        let values: Vec<u8> = (0..2 * 8 * 8)
            .map(|i| if i % 7 == 3 { 255 } else { (i % 5) as u8 })
            .collect();
        Tensor::from_slice(&values).view([2, 8, 8])
    }

    #[test]
    fn one_hot_sums_to_one_except_at_void() {
        let (y, valid) = one_hot(&labels(), 5).unwrap();
        let sums = y.sum_dim_intlist([1i64].as_slice(), true, Kind::Float);
        assert_eq!(sums, valid);
        assert_eq!(valid.sum(Kind::Float).double_value(&[]), 128.0 - 18.0);
    }

    #[test]
    fn inputs_are_zero_at_void_and_sum_to_one_elsewhere() {
        let logits = Tensor::randn([2, 5, 4, 4], (Kind::Float, Device::Cpu));
        let inputs = branch_inputs(&logits, &labels()).unwrap();
        let (_, valid) = one_hot(&reduce_labels(&labels(), 2).unwrap(), 5).unwrap();
        assert!(valid.min().double_value(&[]) < 1.0);
        for name in ["yhat", "y"] {
            let sums =
                inputs
                    .get(name)
                    .unwrap()
                    .sum_dim_intlist([1i64].as_slice(), true, Kind::Float);
            assert!(
                (sums - &valid).abs().max().double_value(&[]) < 1e-6,
                "{name}"
            );
        }
    }

    #[test]
    fn upsampling_puts_logits_where_their_labels_were_taken() {
        let logits = Tensor::randn([2, 5, 4, 4], (Kind::Float, Device::Cpu));
        for factor in [1, 2, 3, 4] {
            let full = upsample(&logits, factor).unwrap();
            assert_eq!(full.size(), [2, 5, 4 * factor, 4 * factor]);
            let offset = sample_offset(factor);
            let back = full
                .slice(2, offset, None, factor)
                .slice(3, offset, None, factor);
            assert!(
                (back - &logits).abs().max().double_value(&[]) < 1e-5,
                "factor {factor}"
            );
        }
    }

    #[test]
    fn shapes_that_do_not_fit_are_named() {
        let logits = Tensor::zeros([2, 5, 3, 3], (Kind::Float, Device::Cpu));
        let error = branch_inputs(&logits, &labels()).unwrap_err().to_string();
        assert!(
            error.contains("[2, 5, 3, 3]") && error.contains("[2, 8, 8]"),
            "{error}"
        );
        assert!(reduce_labels(&labels(), 3).is_err());
    }
}
