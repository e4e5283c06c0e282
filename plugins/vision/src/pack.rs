//! The embedded pack: 2,000 clothing items with masks and forty regions of ten photographs.
//!
//! The pack is compiled into the crate, so a plugin runs on real pictures without any download, and
//! the data cannot be missing or of another version than the code. It is decoded once per process and
//! checked while it is: whatever is wrong with it is an error that names the file, never a panic later.
//!
//! Items come from Fashion-MNIST (Xiao, Rasul, Vollgraf 2017, MIT), backgrounds from CC0 and
//! public-domain photographs. Every photograph is cut into four quadrants with a gap between them, one
//! to a split: the splits share no pixel and have the same mix of subjects. The script that builds the
//! pack, its sources and its licences lie beside the pictures, in `pack/`.

mod decode;
mod files;
mod manifest;

use std::sync::OnceLock;

use crate::{Split, VisionError};

/// Side of an item's planes, pixels: a 28x28 tile with a margin of two empty pixels on every side.
pub const ITEM_SIDE: usize = 32;

/// A clothing item: its grey values and its mask, [`ITEM_SIDE`] squared each.
#[derive(Clone, Debug)]
pub struct Item {
    pub(crate) class: u8,
    pub(crate) split: Split,
    pub(crate) grey: Vec<u8>,
    pub(crate) mask: Vec<u8>,
}

impl Item {
    /// The item's class label, 1-based: 0 is the background.
    #[must_use]
    pub fn class(&self) -> u8 {
        self.class
    }

    /// The only split this item is used in.
    #[must_use]
    pub fn split(&self) -> Split {
        self.split
    }

    /// Grey values, row by row. Two pixels around the mask hold the mean of their masked neighbours, so
    /// that interpolation at the item's edge mixes in no black.
    #[must_use]
    pub fn grey(&self) -> &[u8] {
        &self.grey
    }

    /// 255 on the item, 0 elsewhere, row by row.
    #[must_use]
    pub fn mask(&self) -> &[u8] {
        &self.mask
    }
}

/// A part of a photograph that serves as background.
#[derive(Clone, Debug)]
pub struct Region {
    pub(crate) photograph: String,
    pub(crate) split: Split,
    pub(crate) grey: bool,
    pub(crate) width: usize,
    pub(crate) height: usize,
    pub(crate) pixels: Vec<u8>,
}

impl Region {
    /// The photograph's name.
    #[must_use]
    pub fn photograph(&self) -> &str {
        &self.photograph
    }

    /// The only split this region is used in.
    #[must_use]
    pub fn split(&self) -> Split {
        self.split
    }

    /// Whether the photograph is grey, its three channels equal.
    #[must_use]
    pub fn is_grey(&self) -> bool {
        self.grey
    }

    /// Columns, pixels.
    #[must_use]
    pub fn width(&self) -> usize {
        self.width
    }

    /// Rows, pixels.
    #[must_use]
    pub fn height(&self) -> usize {
        self.height
    }

    /// RGB bytes, row by row.
    #[must_use]
    pub fn pixels(&self) -> &[u8] {
        &self.pixels
    }
}

/// Items and regions of one split, by their index in the pack.
#[derive(Clone, Debug, Default)]
pub(crate) struct Members {
    /// For each class, in label order from 1.
    pub(crate) items_of_class: Vec<Vec<usize>>,
    pub(crate) regions: Vec<usize>,
}

/// The decoded pack.
///
/// ```
/// use autoloss_vision::{Pack, Split};
///
/// let pack = Pack::embedded()?;
/// assert_eq!(pack.items().len(), 2000);
/// assert_eq!(pack.class_names()[0], "background");
/// let trainers = pack.items().iter().filter(|item| item.split() == Split::Train);
/// assert_eq!(trainers.count(), 1000);
/// # Ok::<(), autoloss_vision::VisionError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Pack {
    class_names: Vec<String>,
    items: Vec<Item>,
    regions: Vec<Region>,
    members: [Members; 4],
}

impl Pack {
    /// The pack inside this crate, decoded on the first call (tens of milliseconds) and shared after.
    ///
    /// # Errors
    /// [`VisionError::Pack`] or [`VisionError::EmptySplit`] where the embedded files are damaged; every
    /// later call then returns the same error.
    pub fn embedded() -> Result<&'static Pack, VisionError> {
        static PACK: OnceLock<Result<Pack, VisionError>> = OnceLock::new();
        PACK.get_or_init(|| decode::pack(&files::EMBEDDED))
            .as_ref()
            .map_err(Clone::clone)
    }

    /// Class names by label, `background` first.
    #[must_use]
    pub fn class_names(&self) -> &[String] {
        &self.class_names
    }

    /// All items, in the order of the pack.
    #[must_use]
    pub fn items(&self) -> &[Item] {
        &self.items
    }

    /// All background regions.
    #[must_use]
    pub fn regions(&self) -> &[Region] {
        &self.regions
    }

    pub(crate) fn members(&self, split: Split) -> &Members {
        &self.members[split as usize]
    }

    /// Sorts items and regions by split and refuses a split from which no scene could be made.
    fn assemble(
        class_names: Vec<String>,
        items: Vec<Item>,
        regions: Vec<Region>,
    ) -> Result<Pack, VisionError> {
        let empty = Members {
            items_of_class: vec![Vec::new(); class_names.len() - 1],
            regions: Vec::new(),
        };
        let mut members: [Members; 4] = std::array::from_fn(|_| empty.clone());
        for (index, item) in items.iter().enumerate() {
            members[item.split as usize].items_of_class[usize::from(item.class) - 1].push(index);
        }
        for (index, region) in regions.iter().enumerate() {
            members[region.split as usize].regions.push(index);
        }
        for (split, held) in Split::ALL.into_iter().zip(&members) {
            if let Some(class) = held.items_of_class.iter().position(Vec::is_empty) {
                let missing = format!("item of class {:?}", class_names[class + 1]);
                return Err(VisionError::EmptySplit { split, missing });
            }
            if held.regions.is_empty() {
                let missing = "background".to_owned();
                return Err(VisionError::EmptySplit { split, missing });
            }
        }
        Ok(Pack {
            class_names,
            items,
            regions,
            members,
        })
    }
}
