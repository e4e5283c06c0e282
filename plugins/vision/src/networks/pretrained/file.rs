//! Reading named tensors: safetensors, and PyTorch's own archives where libtorch can.
//!
//! libtorch makes nothing of the ordered dictionaries that PyTorch's modules save, so most `.pth`
//! files have to be converted; `python/tools/to_safetensors.py` does it anywhere.

use autoloss_plugin_api::{Result, brief, tracing};
use std::fs::File;
use std::io::Read;
use std::path::Path;
use tch::Tensor;

/// The format of a file, by its first bytes.
#[derive(Debug, PartialEq, Eq)]
enum Format {
    Safetensors,
    /// An archive as `torch.save` writes it since PyTorch 1.6.
    Archive,
    /// The older format of `torch.save`: a program that only Python can run.
    Pickle,
    Other,
}

impl Format {
    fn of(start: &[u8]) -> Self {
        match start {
            // A length of eight bytes, then JSON. First, as its length may look like a pickle.
            [_, _, _, _, 0, 0, 0, 0, b'{', ..] => Self::Safetensors,
            [b'P', b'K', 3, 4, ..] => Self::Archive,
            [0x80, 2..=5, ..] => Self::Pickle,
            _ => Self::Other,
        }
    }
}

/// All tensors of a file by name.
///
/// # Errors
/// A file that cannot be read, with how to convert one of PyTorch's.
pub(super) fn read(file: &Path) -> Result<Vec<(String, Tensor)>> {
    let shown = file.display();
    let unreadable =
        |error: &dyn std::fmt::Display| format!("cannot read weights from {shown}: {error}");
    let mut start = Vec::new();
    File::open(file)
        .and_then(|opened| opened.take(16).read_to_end(&mut start))
        .map_err(|error| unreadable(&error))?;
    let tensors = match Format::of(&start) {
        Format::Safetensors => Tensor::read_safetensors(file),
        Format::Archive => {
            return Tensor::loadz_multi(file).map_err(|error| {
                tracing::debug!("libtorch on {shown}: {error}");
                let why = "libtorch takes only whole archives of plain dictionaries of tensors";
                format!("{}; {}", unreadable(&why), conversion(file)).into()
            });
        }
        Format::Pickle => {
            return Err(format!(
                "{} is in PyTorch's old format, which only Python reads; {}",
                shown,
                conversion(file)
            )
            .into());
        }
        Format::Other => {
            return Err(unreadable(&"neither safetensors nor an archive of PyTorch").into());
        }
    };
    tensors.map_err(|error| unreadable(&brief(&error)).into())
}

fn conversion(file: &Path) -> String {
    let (old, new) = (file.display(), file.with_extension("safetensors"));
    format!(
        "convert it with `python3 python/tools/to_safetensors.py {old} {}`, which needs no PyTorch",
        new.display()
    )
}
