//! A monotone curve through (0, 0) and (1, 1), made of quadratic Bézier segments.
//!
//! The control points rather than the paper's relative parameters are what is stored and read:
//! published curves are given as points, and a search can turn the one into the other.

use autoloss_plugin_api::Result;
use tch::Tensor;

/// Least divisor, against a division by zero; far below what a float resolves between 0 and 1.
const LEAST_DIVISOR: f64 = 1e-20;
/// Least du/ds that a slope is divided by, so that a vertical tangent has a finite gradient.
const LEAST_SPEED: f64 = 1e-6;

/// g of Auto-Seg-Loss (Li et al. 2021, section 3.2): (u, v) = (1−s)²·B₀ + 2s(1−s)·B₁ + s²·B₂ for
/// s from 0 to 1, one segment after the other. The first point is (0, 0) and the last (1, 1), so
/// truth tables hold; points rise in both coordinates, so the curve does.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Curve {
    /// Empty for the straight line.
    segments: Vec<Segment>,
}

/// B₀, B₁, B₂ of a segment.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Segment {
    u: [f64; 3],
    v: [f64; 3],
}

impl Curve {
    /// The curve with these control points [u, v] between (0, 0) and (1, 1): none for the straight
    /// line, else 1, 3, 5 … for 1, 2, 3 … segments; the paper has 3.
    ///
    /// # Errors
    /// An even number of points, a point outside the unit square or below the one before it, or a
    /// segment that is vertical throughout.
    pub fn new(inner: &[[f64; 2]]) -> Result<Self, String> {
        if inner.is_empty() {
            return Ok(Self::default());
        }
        if inner.len().is_multiple_of(2) {
            return Err(format!(
                "a curve has {} points, expected an odd number (2·segments − 1)",
                inner.len()
            ));
        }
        let mut points = vec![[0.0, 0.0]];
        points.extend_from_slice(inner);
        points.push([1.0, 1.0]);
        for pair in points.windows(2) {
            let (before, point) = (pair[0], pair[1]);
            // A comparison with NaN fails too.
            if !(0..2).all(|axis| before[axis] <= point[axis] && point[axis] <= 1.0) {
                return Err(format!(
                    "curve point {point:?} after {before:?}: expected both coordinates from 0 to 1 \
                     and none to fall"
                ));
            }
        }
        let segments: Vec<Segment> = (0..points.len() - 2)
            .step_by(2)
            .map(|at| Segment {
                u: std::array::from_fn(|i| points[at + i][0]),
                v: std::array::from_fn(|i| points[at + i][1]),
            })
            .collect();
        match segments.iter().find(|segment| segment.u[0] >= segment.u[2]) {
            Some(segment) => Err(format!(
                "a segment of a curve is vertical at u = {}: its ends must differ in u",
                segment.u[0]
            )),
            None => Ok(Self { segments }),
        }
    }

    /// The curve whose every point lies by these shares, from 0 to 1, of what is left to (1, 1)
    /// beyond the point before it: B_i = B_(i−1) + θ_i·(1 − B_(i−1)). Any shares give a monotone
    /// curve, which is why the paper searches them (recalled from its section 3.3).
    ///
    /// # Errors
    /// As [`Curve::new`]; shares beyond 0 to 1 are points that fall or leave the square.
    pub fn from_relative(shares: &[[f64; 2]]) -> Result<Self, String> {
        let mut point = [0.0, 0.0];
        let points: Vec<[f64; 2]> = shares
            .iter()
            .map(|share| {
                point = std::array::from_fn(|i| point[i] + share[i] * (1.0 - point[i]));
                point
            })
            .collect();
        Self::new(&points)
    }

    /// Whether it is the straight line g(u) = u, given as no point at all.
    pub fn is_straight(&self) -> bool {
        self.segments.is_empty()
    }

