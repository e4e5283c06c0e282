//! Run path to libtorch, and the C++ shim over what tch does not bind.

include!("../../plugin-api/libtorch_rpath.rs");

fn main() {
    link_libtorch();
    let libtorch = std::env::var("LIBTORCH").unwrap_or_default();
    println!("cargo:rerun-if-changed=shim/shim.cpp");
    cc::Build::new()
        .cpp(true)
        .std("c++17")
        .file("shim/shim.cpp")
        .include(format!("{libtorch}/include"))
        .opt_level(1)
        // libtorch's own headers warn.
        .warnings(false)
        .compile("autoloss_shim");
}
