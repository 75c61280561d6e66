#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| datanode_fuzz_targets::symbols(data));
