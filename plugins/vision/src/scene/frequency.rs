//! How often classes occur.

use serde::{Deserialize, Serialize};

use crate::Pack;
use crate::pack::{ITEM_SIDE, Item};

/// Pixels of ten of PASCAL VOC 2012's twenty classes in its 1,464 training masks: the first, the last and
/// eight evenly spaced between when the twenty are sorted by their pixels. They are those of person, bus, train, car,
/// motorbike, horse, bird, aeroplane, bottle and bicycle.
const VOC_PIXELS: [f64; 10] = [
    11_995_853.0,
    4_375_622.0,
    3_984_238.0,
    3_494_749.0,
    2_888_641.0,
    2_283_739.0,
    2_232_247.0,
    1_780_580.0,
    1_517_186.0,
    758_311.0,
];

/// How often items of a class are drawn for a scene, in every split alike.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Frequencies {
    /// Every class as often as another.
    #[default]
    Equal,
    /// A long tail: the shares of the classes' pixels are about those of ten classes of PASCAL VOC 2012, from 34 %
    /// of what is no background for the first to 2 % for the last.
    Voc,
}

impl Frequencies {
    /// How often each class is to be drawn, as whole numbers; none where all are drawn equally often.
    pub(super) fn weights(self, pack: &Pack) -> Option<Vec<usize>> {
        match self {
            Self::Equal => None,
            Self::Voc => {
                let classes = 1..pack.class_names().len() as u8;
                let weight = |(class, pixels): (u8, f64)| {
                    let items = pack.items().iter().filter(|item| item.class() == class);
                    let areas: Vec<f64> = items.map(area).collect();
                    let area = areas.iter().sum::<f64>() / areas.len() as f64;
                    // Thousands: what is drawn is below 2^32 in all.
                    (pixels / area / 1000.0).round() as usize
                };
                Some(classes.zip(VOC_PIXELS).map(weight).collect())
            }
        }
    }
}

/// The pixels of an item, as a share of a square with the longer side of its box.
fn area(item: &Item) -> f64 {
    let mask = item.mask();
    let lies = |row: usize, column: usize| mask[row * ITEM_SIDE + column] == 255;
    let rows = (0..ITEM_SIDE).filter(|&row| (0..ITEM_SIDE).any(|column| lies(row, column)));
    let columns = (0..ITEM_SIDE).filter(|&column| (0..ITEM_SIDE).any(|row| lies(row, column)));
    let side = rows.count().max(columns.count()).max(1);
    let pixels = mask.iter().filter(|&&value| value == 255).count();
    pixels as f64 / (side * side) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pack_has_a_class_for_every_count() {
        let pack = Pack::embedded().unwrap();
        let weights = Frequencies::Voc.weights(pack).unwrap();
        assert_eq!(weights.len(), pack.class_names().len() - 1);
        assert_eq!(weights.len(), VOC_PIXELS.len());
        assert!(weights.iter().sum::<usize>() < u32::MAX as usize);
        assert_eq!(Frequencies::Equal.weights(pack), None);
    }
}
