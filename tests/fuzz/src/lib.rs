//! Fuzz targets as functions; corpora replayed in ordinary tests.
