#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| wingbeat_fuzz::proxies(data));

#[cfg(not(fuzzing))]
fn main() {}
