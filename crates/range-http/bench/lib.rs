//! Benchmarks of `range-http` beside other parsers: `cargo bench` in this directory.
