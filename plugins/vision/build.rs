//! Run path to libtorch, which the feature `networks` links.

include!("../../plugin-api/libtorch_rpath.rs");

fn main() {
    if std::env::var_os("CARGO_FEATURE_NETWORKS").is_some() {
        link_libtorch();
    }
}
