//! Masking is private in most crates. Their source files, of the very versions that are locked, become modules here.

use std::env;
use std::fs;
use std::path::PathBuf;

use cargo_metadata::MetadataCommand;

/// Module, package, file.
const KERNELS: [(&str, &str, &str); 3] = [
    ("tokio_websockets", "tokio-websockets", "src/mask.rs"),
    ("tungstenite", "tungstenite", "src/protocol/frame/mask.rs"),
    ("wtx", "wtx", "src/web_socket/unmask.rs"),
];

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=Cargo.lock");
    let metadata = MetadataCommand::new().other_options(["--locked".into()]).exec().expect("cargo knows the packages");
    let module = |(module, name, file): (&str, &str, &str)| {
        let package = metadata.packages.iter().find(|package| *package.name == name).expect("it is a dependency");
        let path = package.manifest_path.with_file_name(file);
        format!("#[allow(warnings, clippy::all)]\n#[path = {path:?}]\npub mod {module};\n")
    };
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it")).join("kernels.rs");
    fs::write(out, KERNELS.map(module).concat()).expect("it can be written");
}
