//! What this machine's kernel can do at best.
