//! What a login asks of the kernel. Each call costs every login, so a new one is a decision: it gets a
//! reason here.

use std::collections::BTreeMap;

use test_support::codes::Generator;
use test_support::strace::{Call, OF_NICENESS_0, Traced};
use test_support::{NOON, Scene};

const SECRET: &str = "3132333435363738393031323334353637383930";

/// How many folders stand above the scene's usersfile, `/` among them; above /etc/users.oath there are
/// two. Each is looked at in each of a login's two walks.
const FOLDERS: usize = 5;
const FOLDERS_ABOVE_ETC_USERS_OATH: usize = 2;

/// Calls of a kind, how many of them, and what they are there for.
type Calls = (&'static str, usize, &'static str);

/// Before the lock: is the user known? Nobody else is asked.
const BEFORE_THE_PROMPT: [Calls; 6] = [
    (
        "statx",
        FOLDERS,
        "whose each folder is, and whether others can change it",
    ),
    ("statx", 1, "no device is opened, and no link"),
    ("openat", 2, "the folder, the file"),
    ("statx", 1, "what was opened is what was looked at"),
    ("read", 1, "the text"),
    (
        "close",
        2,
        "no lock and no mount is kept while the user is asked",
    ),
];

const UNDER_THE_LOCK: [Calls; 13] = [
    ("prlimit64", 2, "memory does not run out with the lock held"),
    (
        "rt_sigprocmask",
        2,
        "^Z does not stop the holder of the lock",
    ),
    (
        "getresuid",
        1,
        "nor does a signal of the caller's of a setuid program",
    ),
    (
        "sched_getattr",
        1,
        "nor does a priority that the caller chose",
    ),
    (
        "statx",
        FOLDERS,
        "as before the prompt: what is there by now",
    ),
    ("statx", 1, "the same"),
    ("openat", 2, "the folder, the file"),
    ("flock", 1, "one login at a time"),
    ("statx", 1, "what was opened is what was looked at"),
    ("newfstatat", 1, "what was locked still has the name"),
    ("pread64", 1, "the text, as it is now"),
    (
        "flock",
        1,
        "the lock ends, also where a process was forked meanwhile",
    ),
    ("close", 2, "the folder, the file"),
];

/// No editor has written what was read.
const NO_EDITOR: [Calls; 3] = [
    ("newfstatat", 1, "the file still has its name"),
    (
        "fcntl",
        3,
        "a lease is granted, by a signal that ends no process: nobody writes",
    ),
    ("statx", 1, "nothing was written since"),
];

/// A new file in the place of the old one.
const REPLACED: [Calls; 17] = [
    ("openat", 1, "the time zone, for LAST-TIME"),
    ("read", 2, "all of it"),
    ("close", 1, "it"),
    ("openat", 1, "the folder, to be flushed"),
    ("openat", 1, "the new file, that nobody else may read"),
    ("statx", 1, "its mode, whatever the umask, and its owner"),
    ("flock", 1, "it is no leftover"),
    ("newfstatat", 1, "nobody has put another in its place"),
    (
        "openat",
        1,
        "it a second time, so that nobody has it open to write on afterwards",
    ),
    ("statx", 1, "that is the same"),
    (
        "flistxattr",
        2,
        "ACL and labels of the old one, and of the folder's default",
    ),
    ("write", 1, "the text"),
    (
        "fsync",
        2,
        "the file, and then its name, survive a power cut",
    ),
    ("renameat2", 1, "the names are exchanged in one step"),
    ("unlinkat", 1, "the old file goes away"),
    (
        "statx",
        1,
        "what is there now, for a replacement that follows",
    ),
    ("flock", 1, "the lock of the new file ends, too"),
];

/// What REPLACED closes: the second descriptor, the folder, the new file.
const CLOSED: [Calls; 1] = [("close", 3, "what was opened")];

fn counted(parts: &[&[Calls]]) -> BTreeMap<String, usize> {
    let mut count = BTreeMap::new();
    for (name, calls, _) in parts.concat() {
        *count.entry(name.to_owned()).or_default() += calls;
    }
    count
}

/// Whether a call is none of the module's own: the C library's for memory, which depend on what the
/// process did before, and those of a build for tests or of the harness's clock.
fn is_foreign(call: &Call) -> bool {
    let of_memory = ["brk", "mmap", "munmap", "mprotect"].contains(&&*call.name);
    of_memory || call.is("fcntl", "F_GETFD") || call.name == "clock_gettime"
}

/// The calls of the module where this code was typed, from the first folder that is looked at to what
/// libpam tells the audit service.
fn calls(typed: &str) -> BTreeMap<String, usize> {
    let scene = Scene::new()
        .args("window=30")
        .zone("Europe/Berlin")
        .usersfile(format!("HOTP/T30/6\talice\t-\t{SECRET}\n"));
    let traced = Traced::started_by(&scene, &[], OF_NICENESS_0.map(Into::into));
    traced.scene.login("alice").types(typed);
    let calls = traced.calls_until_the_answer();
    let of_module = calls
        .iter()
        .skip_while(|call| !call.is("statx", " \"/\""))
        .take_while(|call| call.name != "socket")
        .filter(|call| !is_foreign(call));
    let mut count = BTreeMap::new();
    for call in of_module {
        *count.entry(call.name.clone()).or_default() += 1;
    }
    count
}

/// The sum for a usersfile that stands in /etc.
fn sum_in_etc(count: &BTreeMap<String, usize>) -> usize {
    count.values().sum::<usize>() - 2 * (FOLDERS - FOLDERS_ABOVE_ETC_USERS_OATH)
}

#[test]
#[ignore = "needs root, so that the folders are root's: run `make test`"]
fn of_a_refused_login_are_known_one_by_one() {
    let calls = calls("000000");
    assert_eq!(
        calls,
        counted(&[&BEFORE_THE_PROMPT, &UNDER_THE_LOCK, &NO_EDITOR])
    );
    assert!(sum_in_etc(&calls) <= 36, "{calls:#?}");
}

#[test]
#[ignore = "needs root, so that the folders are root's: run `make test`"]
fn of_an_accepted_login_are_known_one_by_one() {
    let calls = calls(&Generator::new(SECRET).code_at(NOON, 30, 0));
    let parts: [&[Calls]; 6] = [
        &BEFORE_THE_PROMPT,
        &UNDER_THE_LOCK,
        // Before the exchange of names, and after it.
        &NO_EDITOR,
        &NO_EDITOR,
        &REPLACED,
        &CLOSED,
    ];
    assert_eq!(calls, counted(&parts));
    assert!(sum_in_etc(&calls) <= 62, "{calls:#?}");
}
