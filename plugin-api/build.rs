//! Run path to libtorch, and the versions the handshake reports.

use std::process::Command;

include!("libtorch_rpath.rs");

fn main() {
    link_libtorch();
    let libtorch = std::env::var("LIBTORCH").unwrap_or_default();
    let file = format!("{libtorch}/build-version");
    println!("cargo:rerun-if-changed={file}");
    let version = std::fs::read_to_string(file).unwrap_or_else(|_| "unknown".into());
    println!(
        "cargo:rustc-env=AUTOLOSS_LIBTORCH_VERSION={}",
        version.trim()
    );
    let rustc = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".into());
    let output = Command::new(rustc).arg("--version").output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    println!(
        "cargo:rustc-env=AUTOLOSS_RUSTC={}",
        text.unwrap_or_else(|_| "unknown".into())
    );
    let target = std::env::var("TARGET").unwrap_or_default();
    println!("cargo:rustc-env=AUTOLOSS_TARGET={target}");
}
