//! `bin/autoloss-host` of a package: finds PyTorch's libtorch and becomes the program that needs it.
//!
//! The program links libtorch, which is not packaged: it has hundreds of megabytes, and with CUDA
//! gigabytes, and whoever trains networks has it already. The dynamic loader needs to know where it is
//! before the program's first instruction, so another program has to find out. That is this one and no
//! shell script, since paths may hold anything, and the search can be tested piece by piece.

mod search;

use search::{Surroundings, find};
use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// Where the dynamic loader looks first.
const LOADER: &str = "LD_LIBRARY_PATH";

fn main() -> ExitCode {
    eprintln!("error: {}", start());
    ExitCode::FAILURE
}

/// Becomes the program; returns only why it could not.
fn start() -> String {
    let package = match package() {
        Ok(package) => package,
        Err(error) => return format!("cannot find out where this program lies: {error}"),
    };
    let torch = match find(&Surroundings::of_process(&package)) {
        Ok(torch) => torch,
        Err(missing) => return missing.to_string(),
    };
    let program = package.join("libexec/autoloss-host");
    let error = Command::new(&program)
        .args(std::env::args_os().skip(1))
        .env(LOADER, first(&torch.join("lib"), std::env::var_os(LOADER)))
        .exec();
    format!("cannot start {}: {error}", program.display())
}

/// The folder that the package was unpacked to, whatever links lead here.
fn package() -> std::io::Result<PathBuf> {
    let program = std::env::current_exe()?.canonicalize()?;
    let folder = program.ancestors().nth(2).unwrap_or(Path::new("/"));
    Ok(folder.to_owned())
}

/// A list of folders with one put first.
fn first(folder: &Path, list: Option<OsString>) -> OsString {
    let mut all = folder.as_os_str().to_owned();
    if let Some(list) = list.filter(|list| !list.is_empty()) {
        all.push(":");
        all.push(list);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_user_has_set_for_the_loader_stays() {
        let torch = Path::new("/t/lib");
        assert_eq!(first(torch, None), "/t/lib");
        assert_eq!(first(torch, Some("".into())), "/t/lib");
        assert_eq!(first(torch, Some("/a:/b".into())), "/t/lib:/a:/b");
    }
}
