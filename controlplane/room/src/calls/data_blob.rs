//! Data blobs: a participant's small documents, such as schemas of its data tracks, that others get
//! from the room by key. Off unless the operator allows them.

use crate::calls::{DataEncoding, DataSchema};

/// What a blob is called, among those of its owner: LiveKit's `DataBlobKey`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DataBlobKey {
    /// Any text.
    Generic(String),
    /// A schema that the blob describes.
    Schema(DataSchema),
}

impl DataBlobKey {
    /// Bytes of its text: what `limit.max_data_blob_key_length` is about.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Generic(text) => text.len(),
            Self::Schema(schema) => {
                let encoding = match &schema.encoding {
                    Some(DataEncoding::Custom(name)) => name.len(),
                    Some(DataEncoding::WellKnown(_)) | None => 0,
                };
                schema.name.len() + encoding
            }
        }
    }
}

/// LiveKit's `DataBlob`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataBlob {
    /// Its name.
    pub key: DataBlobKey,
    /// Bytes that only clients understand.
    pub contents: Vec<u8>,
}

impl DataBlob {
    /// What it takes of its owner's share.
    pub fn bytes(&self) -> usize {
        self.key.bytes() + self.contents.len()
    }
}
