//! Integration tests: the built plugins and the binary, driven as a user would.
