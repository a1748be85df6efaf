//! Who gets which packet, rewritten how.
