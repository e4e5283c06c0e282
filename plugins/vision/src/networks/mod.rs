//! Layers, encoders and feature pyramids that several plugins use, on tensors.
//!
//! Names, shapes and arithmetic are those of published networks, so that published weights load and
//! checkpoints go on in PyTorch. A plugin makes [`Weights`](weights::Weights), then encoder, pyramid and
//! its own layers from them, then loads a file into them if there is one ([`pretrained::load`]).
//!
//! - [`weights`]: all tensors of a network by name, and how fresh ones are drawn;
//! - [`layers`]: convolutions, normalisations, fully connected layers;
//! - [`resnet`] and [`efficientnet_lite`]: encoders, from images to maps at a quarter to a 32nd of the
//!   resolution;
//! - [`pyramid`]: from an encoder's maps to levels of one width, for detectors;
//! - [`normalisation`]: from a task's normalisation of images to an encoder's;
//! - [`pretrained`]: weights from files;
//! - [`pictures`]: images, label maps and boxes for people to look at.

pub mod efficientnet_lite;
pub mod layers;
pub mod normalisation;
pub mod pictures;
pub mod pretrained;
pub mod pyramid;
pub mod resnet;
pub mod weights;
