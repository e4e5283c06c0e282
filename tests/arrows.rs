//! The arrows of docs/architecture.md, held: which crate of the workspace may depend on which, and what
//! the pure ones must not know.

#![allow(clippy::unwrap_used, reason = "a failure is a failed test")]

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, Package};
use std::collections::{BTreeMap, BTreeSet};

/// What each crate may depend on, of the workspace. Tests may look further.
const ARROWS: [(&str, &[&str]); 16] = [
    ("autoloss-spec", &[]),
    ("autoloss-graph", &["spec"]),
    ("autoloss-engine", &["graph", "spec"]),
    ("autoloss-search", &["graph", "spec"]),
    ("autoloss-jobs", &["search", "spec"]),
    ("autoloss-run", &["graph", "search", "spec"]),
    ("autoloss-export", &["graph", "spec"]),
    (
        "autoloss-report",
        &["export", "graph", "run", "search", "spec"],
    ),
    (
        "autoloss-train",
        &["engine", "graph", "plugin-api", "search", "spec"],
    ),
    (
        "autoloss-host",
        &[
            "export",
            "graph",
            "jobs",
            "plugin-api",
            "report",
            "run",
            "search",
            "spec",
            "train",
        ],
    ),
    ("autoloss-launcher", &[]),
    ("autoloss-plugin-api", &["spec"]),
    ("autoloss-vision", &["plugin-api", "spec"]),
    ("voc-seg", &["plugin-api", "vision"]),
    ("coco-det", &["plugin-api", "vision"]),
    ("xtask", &[]),
];

/// What a crate must not know, through whatever it depends on.
const MUST_NOT_KNOW: [(&str, &[&str]); 9] = [
    ("autoloss-spec", &["tch", "rusqlite", "libloading", "rayon"]),
    (
        "autoloss-graph",
        &["tch", "rusqlite", "libloading", "rayon"],
    ),
    ("autoloss-engine", &["tch", "rusqlite", "libloading"]),
    (
        "autoloss-search",
        &["tch", "rusqlite", "libloading", "rayon"],
    ),
    ("autoloss-jobs", &["tch", "rusqlite", "libloading"]),
    ("autoloss-run", &["tch", "libloading"]),
    ("autoloss-export", &["tch", "rusqlite", "libloading"]),
    ("autoloss-report", &["tch", "libloading"]),
    ("autoloss-train", &["rusqlite"]),
];

/// What a build on this system has fetched; packages of other systems alone may be missing.
fn metadata() -> Metadata {
    MetadataCommand::new()
        .manifest_path(concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml"))
        .other_options(
            [
                "--locked",
                "--offline",
                "--filter-platform=x86_64-unknown-linux-gnu",
            ]
            .map(str::to_owned),
        )
        .exec()
        .unwrap()
}

/// The names of a package's own dependencies, those of its tests left out.
fn dependencies(package: &Package) -> BTreeSet<&str> {
    let own = package.dependencies.iter();
    own.filter(|dependency| dependency.kind == DependencyKind::Normal)
        .map(|dependency| dependency.name.as_str())
        .collect()
}

#[test]
fn every_arrow_is_one_of_the_map() {
    let metadata = metadata();
    let packages = metadata.workspace_packages();
    let members: BTreeSet<&str> = packages
        .iter()
        .map(|package| package.name.as_str())
        .collect();
    for package in &packages {
        let Some((_, allowed)) = ARROWS
            .iter()
            .find(|(name, _)| *name == package.name.as_str())
        else {
            continue;
        };
        let own = dependencies(package);
        for name in own.intersection(&members) {
            let short = name.strip_prefix("autoloss-").unwrap_or(name);
            assert!(
                allowed.contains(&short),
                "{} depends on {name}: an arrow that docs/architecture.md does not have",
                package.name
            );
        }
    }
    let tested: BTreeSet<&str> = ARROWS.iter().map(|(name, _)| *name).collect();
    let left: Vec<_> = members.difference(&tested).collect();
    assert_eq!(left, [&"autoloss-tests", &"misbehaving"]);
}

#[test]
fn no_crate_knows_what_it_must_not() {
    let metadata = metadata();
    let resolve = metadata.resolve.as_ref().unwrap();
    let names: BTreeMap<_, _> = metadata
        .packages
        .iter()
        .map(|package| (&package.id, package.name.as_str()))
        .collect();
    let nodes: BTreeMap<_, _> = resolve.nodes.iter().map(|node| (&node.id, node)).collect();
    for (name, forbidden) in MUST_NOT_KNOW {
        let start = metadata.packages.iter().find(|p| p.name.as_str() == name);
        let (mut seen, mut open) = (BTreeSet::new(), vec![&start.unwrap().id]);
        while let Some(id) = open.pop() {
            if !seen.insert(names[id]) {
                continue;
            }
            let further = nodes[id].deps.iter().filter(|dependency| {
                let kinds = dependency.dep_kinds.iter();
                kinds
                    .into_iter()
                    .any(|kind| kind.kind == DependencyKind::Normal)
            });
            open.extend(further.map(|dependency| &dependency.pkg));
        }
        for known in forbidden {
            assert!(!seen.contains(known), "{name} knows {known}");
        }
        assert!(seen.len() > 1, "{name} was not followed");
    }
}
