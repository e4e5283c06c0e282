//! The bytes of the pack, compiled in.

/// The pack's files before decoding.
#[derive(Clone)]
pub(super) struct PackFiles {
    pub(super) manifest: &'static [u8],
    pub(super) items: &'static [u8],
    pub(super) masks: &'static [u8],
    /// By file name, in the order of the manifest.
    pub(super) backgrounds: [(&'static str, &'static [u8]); 10],
}

macro_rules! background {
    ($file:literal) => {
        ($file, include_bytes!(concat!("../../pack/", $file)))
    };
}

pub(super) static EMBEDDED: PackFiles = PackFiles {
    manifest: include_bytes!("../../pack/pack.json"),
    items: include_bytes!("../../pack/items.png"),
    masks: include_bytes!("../../pack/masks.png"),
    backgrounds: [
        background!("background-brick.png"),
        background!("background-grass.png"),
        background!("background-gravel.png"),
        background!("background-camera.png"),
        background!("background-coffee.png"),
        background!("background-chelsea.png"),
        background!("background-retina.png"),
        background!("background-astronaut.png"),
        background!("background-rocket.png"),
        background!("background-hubble_deep_field.png"),
    ],
};
