//! `doctor`: what this machine and installation can do.

use crate::Outcome;
use crate::args::DoctorArgs;
use anyhow::{Result, bail};
use autoloss_train::plugin::{Plugin, locate};
use autoloss_train::runtime;
use tch::{Device, Kind, Tensor};

/// Prints it; an error at the end where something does not work.
pub(crate) fn run(args: &DoctorArgs) -> Result<Outcome> {
    let mut broken = 0;
    let mut say = |good: bool, what: String| {
        println!("{} {what}", if good { "ok   " } else { "FAIL " });
        broken += usize::from(!good);
    };
    say(true, format!("autoloss-host {}", env!("CARGO_PKG_VERSION")));
    let product = Tensor::f_ones([2, 2], (Kind::Float, Device::Cpu))
        .and_then(|ones| ones.f_matmul(&ones))
        .and_then(|product| product.f_double_value(&[0, 0]));
    let works = product.as_ref().is_ok_and(|value| *value == 2.0);
    say(
        works,
        format!(
            "libtorch {}: a product of matrices",
            runtime::libtorch_version()
        ),
    );
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    say(
        true,
        format!(
            "{cores} core(s), libtorch uses {} thread(s)",
            tch::get_num_threads()
        ),
    );
    match runtime::gpus() {
        0 => say(
            true,
            "no GPU (libtorch's CUDA part or a device is missing): training on the CPU".into(),
        ),
        count => say(true, format!("{count} GPU(s)")),
    }
    let folder = std::env::current_dir()?;
    let probe = tempfile_in(&folder);
    say(
        probe.is_ok(),
        format!("the current folder {} can be written", folder.display()),
    );
    for name in &args.plugins {
        match locate(name).and_then(|path| Plugin::load(&path)) {
            Ok(plugin) => {
                let info = plugin.info();
                say(
                    true,
                    format!(
                        "plugin {} {} ({})",
                        info.name,
                        info.version,
                        plugin.path().display()
                    ),
                );
            }
            Err(error) => say(false, error.to_string()),
        }
    }
    if broken > 0 {
        bail!("{broken} of the above do not work");
    }
    Ok(Outcome::Done)
}

fn tempfile_in(folder: &std::path::Path) -> std::io::Result<()> {
    let path = folder.join(format!(".autoloss-doctor-{}", std::process::id()));
    std::fs::write(&path, b"")?;
    std::fs::remove_file(path)
}
