//! The bodies of the fuzz targets, on machines without a fuzzer: each seed, and each seed a little broken.

use std::fs;
use std::path::Path;

use wingbeat_fuzz::{TARGETS, Target};

/// Runs `target` on each of its seeds; on a panic says which it was.
fn each_seed(mut run: impl FnMut(&str, Target, &[u8])) {
    for &(name, target) in TARGETS {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds").join(name);
        let mut seeds: Vec<_> =
            fs::read_dir(&folder).expect("seeds").map(|entry| entry.expect("a file").path()).collect();
        seeds.sort();
        assert!(seeds.len() >= 3, "{name} has {} seeds", seeds.len());
        for seed in seeds {
            run(&seed.display().to_string(), target, &fs::read(&seed).expect("a seed"));
        }
    }
}

#[test]
fn seeds_as_they_are() {
    each_seed(|name, target, seed| {
        eprintln!("{name}");
        target(seed);
    });
}

#[test]
fn seeds_cut_and_bent() {
    each_seed(|name, target, seed| {
        eprintln!("{name}");
        // Every place in a short seed, twenty in a long one.
        for at in (0..seed.len()).step_by(1 + seed.len() / 20) {
            target(&seed[..at]);
            for bit in [0x01, 0x20, 0x80] {
                let mut bent = seed.to_vec();
                bent[at] ^= bit;
                target(&bent);
            }
        }
    });
}
