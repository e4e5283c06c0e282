//! An item rendered at its size in the scene: coverage, grey values, outline.

use crate::pack::{ITEM_SIDE, Item};

/// Empty pixels round the item in a patch: room for its rim.
pub(super) const MARGIN: usize = 1;

/// The rotation about a tile's centre that takes an item to the scene, without its scale.
struct Pose {
    cosine: f32,
    sine: f32,
    mirror: f32,
}

/// A rendered item. Planes are row by row, `width * height`.
pub(super) struct Patch {
    pub(super) width: usize,
    pub(super) height: usize,
    /// How much of the pixel the item covers, 0 to 1, with an edge about one pixel wide.
    pub(super) coverage: Vec<f32>,
    /// Grey value, 0 to 255.
    pub(super) grey: Vec<f32>,
    /// The pixels that carry the item's label.
    pub(super) solid: Vec<bool>,
    /// The pixels that touch a solid one, diagonally too, and are not solid: the void rim.
    pub(super) rim: Vec<bool>,
}

impl Patch {
    /// Renders the item with a box whose longer side is `side` pixels, leaning by the angle whose half
    /// has the given tangent.
    pub(super) fn render(item: &Item, side: usize, tangent: f32, mirrored: bool) -> Patch {
        let pose = Pose::new(tangent, mirrored);
        let bounds = pose.bounds(&item.mask);
        let (wide, high) = (bounds[1] - bounds[0], bounds[3] - bounds[2]);
        let scale = side as f32 / wide.max(high);
        let fit = |length: f32| ((length * scale + 0.5) as usize).clamp(1, side);
        let (width, height) = (fit(wide) + 2 * MARGIN, fit(high) + 2 * MARGIN);
        let mut patch = Patch {
            width,
            height,
            coverage: vec![0.0; width * height],
            grey: vec![0.0; width * height],
            solid: vec![false; width * height],
            rim: vec![false; width * height],
        };
        let centre = ((bounds[0] + bounds[1]) / 2.0, (bounds[2] + bounds[3]) / 2.0);
        patch.sample(item, &pose, centre, scale);
        patch.outline();
        patch
    }

    /// Width without the margins.
    pub(super) fn inner_width(&self) -> usize {
        self.width - 2 * MARGIN
    }

    /// Height without the margins.
    pub(super) fn inner_height(&self) -> usize {
        self.height - 2 * MARGIN
    }

    fn sample(&mut self, item: &Item, pose: &Pose, centre: (f32, f32), scale: f32) {
        let half = ITEM_SIDE as f32 / 2.0;
        for y in MARGIN..self.height - MARGIN {
            let v = centre.1 + (y as f32 + 0.5 - self.height as f32 / 2.0) / scale;
            for x in MARGIN..self.width - MARGIN {
                let u = centre.0 + (x as f32 + 0.5 - self.width as f32 / 2.0) / scale;
                let (dx, dy) = pose.turned_back(u, v);
                let Some(tap) = PlaneTap::at(half + dx - 0.5, half + dy - 0.5) else {
                    continue;
                };
                let mask = tap.read(&item.mask) / 255.0;
                let here = y * self.width + x;
                // One step of the enlarged mask is 1/scale per pixel: multiplied back, the soft edge is
                // one pixel wide whatever the scale.
                self.coverage[here] = ((mask - 0.5) * scale + 0.5).clamp(0.0, 1.0);
                self.solid[here] = mask >= 0.5;
                self.grey[here] = tap.read(&item.grey);
            }
        }
    }

    /// Marks the rim, and keeps partial coverage to it: beyond the rim a pixel is background to the
    /// labels, so it must be background in the picture.
    fn outline(&mut self) {
        for y in 0..self.height {
            for x in 0..self.width {
                let here = y * self.width + x;
                if self.solid[here] {
                    continue;
                }
                let rows = y.saturating_sub(1)..(y + 2).min(self.height);
                let columns = x.saturating_sub(1)..(x + 2).min(self.width);
                self.rim[here] = rows
                    .map(|row| row * self.width)
                    .any(|row| self.solid[row + columns.start..row + columns.end].contains(&true));
                if !self.rim[here] {
                    self.coverage[here] = 0.0;
                }
            }
        }
    }
}

impl Pose {
    /// Sine and cosine from the tangent of half the angle need no transcendental function, whose last
    /// bit would differ between platforms.
    fn new(tangent: f32, mirrored: bool) -> Pose {
        let square = tangent * tangent;
        Pose {
            cosine: (1.0 - square) / (1.0 + square),
            sine: 2.0 * tangent / (1.0 + square),
            mirror: if mirrored { -1.0 } else { 1.0 },
        }
    }

    fn turned(&self, dx: f32, dy: f32) -> (f32, f32) {
        let dx = self.mirror * dx;
        (
            self.cosine * dx - self.sine * dy,
            self.sine * dx + self.cosine * dy,
        )
    }

    fn turned_back(&self, u: f32, v: f32) -> (f32, f32) {
        (
            self.mirror * (self.cosine * u + self.sine * v),
            self.cosine * v - self.sine * u,
        )
    }

    /// Left, right, top, bottom of the turned mask about the tile's centre, in tile pixels.
    fn bounds(&self, mask: &[u8]) -> [f32; 4] {
        let half = ITEM_SIDE as f32 / 2.0;
        let mut bounds = [f32::MAX, f32::MIN, f32::MAX, f32::MIN];
        for (index, _) in mask.iter().enumerate().filter(|(_, value)| **value != 0) {
            let dx = (index % ITEM_SIDE) as f32 + 0.5 - half;
            let dy = (index / ITEM_SIDE) as f32 + 0.5 - half;
            let (u, v) = self.turned(dx, dy);
            bounds[0] = bounds[0].min(u - 0.5);
            bounds[1] = bounds[1].max(u + 0.5);
            bounds[2] = bounds[2].min(v - 0.5);
            bounds[3] = bounds[3].max(v + 0.5);
        }
        bounds
    }
}

/// Four neighbouring pixels of an item's plane and their weights.
struct PlaneTap {
    first: usize,
    right: f32,
    down: f32,
}

impl PlaneTap {
    /// None outside the plane, where there is nothing of the item.
    fn at(x: f32, y: f32) -> Option<PlaneTap> {
        let last = (ITEM_SIDE - 1) as f32;
        if !(x >= 0.0 && x < last && y >= 0.0 && y < last) {
            return None;
        }
        let (column, row) = (x as usize, y as usize);
        Some(PlaneTap {
            first: row * ITEM_SIDE + column,
            right: x - column as f32,
            down: y - row as f32,
        })
    }

    fn read(&self, plane: &[u8]) -> f32 {
        let value = |offset: usize| f32::from(plane[self.first + offset]);
        let upper = value(0) + (value(1) - value(0)) * self.right;
        let lower = value(ITEM_SIDE) + (value(ITEM_SIDE + 1) - value(ITEM_SIDE)) * self.right;
        upper + (lower - upper) * self.down
    }
}
