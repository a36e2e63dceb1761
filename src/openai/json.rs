//! Reading JSON.
