//! resume-fetch
