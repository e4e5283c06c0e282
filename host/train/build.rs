//! Run path to libtorch, and its version.

include!("../../plugin-api/libtorch_rpath.rs");

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
}
