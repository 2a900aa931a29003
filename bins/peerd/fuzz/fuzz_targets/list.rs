#![no_main]

#[path = "../../tests/stub_corpus/targets.rs"]
#[allow(dead_code, reason = "every target is a program of its own")]
mod targets;

libfuzzer_sys::fuzz_target!(|data: &[u8]| targets::list(data));