    /// g(u) for u from 0 to 1.
    pub fn value(&self, u: f64) -> f64 {
        let ends_after = |segment: &&Segment| u <= segment.u[2];
        let found = self.segments.iter().find(ends_after);
        found.or(self.segments.last()).map_or(u, |segment| {
            let [a, b, start] = polynomial(segment.u);
            let above = (u.min(segment.u[2]) - start).max(0.0);
            let root = (b * b + 4.0 * a * above).max(0.0).sqrt();
            let s = 2.0 * above / (b + root).max(LEAST_DIVISOR);
            let [a, b, start] = polynomial(segment.v);
            (a * s + b) * s + start
        })
    }

    /// g of every element, with g' as gradient.
    ///
    /// # Errors
    /// libtorch's own.
    pub(super) fn apply(&self, x: &Tensor) -> Result<Tensor> {
        if self.is_straight() {
            return Ok(x.shallow_clone());
        }
        let u = x.f_detach()?;
        let (mut value, mut slope) = (u.f_zeros_like()?, u.f_zeros_like()?);
        for segment in &self.segments {
            let (height, steepness) = segment.evaluate(&u)?;
            value = value.f_add(&height)?;
            slope = slope.f_add(&steepness)?;
        }
        // The slope is known in closed form and bounded; autograd through the root would give NaN
        // where a segment starts or ends upright.
        Ok(value.f_add(&x.f_sub(&u)?.f_mul(&slope)?)?)
    }
}

impl Segment {
    /// By how much the curve rises in this segment up to u, and its slope at u, 0 elsewhere.
    fn evaluate(&self, u: &Tensor) -> Result<(Tensor, Tensor)> {
        let [a, b, start] = polynomial(self.u);
        let above = u.f_sub_scalar(start)?.f_clamp(0.0, self.u[2] - start)?;
        let speed = above
            .f_mul_scalar(4.0 * a)?
            .f_add_scalar(b * b)?
            .f_clamp_min(0.0)?
            .f_sqrt()?;
        // du/ds at s is the root itself; this form of s has no cancellation, as b is not negative.
        let s = above
            .f_mul_scalar(2.0)?
            .f_div(&speed.f_add_scalar(b)?.f_clamp_min(LEAST_DIVISOR)?)?;
        let [a, b, _] = polynomial(self.v);
        let rise = s.f_mul_scalar(a)?.f_add_scalar(b)?.f_mul(&s)?;
        let slope = s
            .f_mul_scalar(2.0 * a)?
            .f_add_scalar(b)?
            .f_div(&speed.f_clamp_min(LEAST_SPEED)?)?;
        let mut inside = u.f_ones_like()?;
        if self.u[0] > 0.0 {
            inside = inside.f_mul(&u.f_gt(self.u[0])?)?;
        }
        if self.u[2] < 1.0 {
            inside = inside.f_mul(&u.f_le(self.u[2])?)?;
        }
        Ok((rise, slope.f_mul(&inside)?))
    }
}

