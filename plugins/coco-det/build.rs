//! Run path to libtorch.

include!("../../plugin-api/libtorch_rpath.rs");

fn main() {
    link_libtorch();
}
