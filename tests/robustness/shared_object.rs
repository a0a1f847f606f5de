//! What PAM loads into everybody's login: the module as a file.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use test_support::{Module, program};

fn output_of(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn readelf(what: &str) -> String {
    let mut readelf = Command::new(program("readelf", "binutils"));
    output_of(readelf.args(["--wide", what]).arg(Module::This.path()))
}

#[test]
fn it_exports_the_two_functions_that_pam_calls_and_nothing_else() {
    let symbols = readelf("--dyn-syms");
    let exported: Vec<&str> = symbols
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .filter(|fields| fields.len() == 8 && fields[0] != "Num:" && fields[6] != "UND")
        .map(|fields| fields[7])
        .collect();
    let exported: BTreeSet<&str> = exported.into_iter().collect();
    assert_eq!(
        exported,
        BTreeSet::from(["pam_sm_authenticate", "pam_sm_setcred"])
    );
}

#[test]
fn what_the_loader_has_filled_in_is_read_only_and_no_stack_is_executable() {
    let segments = readelf("--segments");
    assert!(segments.contains("GNU_RELRO"), "{segments}");
    let stack = segments.lines().find(|line| line.contains("GNU_STACK"));
    let stack = stack.expect("a segment that says how the stack is");
    assert!(stack.contains(" RW ") && !stack.contains('E'), "{stack}");
    assert!(readelf("--dynamic").contains("BIND_NOW"));
}

#[test]
fn it_needs_libpam_and_the_c_library_alone() {
    let dynamic = readelf("--dynamic");
    let needed = dynamic
        .lines()
        .filter(|line| line.contains("(NEEDED)"))
        .filter_map(|line| line.split(['[', ']']).nth(1));
    for library in needed {
        let known = ["libpam.so.", "libc.so.", "ld-linux"];
        assert!(
            known.iter().any(|known| library.starts_with(known)),
            "{library}"
        );
    }
}

#[track_caller]
fn assert_is_release_build() {
    assert!(
        std::env::var_os("PAM_OATH_SO").is_some(),
        "PAM_OATH_SO must name the release build, as `make test` has it"
    );
}

#[test]
#[ignore = "needs the release build: run make test"]
fn it_is_at_most_768_kib_without_symbols() {
    assert_is_release_build();
    let folder = tempfile::tempdir().unwrap();
    let stripped = folder.path().join("pam_oath.so");
    let mut strip = Command::new(program("strip", "binutils"));
    output_of(strip.arg("-o").arg(&stripped).arg(Module::This.path()));
    let length = fs::metadata(&stripped).unwrap().len();
    assert!(length <= 768 * 1024, "{length} bytes");
}

/// The loader copies each page that it writes to, and looks each symbol up, for every login.
#[test]
#[ignore = "needs the release build: run make test"]
fn the_loader_has_few_pages_to_fill_in_and_few_symbols_to_look_up() {
    assert_is_release_build();
    let segments = readelf("--segments");
    let relro = segments.lines().find(|line| line.contains("GNU_RELRO"));
    let fields: Vec<&str> = relro.unwrap().split_whitespace().collect();
    let number = |field: &str| u64::from_str_radix(field.trim_start_matches("0x"), 16).unwrap();
    // From the fourth on: the length in the file.
    let length = number(fields[4]);
    assert!(length <= 3 * 4096, "{length} bytes");
    let symbols = readelf("--dyn-syms");
    let undefined = symbols.lines().filter(|line| line.contains(" UND "));
    let count = undefined.count();
    assert!(count <= 96, "{count} symbols");
}

#[test]
fn it_is_built_of_a_short_list_of_crates() {
    const DIRECT: [&str; 10] = [
        "base32",
        "hmac",
        "libc",
        "libpam-sys",
        "sha1",
        "sha2",
        "subtle",
        "thiserror",
        "tz-rs",
        "zeroize",
    ];
    // What those need themselves, at run time or to be compiled.
    const INDIRECT: [&str; 15] = [
        "block-buffer",
        "cfg-if",
        "cmov",
        "cpufeatures",
        "crypto-common",
        "ctutils",
        "digest",
        "hybrid-array",
        "libpam-sys-impls",
        "proc-macro2",
        "quote",
        "syn",
        "thiserror-impl",
        "typenum",
        "unicode-ident",
    ];
    let crates = |depth: &str| -> BTreeSet<String> {
        let tree = output_of(
            Command::new(env!("CARGO"))
                .args(["tree", "--package=pam_oath", "--package=pam-handle"])
                .arg("--package=oath-core")
                .args(["--locked", "--edges=normal"])
                .args(["--prefix=none", "--format={p}", depth])
                .current_dir(Path::new(env!("CARGO_MANIFEST_DIR"))),
        );
        tree.lines()
            .filter_map(|line| line.split_whitespace().next())
            .filter(|name| !["pam_oath", "pam-handle", "oath-core"].contains(name))
            .map(str::to_owned)
            .collect()
    };
    assert_eq!(crates("--depth=1"), DIRECT.map(str::to_owned).into());
    let allowed: BTreeSet<String> = [&DIRECT[..], &INDIRECT]
        .concat()
        .into_iter()
        .map(str::to_owned)
        .collect();
    let more: Vec<_> = crates("--depth=99").difference(&allowed).cloned().collect();
    assert!(more.is_empty(), "{more:?}");
}
