//! Label maps and their pictures, drawn from a seed.

/// Rows and columns of a map.
pub(crate) const SIDE: usize = 8;
/// Rows and columns of a patch of one class.
const PATCH: usize = 4;
/// How far a picture's values stray from their class's.
const NOISE: f32 = 0.3;

/// A map with its picture.
pub(crate) struct Map {
    /// SIDE × SIDE classes, row by row.
    pub(crate) labels: Vec<i64>,
    /// One plane of SIDE × SIDE values for each class: near 1 where the class is, near 0 elsewhere.
    pub(crate) image: Vec<f32>,
}

impl Map {
    /// The map of a number. Patches of one class, of which at least two occur.
    pub(crate) fn draw(number: u64) -> Self {
        let mut stream = Stream(number);
        let first = stream.below(crate::CLASSES as u64);
        let second = (first + 1 + stream.below(2)) % crate::CLASSES as u64;
        let patches = [first, second, stream.below(3), stream.below(3)];
        let across = SIDE / PATCH;
        let labels: Vec<i64> = (0..SIDE * SIDE)
            .map(|at| patches[at / SIDE / PATCH * across + at % SIDE / PATCH] as i64)
            .collect();
        let mut image = Vec::with_capacity(labels.len() * 3);
        for class in 0..crate::CLASSES {
            for &label in &labels {
                let value = if label == class { 1.0 } else { 0.0 };
                image.push(value + NOISE * stream.signed());
            }
        }
        Self { labels, image }
    }
}

/// SplitMix64.
pub(crate) struct Stream(pub(crate) u64);

impl Stream {
    /// The next number.
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// Between −1 and 1.
    fn signed(&mut self) -> f32 {
        (self.next() >> 40) as f32 / 8_388_608.0 - 1.0
    }
}
