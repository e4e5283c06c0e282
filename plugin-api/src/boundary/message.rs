//! What messages of every kind are made of.
//!
//! JSON, because it is forgiving between versions and cheap beside a training step. A message names
//! its tensors; the tensors themselves travel beside it in the same order.

use super::failure::Failure;
use crate::Tensors;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt::Debug;
use tch::Tensor;

/// Names of tensors, in the order they travel.
pub type Names = Vec<String>;

/// A call of a method of one kind of object.
pub trait Request: Serialize + DeserializeOwned + Debug {
    /// What such an object answers.
    type Response: Serialize + DeserializeOwned + Debug;
    /// The methods of this kind of object.
    const METHODS: &'static [&'static str];

    /// The method's name, such as `Task::len`: for messages, and as a capability.
    fn method(&self) -> &'static str;
}

/// Declares the requests of a kind of object, each with its method.
macro_rules! requests {
    (
        $(#[$doc:meta])*
        $name:ident of $object:literal, answered by $response:ty {
            $(
                $(#[$about:meta])*
                $variant:ident $(($payload:ty))? $({
                    $($(#[$field_doc:meta])* $field:ident: $type:ty,)*
                })? = $method:literal,
            )*
        }
    ) => {
        $(#[$doc])*
        #[derive(Debug, serde::Serialize, serde::Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum $name {
            $(
                $(#[$about])*
                $variant $(($payload))? $({ $($(#[$field_doc])* $field: $type,)* })?,
            )*
        }

        impl super::message::Request for $name {
            type Response = $response;
            const METHODS: &'static [&'static str] = &[$(concat!($object, "::", $method)),*];

            fn method(&self) -> &'static str {
                match self {
                    $(Self::$variant { .. } => concat!($object, "::", $method),)*
                }
            }
        }
    };
}
pub(super) use requests;

/// The tensors of a request, taken in the order the message names them.
pub(super) struct Inside(std::vec::IntoIter<Tensor>);

impl Inside {
    pub(super) fn new(tensors: Vec<Tensor>) -> Self {
        Self(tensors.into_iter())
    }

    pub(super) fn take(&mut self, names: Names) -> Result<Tensors, Failure> {
        let named = |name| {
            let tensor = self.0.next();
            let tensor = tensor.ok_or_else(|| Failure::protocol("fewer tensors than names"))?;
            Ok((name, tensor))
        };
        names.into_iter().map(named).collect()
    }
}

/// An answer and the tensors it names.
pub(super) type Answer<R> = Result<(R, Vec<Tensor>), Failure>;

/// Names and tensors apart.
pub(super) fn apart(tensors: Tensors) -> (Names, Vec<Tensor>) {
    tensors.into_iter().unzip()
}

/// JSON has no NaN: a score that is not finite travels as null.
pub(super) fn finite(score: f64) -> Option<f64> {
    score.is_finite().then_some(score)
}
