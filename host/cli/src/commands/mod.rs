//! What the program does, a file for each command: options in, printing out; the work is done in the libraries.

pub(crate) mod check;
pub(crate) mod compare;
pub(crate) mod diff;
pub(crate) mod doctor;
pub(crate) mod evaluate;
pub(crate) mod export;
pub(crate) mod fidelity;
pub(crate) mod inspect;
pub(crate) mod replay;
pub(crate) mod report;
pub(crate) mod retrain;
pub(crate) mod runs;
pub(crate) mod search;
pub(crate) mod sensitivity;
pub(crate) mod shell;
pub(crate) mod write_data;

mod findings;
