//! download-registry
