//! The record a host reads before anything else of a library.
//!
//! Append-only: fields are never moved, removed or given another meaning, so that a host of any
//! age can tell what it holds. Texts are fixed-size, zero-padded UTF-8, cut where too long.

/// The symbol's name, with its terminating zero.
pub const PREFLIGHT_SYMBOL: &[u8] = b"AUTOLOSS_PREFLIGHT\0";

const MAGIC: [u8; 8] = *b"AUTOLOSS";

/// What a library states of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct Preflight {
    magic: [u8; 8],
    size: u32,
    api_major: u32,
    api_minor: u32,
    unwinds: u32,
    sdk: [u8; 32],
    name: [u8; 64],
    version: [u8; 32],
    rustc: [u8; 64],
    target: [u8; 64],
    libtorch: [u8; 32],
}

impl Preflight {
    /// The record of a plugin built with this version of the crate.
    pub const fn of_plugin(name: &str, version: &str, unwinds: bool) -> Self {
        Self {
            magic: MAGIC,
            size: size_of::<Self>() as u32,
            api_major: crate::API_MAJOR,
            // Capabilities have taken its place.
            api_minor: 0,
            unwinds: unwinds as u32,
            sdk: fixed(env!("CARGO_PKG_VERSION")),
            name: fixed(name),
            version: fixed(version),
            rustc: fixed(env!("AUTOLOSS_RUSTC")),
            target: fixed(env!("AUTOLOSS_TARGET")),
            libtorch: fixed(crate::LIBTORCH_VERSION),
        }
    }

    /// Whether the record begins with the right bytes and is complete.
    pub fn is_genuine(&self) -> bool {
        self.magic == MAGIC && self.size as usize >= size_of::<Self>()
    }

    /// Package name of the plugin.
    pub fn name(&self) -> String {
        text(&self.name)
    }

    /// Package version of the plugin.
    pub fn version(&self) -> String {
        text(&self.version)
    }

    /// Compares with `host`, the record of the running program. None if the plugin fits, else one
    /// sentence with both sides' values and what to do.
    pub fn mismatch(&self, host: &Preflight) -> Option<String> {
        let (theirs, ours) = (self.api_major, host.api_major);
        if theirs != ours {
            let sdk = text(&self.sdk);
            let remedy = match theirs > ours {
                true => "update autoloss-host",
                false => "rebuild the plugin with this host's autoloss-plugin-api",
            };
            return Some(format!(
                "it was built for plugin interface {theirs} (autoloss-plugin-api {sdk}), this host \
                 has {ours}: {remedy}"
            ));
        }
        let differs = |what: &str, theirs: &[u8], ours: &[u8]| {
            let (theirs, ours) = (text(theirs), text(ours));
            (theirs != ours).then(|| {
                format!(
                    "it was built for {what} {theirs}, this host for {ours}: rebuild the plugin"
                )
            })
        };
        if self.unwinds == 0 {
            return Some(
                "it was built with panic=abort, so a panic in it would end the run: rebuild it \
                 with panic=unwind"
                    .into(),
            );
        }
        differs("libtorch", &self.libtorch, &host.libtorch)
            .or_else(|| differs("target", &self.target, &host.target))
    }
}

const fn fixed<const N: usize>(text: &str) -> [u8; N] {
    let bytes = text.as_bytes();
    let mut field = [0; N];
    let mut index = 0;
    // The last byte stays zero.
    while index < bytes.len() && index + 1 < N {
        field[index] = bytes[index];
        index += 1;
    }
    field
}

fn text(field: &[u8]) -> String {
    let end = field
        .iter()
        .position(|&byte| byte == 0)
        .unwrap_or(field.len());
    String::from_utf8_lossy(&field[..end]).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> Preflight {
        Preflight::of_plugin("mine", "1.2.3", true)
    }

    #[test]
    fn the_layout_is_frozen() {
        assert_eq!(size_of::<Preflight>(), 312);
        assert_eq!(std::mem::offset_of!(Preflight, sdk), 24);
        assert_eq!(std::mem::offset_of!(Preflight, libtorch), 280);
    }

    #[test]
    fn a_record_fits_itself() {
        assert_eq!(record().mismatch(&record()), None);
        assert!(record().is_genuine());
        assert_eq!(
            (record().name(), record().version()),
            ("mine".into(), "1.2.3".into())
        );
    }

    #[test]
    fn each_difference_is_one_sentence_with_both_values() {
        let newer = Preflight {
            api_major: crate::API_MAJOR + 1,
            ..record()
        };
        assert!(
            newer
                .mismatch(&record())
                .unwrap()
                .contains("update autoloss-host")
        );
        let older = Preflight {
            api_major: 1,
            api_minor: 3,
            ..record()
        };
        let said = older.mismatch(&record()).unwrap();
        assert!(
            said.contains("interface 1 ") && said.contains("this host has 2: rebuild"),
            "{said}"
        );
        let torch = Preflight {
            libtorch: fixed("9.9.9"),
            ..record()
        };
        assert!(
            torch
                .mismatch(&record())
                .unwrap()
                .contains("libtorch 9.9.9")
        );
        let aborts = Preflight {
            unwinds: 0,
            ..record()
        };
        assert!(aborts.mismatch(&record()).unwrap().contains("panic=abort"));
    }

    #[test]
    fn long_texts_are_cut() {
        let long = "x".repeat(500);
        assert_eq!(Preflight::of_plugin(&long, "1", true).name().len(), 63);
    }
}