/// (1−s)²·p₀ + 2s(1−s)·p₁ + s²·p₂ as a·s² + b·s + c.
fn polynomial([p0, p1, p2]: [f64; 3]) -> [f64; 3] {
    [p0 - 2.0 * p1 + p2, 2.0 * (p1 - p0), p0]
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::{Device, Kind};

    /// Points of the paper's programs for mIoU: nearly upright at 0.
    const STEEP: [[f64; 2]; 3] = [
        [3.65390355e-4, 0.984171689],
        [0.969491959, 0.992340326],
        [0.988328516, 0.995552719],
    ];

    fn curves() -> [Curve; 4] {
        [
            Curve::new(&STEEP).unwrap(),
            // Upright at 0, level at 1.
            Curve::new(&[[0.0, 1.0]]).unwrap(),
            // Level at 0, upright at 1.
            Curve::new(&[[1.0, 0.0]]).unwrap(),
            Curve::new(&[[0.2, 0.1], [0.4, 0.5], [0.5, 0.5], [0.6, 0.7], [0.6, 1.0]]).unwrap(),
        ]
    }

    #[test]
    fn curves_rise_from_corner_to_corner() {
        for curve in curves() {
            let grid: Vec<f64> = (0..=1000)
                .map(|i| curve.value(f64::from(i) / 1000.0))
                .collect();
            assert!(grid.is_sorted(), "{curve:?}");
            assert!(
                grid[0] == 0.0 && (grid[1000] - 1.0).abs() < 1e-12,
                "{curve:?}"
            );
        }
    }

    #[test]
    fn knots_and_known_points_are_met() {
        let [steep, upright, level, _] = curves();
        assert!((steep.value(0.969491959) - 0.992340326).abs() < 1e-12);
        // u = s², v = 2s − s², and the other way round.
        assert!((upright.value(0.25) - 0.75).abs() < 1e-12);
        assert!((level.value(0.75) - 0.25).abs() < 1e-12);
        assert_eq!(Curve::default().value(0.3), 0.3);
    }

    #[test]
    fn tensors_have_the_same_values_and_the_slopes_of_differences() {
        let u: Vec<f64> = (1..200).map(|i| (f64::from(i) + 0.37) / 201.0).collect();
        for curve in curves() {
            let x = Tensor::from_slice(&u).set_requires_grad(true);
            let value = curve.apply(&x).unwrap();
            value.sum(Kind::Double).backward();
            let found: Vec<f64> = Vec::try_from(&value).unwrap();
            let slopes: Vec<f64> = Vec::try_from(&x.grad()).unwrap();
            for ((&u, found), slope) in u.iter().zip(found).zip(slopes) {
                assert!((found - curve.value(u)).abs() < 1e-12, "{curve:?} at {u}");
                let step = 1e-7;
                let between = (curve.value(u + step) - curve.value(u - step)) / (2.0 * step);
                assert!(
                    (slope - between).abs() < 1e-4 * between.max(1.0),
                    "{curve:?} at {u}"
                );
            }
        }
    }

    #[test]
    fn slopes_are_finite_at_the_corners() {
        for curve in curves() {
            let x = Tensor::from_slice(&[0f32, 1.0, 1.000_001]).set_requires_grad(true);
            let value = curve.apply(&x).unwrap();
            value.sum(Kind::Float).backward();
            assert!(x.grad().isfinite().all().int64_value(&[]) == 1, "{curve:?}");
            let ends = Tensor::from_slice(&[0f32, 1.0, 1.0]).to_device(Device::Cpu);
            assert!(
                (value - ends).abs().max().double_value(&[]) < 1e-5,
                "{curve:?}"
            );
        }
    }

    #[test]
    fn any_shares_between_nothing_and_all_are_a_curve() {
        tch::manual_seed(8);
        for _ in 0..200 {
            let shares = Tensor::rand([5, 2], (Kind::Double, Device::Cpu));
            let shares: Vec<f64> = Vec::try_from(shares.view([-1])).unwrap();
            let shares: Vec<[f64; 2]> = shares.chunks(2).map(|pair| [pair[0], pair[1]]).collect();
            let curve = Curve::from_relative(&shares).unwrap();
            let grid: Vec<f64> = (0..=50).map(|i| curve.value(f64::from(i) / 50.0)).collect();
            assert!(grid.is_sorted() && grid[50] > 1.0 - 1e-9, "{shares:?}");
        }
        assert!(Curve::from_relative(&[[0.5, 1.2]]).is_err());
    }

    #[test]
    fn points_that_cannot_be_are_named() {
        for (points, expected) in [
            (vec![[0.5, 0.5], [0.7, 0.7]], "2 points"),
            (vec![[0.5, 0.5], [0.4, 0.7], [0.6, 0.9]], "[0.4, 0.7]"),
            (vec![[f64::NAN, 0.5]], "NaN"),
            (
                vec![[0.5, 0.5], [1.0, 0.7], [1.0, 0.9]],
                "vertical at u = 1",
            ),
            (
                vec![[0.0, 0.2], [0.0, 0.3], [0.5, 0.5]],
                "vertical at u = 0",
            ),
        ] {
            let message = Curve::new(&points).unwrap_err();
            assert!(message.contains(expected), "{points:?}: {message}");
        }
    }
}
