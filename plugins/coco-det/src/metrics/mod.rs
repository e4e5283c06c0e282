//! The scores of detection.

mod coco;
mod fit;

pub use coco::Coco;
pub use fit::Fit;
