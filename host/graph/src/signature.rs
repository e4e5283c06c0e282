//! What graphs need to know of a branch's signature.

use crate::{GraphError, Op, Signature};

/// Checks that no input has the name of an operator, which a text could not tell apart from it.
///
/// # Errors
/// [`GraphError::OperatorName`].
pub fn check_names(signature: &Signature) -> Result<(), GraphError> {
    let mut names = signature.inputs().iter().map(|input| &input.name);
    match names.find(|name| Op::from_name(name).is_some()) {
        Some(name) => Err(GraphError::OperatorName(name.clone())),
        None => Ok(()),
    }
}

/// The operators that graphs of this signature are made of.
pub(crate) fn operators(signature: &Signature) -> &'static [Op] {
    match signature.is_spatial() {
        true => &Op::ALL,
        false => Op::LOCAL,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::InputInfo;

    #[test]
    fn inputs_named_like_an_operator_are_refused() {
        let named = |name: &str| Signature::new(vec![InputInfo::prediction(name)]).unwrap();
        assert_eq!(
            check_names(&named("log")),
            Err(GraphError::OperatorName("log".into()))
        );
        assert_eq!(check_names(&named("logits")), Ok(()));
    }
}
