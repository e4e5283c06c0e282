//! What detection is judged by.

mod coco;
mod fit;

pub use coco::Coco;
pub use fit::Fit;

use autoloss_plugin_api::{MetricOptions, Result};

fn classes(options: &MetricOptions) -> Result<usize> {
    Ok(usize::try_from(options.task.whole("num_classes")?)?)
}
