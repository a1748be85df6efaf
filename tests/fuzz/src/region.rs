//! Shared memory of a hostile peer: lanes, pages, histogram and hand-over packets of any bytes.

/// Reads `data` as every kind of shared memory that the contract has. Nothing may panic, hang or
/// leave its bounds.
pub fn region(data: &[u8]) {
    ringway_abi::hostile::all(data);
}
