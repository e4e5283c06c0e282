//! `THIRD-PARTY.md`: what is in the package that others wrote, and by which licences.
//!
//! From what cargo resolved for the packaged programs, without what only builds or tests them. The
//! licence files in each crate are taken over; where a crate ships none, the standard texts of the
//! licences that it names. A text that several crates share stands there once.

use anyhow::{Context, Result};
use cargo_metadata::{
    CargoOpt, DependencyKind, Metadata, MetadataCommand, Node, Package, PackageId,
};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

/// The packaged programs.
const ROOTS: [&str; 4] = ["autoloss-host", "autoloss-launcher", "voc-seg", "coco-det"];
/// Where a licence may stand.
const FILES: [&str; 5] = ["licen", "copying", "notice", "unlicense", "copyright"];

/// The document.
pub(super) fn text(root: &Path) -> Result<String> {
    let options = ["--locked", "--filter-platform", "x86_64-unknown-linux-gnu"];
    let metadata = MetadataCommand::new()
        .current_dir(root)
        .features(CargoOpt::SomeFeatures(Vec::new()))
        .other_options(options.map(str::to_owned))
        .exec()
        .context("cargo metadata")?;
    let packages = shipped(&metadata)?;
    let read = |path: &Path| {
        fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
    };
    let pack = read(&root.join("plugins/vision/pack/LICENSES.md"))?;
    let page = root.join("host/report/assets");
    let mut scripts = read(&page.join("LICENSES.md"))?;
    for path in texts_in(&page.join("vendor"))? {
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        scripts += &format!("\n### {name}\n\n````\n{}\n````\n", read(&path)?.trim());
    }
    let data = format!(
        "## Pictures in the plugins\n\n{pack}\n\n## What the page of a report is made of\n\n{scripts}"
    );
    document(&packages, &data)
}

/// The licence texts in a folder of vendored files.
fn texts_in(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in
        fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?
    {
        let path = entry?.path();
        if path
            .extension()
            .is_some_and(|extension| extension == "LICENSE")
        {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

fn document(packages: &[&Package], data: &str) -> Result<String> {
    let mut text = "# Third-party software and data\n\n\
        Crates that the programs in `bin` and `libexec` were built from, the Rust standard library \
        (MIT OR Apache-2.0), SQLite (public domain, within libsqlite3-sys), pictures, and scripts of the report's page. libtorch is \
        not among them: it is that of the installed PyTorch.\n\n\
        | crate | version | licence |\n|---|---|---|\n"
        .to_owned();
    let mut texts: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for package in packages {
        let licence = package.license.as_deref().unwrap_or("see its file below");
        writeln!(
            text,
            "| {} | {} | {licence} |",
            package.name, package.version
        )?;
        let name = format!("{} {}", package.name, package.version);
        for licence in licence_texts(package)? {
            texts.entry(licence).or_default().insert(name.clone());
        }
    }
    writeln!(text, "\n## Licences of the crates")?;
    let mut groups: Vec<(String, BTreeSet<String>)> = texts.into_iter().collect();
    groups.sort_by(|a, b| a.1.cmp(&b.1).then_with(|| a.0.cmp(&b.0)));
    for (licence, users) in groups {
        let users: Vec<String> = users.into_iter().collect();
        writeln!(text, "\n### {}\n\n````\n{licence}\n````", users.join(", "))?;
    }
    writeln!(text, "\n{data}")?;
    Ok(text)
}

/// Everything others wrote that is reached from the packaged programs, by name.
fn shipped(metadata: &Metadata) -> Result<Vec<&Package>> {
    let resolve = metadata
        .resolve
        .as_ref()
        .context("cargo resolved nothing")?;
    let nodes: BTreeMap<&PackageId, &Node> =
        resolve.nodes.iter().map(|node| (&node.id, node)).collect();
    let mut packages = Vec::new();
    let mut seen = BTreeSet::new();
    let is_root = |package: &&Package| ROOTS.contains(&package.name.as_str());
    let mut open: Vec<&PackageId> = metadata
        .packages
        .iter()
        .filter(is_root)
        .map(|p| &p.id)
        .collect();
    while let Some(id) = open.pop() {
        if !seen.insert(id) {
            continue;
        }
        let package = &metadata[id];
        if package.source.is_some() {
            packages.push(package);
        }
        let dependencies = nodes.get(id).into_iter().flat_map(|node| &node.deps);
        let linked = dependencies.filter(|dependency| {
            let kinds = &dependency.dep_kinds;
            kinds.iter().any(|kind| kind.kind == DependencyKind::Normal)
        });
        open.extend(linked.map(|dependency| &dependency.pkg));
    }
    packages.sort_by(|a, b| (&a.name, &a.version).cmp(&(&b.name, &b.version)));
    Ok(packages)
}

/// The licence files of a crate, or else the standard texts.
fn licence_texts(package: &Package) -> Result<Vec<String>> {
    let folder = package
        .manifest_path
        .parent()
        .context("a manifest lies in a folder")?;
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("cannot read {folder}"))? {
        let path = entry?.path();
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .to_lowercase();
        if path.is_file() && FILES.iter().any(|begin| name.starts_with(begin)) {
            let bytes =
                fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
            found.push(String::from_utf8_lossy(&bytes).trim().to_owned());
        }
    }
    if found.is_empty() {
        let expression = package.license.as_deref().unwrap_or_default();
        found = standard(expression).with_context(|| format!("the licence of {}", package.name))?;
    }
    found.sort();
    Ok(found)
}

/// The standard text of every licence in an expression.
fn standard(expression: &str) -> Result<Vec<String>> {
    // Older crates write a slash where the standard has OR.
    let parsed = spdx::Expression::parse(&expression.replace('/', " OR "))
        .map_err(|error| anyhow::anyhow!("{expression:?} cannot be read: {}", error.reason))?;
    let ids = parsed
        .requirements()
        .filter_map(|required| required.req.license.id());
    let texts: Vec<String> = ids.map(|id| id.text().trim().to_owned()).collect();
    anyhow::ensure!(!texts.is_empty(), "{expression:?} names no known licence");
    Ok(texts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn standard_texts_stand_in_for_missing_files() {
        for expression in ["MIT OR Apache-2.0", "MIT/Apache-2.0"] {
            let texts = standard(expression).unwrap();
            assert!(
                texts
                    .iter()
                    .any(|text| text.contains("Permission is hereby granted"))
            );
            assert!(texts.iter().any(|text| text.contains("Apache License")));
        }
        assert!(standard("no such licence").is_err());
        assert!(standard("").is_err());
    }

    #[test]
    fn everything_shipped_has_a_licence_and_nothing_of_ours_is_listed() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let text = text(root).unwrap();
        for crate_name in ["| tch |", "| clap |", "| rusqlite |", "| serde_json |"] {
            assert!(text.contains(crate_name), "{crate_name}");
        }
        // What only tests use, what only builds, and what is ours.
        for crate_name in ["| insta |", "| cc |", "| autoloss-graph |", "| vt100 |"] {
            assert!(!text.contains(crate_name), "{crate_name}");
        }
        for vendored in ["Pictures in the plugins", "\n### d3\n", "\n### plot\n"] {
            assert!(text.contains(vendored), "{vendored}");
        }
    }
}
