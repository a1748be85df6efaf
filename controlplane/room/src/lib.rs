//! The domain of the control plane, sans-IO.
