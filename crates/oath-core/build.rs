//! Links what uses this library, the module above all, without `libgcc_s.so`.
//!
//! Rust's standard library asks for the unwinder in `libgcc_s.so.1`; loading that library costs
//! a short login a large part of its time. The compiler ships the same unwinder as an archive,
//! `libgcc_eh.a`. Named here, it comes first on the linker's line and satisfies every reference,
//! so that `--as-needed` drops the shared one. A target whose compiler has no such archive
//! (musl, clang with compiler-rt) links as Rust does by itself.

use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=CC");
    if std::env::var("CARGO_CFG_TARGET_ENV").as_deref() != Ok("gnu") {
        return;
    }
    // Another machine's compiler is the one that cargo is told to link with.
    let cc = match std::env::var("HOST") == std::env::var("TARGET") {
        true => std::env::var("CC").unwrap_or_else(|_| "cc".to_owned()),
        false => match std::env::var("RUSTC_LINKER") {
            Ok(linker) => linker,
            Err(_) => return,
        },
    };
    let Ok(answer) = Command::new(cc)
        .arg("-print-file-name=libgcc_eh.a")
        .output()
    else {
        return;
    };
    let archive = String::from_utf8_lossy(&answer.stdout);
    let archive = Path::new(archive.trim());
    // Asked for a file it does not have, the compiler repeats the bare name.
    if let (true, Some(folder)) = (archive.is_absolute(), archive.parent()) {
        println!("cargo:rustc-link-search=native={}", folder.display());
        println!("cargo:rustc-link-lib=static:-bundle=gcc_eh");
    }
}
