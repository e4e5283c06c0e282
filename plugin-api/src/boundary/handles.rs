//! Tensors across the boundary: a pointer to the heap object that a [`Tensor`] owns. Nothing is
//! copied and gradients stay attached, since both sides use the one libtorch of the process.

#![allow(
    unsafe_code,
    reason = "turning pointers into tensors is what this module is for"
)]

use abi_stable::StableAbi;
use tch::Tensor;

/// A tensor on its way. As an argument it is borrowed for the length of the call; in an answer it
/// is owned by whoever receives it.
#[repr(transparent)]
#[derive(StableAbi, Debug, Clone, Copy)]
pub struct TensorHandle(*mut u8);

/// A handle for an argument. The tensor must outlive the call.
pub fn borrow(tensor: &Tensor) -> TensorHandle {
    TensorHandle(tensor.as_ptr().cast_mut().cast())
}

/// A handle that carries ownership.
pub fn give(mut tensor: Tensor) -> TensorHandle {
    let pointer = tensor.as_mut_ptr();
    std::mem::forget(tensor);
    TensorHandle(pointer.cast())
}

/// The tensor of a handle that carries ownership.
///
/// # Safety
/// The handle must come from [`give`] and be taken only once.
pub unsafe fn take(handle: TensorHandle) -> Tensor {
    // SAFETY: by this function's contract the pointer is an owned tensor of this process's libtorch.
    unsafe { Tensor::from_ptr(handle.0.cast()) }
}

/// A tensor of its own that shares the data of a borrowed handle.
///
/// # Safety
/// The handle must come from [`borrow`] of a tensor that is still alive.
pub(super) unsafe fn share(handle: TensorHandle) -> Tensor {
    // SAFETY: by this function's contract the pointer is a live tensor; cloning leaves it untouched.
    unsafe { Tensor::clone_from_ptr(handle.0.cast()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gradients_flow_through_handles() {
        let x = Tensor::from_slice(&[2.0f64, 3.0]).set_requires_grad(true);
        let handle = borrow(&x);
        // SAFETY: `x` lives to the end of the test, and the given handle is taken once.
        let (shared, squared) = unsafe {
            let shared = share(handle);
            let squared = take(give(shared.square()));
            (shared, squared)
        };
        squared.sum(tch::Kind::Double).backward();
        assert_eq!(Vec::<f64>::try_from(x.grad()).unwrap(), [4.0, 6.0]);
        drop(shared);
        assert_eq!(Vec::<f64>::try_from(x.detach()).unwrap(), [2.0, 3.0]);
    }
}
