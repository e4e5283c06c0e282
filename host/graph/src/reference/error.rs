use thiserror::Error;

/// Fields that cannot be evaluated.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum FieldError {
    /// Values that do not fill the shape, or a shape with an empty axis.
    #[error("{found} values do not fill a field of shape {shape:?}")]
    Length {
        /// (N, C, H, W).
        shape: [usize; 4],
        /// Number of values.
        found: usize,
    },
    /// Two inputs of different shapes.
    #[error("input {input} has shape {found:?}, the first input has {expected:?}")]
    Shape {
        /// Position of the input from 0.
        input: usize,
        /// The shape of the first input.
        expected: [usize; 4],
        /// Its own shape.
        found: [usize; 4],
    },
    /// The graph uses an input that was not given.
    #[error("the graph uses input {input}, counted from 0, but only {count} were given")]
    MissingInput {
        /// Position of the input from 0.
        input: usize,
        /// Number of inputs given.
        count: usize,
    },
    /// No input was given, so that there is no shape.
    #[error("a graph is evaluated on at least one input field")]
    NoInput,
}
