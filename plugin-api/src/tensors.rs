//! Named tensors.

use std::convert::Infallible;
use std::fmt;
use tch::{Device, Tensor};

/// Tensors by name, in the order they were added.
///
/// ```
/// use autoloss_plugin_api::Tensors;
/// use tch::{Kind, Tensor};
///
/// let tensors = Tensors::new().with("yhat", Tensor::zeros([1, 3, 4, 4], (Kind::Float, tch::Device::Cpu)));
/// assert_eq!(tensors.get("yhat")?.size(), [1, 3, 4, 4]);
/// assert_eq!(tensors.get("y").unwrap_err().to_string(), "no tensor is named 'y' (there are: yhat)");
/// # Ok::<(), autoloss_plugin_api::Error>(())
/// ```
#[derive(Debug, Default)]
pub struct Tensors {
    items: Vec<(String, Tensor)>,
}

impl Tensors {
    /// An empty collection.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a tensor, replacing one of the same name.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, tensor: Tensor) -> Self {
        self.insert(name, tensor);
        self
    }

    /// Adds a tensor, replacing one of the same name.
    pub fn insert(&mut self, name: impl Into<String>, tensor: Tensor) {
        let name = name.into();
        match self.items.iter_mut().find(|(known, _)| *known == name) {
            Some((_, slot)) => *slot = tensor,
            None => self.items.push((name, tensor)),
        }
    }

    /// The tensor of this name.
    ///
    /// # Errors
    /// Names the missing tensor and those that are there.
    pub fn get(&self, name: &str) -> Result<&Tensor, MissingTensor> {
        self.items
            .iter()
            .find_map(|(known, tensor)| (known == name).then_some(tensor))
            .ok_or_else(|| MissingTensor {
                name: name.to_owned(),
                known: self.names().map(str::to_owned).collect(),
            })
    }

    /// The names in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.items.iter().map(|(name, _)| name.as_str())
    }

    /// Names and tensors in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Tensor)> {
        self.items
            .iter()
            .map(|(name, tensor)| (name.as_str(), tensor))
    }

    /// Number of tensors.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether the collection is empty.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// What `map` makes of each tensor, under its name.
    ///
    /// # Errors
    /// The first of `map`.
    pub fn try_map<E>(&self, mut map: impl FnMut(&Tensor) -> Result<Tensor, E>) -> Result<Self, E> {
        let items = self.items.iter();
        let items = items.map(|(name, tensor)| Ok((name.clone(), map(tensor)?)));
        Ok(Self {
            items: items.collect::<Result<_, E>>()?,
        })
    }

    /// The same tensors on `device`; those already there are shared, not copied.
    ///
    /// # Errors
    /// libtorch's, when the device does not exist or is full.
    pub fn to_device(&self, device: Device) -> Result<Self, tch::TchError> {
        self.try_map(|tensor| tensor.f_to_device(device))
    }

    /// Handles on the same tensors: nothing is copied, gradients flow through.
    #[must_use]
    pub fn shallow_clone(&self) -> Self {
        let shared = self.try_map(|tensor| Ok::<_, Infallible>(tensor.shallow_clone()));
        shared.unwrap_or_else(|impossible| match impossible {})
    }
}

impl FromIterator<(String, Tensor)> for Tensors {
    fn from_iter<I: IntoIterator<Item = (String, Tensor)>>(items: I) -> Self {
        let mut tensors = Self::new();
        for (name, tensor) in items {
            tensors.insert(name, tensor);
        }
        tensors
    }
}

impl IntoIterator for Tensors {
    type Item = (String, Tensor);
    type IntoIter = std::vec::IntoIter<(String, Tensor)>;

    fn into_iter(self) -> Self::IntoIter {
        self.items.into_iter()
    }
}

/// A tensor that was asked for by name is not there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissingTensor {
    /// The name asked for.
    pub name: String,
    /// The names that are there.
    pub known: Vec<String>,
}

impl fmt::Display for MissingTensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "no tensor is named '{}' (there are: {})",
            self.name,
            self.known.join(", ")
        )
    }
}

impl std::error::Error for MissingTensor {}
