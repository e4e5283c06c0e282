//! `doctor`: what this machine and installation can do.

use crate::Outcome;
use crate::args::DoctorArgs;
use crate::terminal::{color, hint, output};
use anyhow::{Result, bail};
use autoloss_train::plugin::{Plugin, locate};
use autoloss_train::runtime;
use serde::Serialize;
use std::path::Path;
use tch::{Device, Kind, Tensor};

/// Something that was tried.
#[derive(Serialize)]
struct Check {
    works: bool,
    what: String,
}

impl Check {
    fn new(works: bool, what: String) -> Self {
        Self { works, what }
    }
}

/// Prints it; an error at the end where something does not work.
pub(crate) fn run(args: &DoctorArgs) -> Result<Outcome> {
    let machine = [
        || {
            Ok(Check::new(
                true,
                format!("autoloss-host {}", env!("CARGO_PKG_VERSION")),
            ))
        },
        || Ok(libtorch()),
        || Ok(cores()),
        || Ok(gpus()),
        folder,
    ];
    let mut checks = Vec::new();
    let mut note = |check: Check| -> Result<()> {
        if !args.json {
            output::print(&line(&check))?;
        }
        checks.push(check);
        Ok(())
    };
    for check in machine {
        note(check()?)?;
    }
    for name in &args.plugins {
        note(plugin(name))?;
    }
    let broken = checks.iter().filter(|check| !check.works).count();
    if args.json {
        output::json(&checks)?;
    }
    if broken > 0 {
        bail!("{broken} of the above do not work");
    }
    Ok(Outcome::Done)
}

fn line(check: &Check) -> String {
    let word = if check.works {
        color::good("ok   ")
    } else {
        color::bad("FAIL ")
    };
    format!("{word} {}", check.what)
}

fn libtorch() -> Check {
    let product = Tensor::f_ones([2, 2], (Kind::Float, Device::Cpu))
        .and_then(|ones| ones.f_matmul(&ones))
        .and_then(|product| product.f_double_value(&[0, 0]));
    let works = product.as_ref().is_ok_and(|value| *value == 2.0);
    let version = runtime::libtorch_version();
    Check::new(works, format!("libtorch {version}: a product of matrices"))
}

fn cores() -> Check {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = tch::get_num_threads();
    Check::new(
        true,
        format!("{cores} core(s), libtorch uses {threads} thread(s)"),
    )
}

fn gpus() -> Check {
    let what = match runtime::gpus() {
        0 => "no GPU (libtorch's CUDA part or a device is missing): training on the CPU".into(),
        count => format!("{count} GPU(s)"),
    };
    Check::new(true, what)
}

fn folder() -> Result<Check> {
    let folder = std::env::current_dir()?;
    let what = format!("the current folder {} can be written", folder.display());
    Ok(Check::new(can_be_written(&folder), what))
}

fn can_be_written(folder: &Path) -> bool {
    let path = folder.join(format!(".autoloss-doctor-{}", std::process::id()));
    std::fs::write(&path, b"")
        .and_then(|()| std::fs::remove_file(path))
        .is_ok()
}

fn plugin(name: &Path) -> Check {
    match locate(name).and_then(|path| Plugin::load(&path)) {
        Ok(plugin) => {
            let (info, path) = (plugin.info(), plugin.path().display());
            Check::new(
                true,
                format!("plugin {} {} ({path})", info.name, info.version),
            )
        }
        Err(error) => Check::new(false, hint::of_plugin(&error)),
    }
}
