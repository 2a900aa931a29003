//! range-http
