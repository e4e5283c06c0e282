// Included by the build scripts of every package whose programs or tests load libtorch.
//
// Link arguments do not travel from a dependency to its dependents, so each package says where
// libtorch is. DT_RPATH rather than RUNPATH: it also holds for what a loaded plugin needs. With
// AUTOLOSS_RPATH=none nothing is said: a package is used where libtorch lies elsewhere, and its
// launcher tells the dynamic loader.
fn link_libtorch() {
    println!("cargo:rerun-if-env-changed=LIBTORCH");
    println!("cargo:rerun-if-env-changed=AUTOLOSS_RPATH");
    if std::env::var_os("AUTOLOSS_RPATH").is_some_and(|value| value == "none") {
        return;
    }
    if let Ok(libtorch) = std::env::var("LIBTORCH") {
        println!("cargo:rustc-link-arg=-Wl,-rpath,{libtorch}/lib,--disable-new-dtags");
    }
}
