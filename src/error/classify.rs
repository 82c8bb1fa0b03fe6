//! From what the wire says to an `Error`.
