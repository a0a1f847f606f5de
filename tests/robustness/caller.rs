//! A setuid program's caller chooses its environment, its limits and its signals. None of that
//! makes a used code good or keeps others from logging in.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rustix::fs::{FlockOperation, flock};
use test_support::bind::bind;
use test_support::codes::Generator;
use test_support::machine::Machine;
use test_support::setuid;
use test_support::setuid::{CALLER, called, called_by, caller_sends, setuid_program};
use test_support::strace::{OF_NICENESS_0, Traced};
use test_support::terminal::Terminal;
use test_support::{NOON, Scene, released_together_while};

const SECRET: &str = "3132333435363738393031323334353637383930";
const OTHER_SECRET: &str = "6162636465666768696a6b6c6d6e6f7071727374";

const HOUR: i64 = 3600;

fn step(moment: i64) -> i64 {
    moment / 30
}

/// The code of a token by time, shown this many seconds before noon.
fn code(seconds_ago: i64) -> String {
    Generator::new(SECRET).code_at(NOON - seconds_ago, 30, 0)
}

fn bobs_code() -> String {
    Generator::new(OTHER_SECRET).code_at(NOON, 30, 0)
}

/// Alice and bob, neither of whom has logged in so far.
fn two_users() -> Scene {
    setuid::scene().usersfile(format!(
        "HOTP/T30/6\talice\t-\t{SECRET}\nHOTP/T30/6\tbob\t-\t{OTHER_SECRET}\n"
    ))
}

/// With a grace of 30 seconds the code that the line has used is refused, whatever TZ the caller
/// chooses, and the line stays as it is.
#[track_caller]
fn assert_stays_used(line: &str, args: &str, zone: &str, used: &str) {
    let scene = setuid::scene()
        .usersfile(line)
        .args(&format!("{args} allow_replayed_otp_within=30"));
    let outcome = called(&scene, "su")
        .env("TZ", zone)
        .login("alice")
        .types(used);
    assert_eq!(outcome.rc, "AUTH_ERR", "{zone} {}", outcome.log_text());
    assert_eq!(scene.usersfile_now().unwrap(), line);
}

#[test]
#[ignore = "needs root: run `make test`"]
fn no_zone_of_the_callers_makes_a_time_token_s_used_code_good_again() {
    // TZ that moves the time of the last login to just now, and how long ago that was.
    for (zone, local, seconds) in [
        ("XXX+3:09:56", "2026-01-15T08:50:04L", 3 * HOUR + 596),
        ("XXX+24:59:56", "2026-01-14T11:00:04L", 25 * HOUR - 4),
        ("XXX-5", "2026-01-15T17:00:00L", 3 * HOUR),
    ] {
        let used = code(seconds);
        let recorded = step(NOON - seconds);
        let line = format!("HOTP/T30/6\talice\t-\t{SECRET}\t{recorded}\t{used}\t{local}\n");
        assert_stays_used(&line, "window=1000", zone, &used);
    }
}

#[test]
#[ignore = "needs root: run `make test`"]
fn no_zone_of_the_callers_makes_an_event_token_s_used_code_good_again() {
    for (zone, local) in [
        ("XXX+3:09:56", "2026-01-15T08:50:04L"),
        ("XXX+24:59:56", "2026-01-14T11:00:04L"),
    ] {
        let used = Generator::new(SECRET).code(7);
        let line = format!("HOTP\talice\t-\t{SECRET}\t7\t{used}\t{local}\n");
        assert_stays_used(&line, "digits=6 window=20", zone, &used);
    }
}

#[test]
#[ignore = "needs root: run `make test`"]
fn no_zone_of_the_callers_makes_an_old_unused_code_good_with_drift() {
    let week_ago = NOON - 7 * 24 * HOUR;
    let used = Generator::new(SECRET).code_at(week_ago, 30, 0);
    let recorded = step(week_ago);
    let line =
        format!("HOTP/T30/6\talice\t-\t{SECRET}\t{recorded}\t{used}\t2026-01-08T12:00:00L\n");
    let scene = setuid::scene().usersfile(&line).args("drift window=3");
    let scene = called(&scene, "su").env("TZ", "XXX+3");
    let outcome = scene.login("alice").types(code(3 * HOUR));
    assert_eq!(outcome.rc, "AUTH_ERR", "{}", outcome.log_text());
    assert_eq!(scene.usersfile_now().unwrap(), line);
    assert_eq!(scene.login("alice").types(code(0)).rc, "SUCCESS");
}

#[test]
#[ignore = "needs root: run `make test`"]
fn su_takes_no_used_code_whatever_zone_its_caller_chooses() {
    const SERVICE: &str = "auth required pam_oath.so usersfile=/etc/users.oath digits=6 \
                           allow_replayed_otp_within=600\n\
                           account required pam_permit.so\nsession required pam_permit.so\n";
    let machine = Machine::start();
    machine.add_user("alice", "correct horse");
    machine.install("/etc/pam.d/su", SERVICE, 0o644);
    let three_hours_ago = machine.run("date", ["-d", "3 hours ago", "+%FT%TL"]);
    let used = Generator::new(SECRET).code(7);
    let line = format!("HOTP\troot\t-\t{SECRET}\t7\t{used}\t{three_hours_ago}");
    machine.install("/etc/users.oath", &line, 0o600);
    let become_root = |zone: &str, code: &str| {
        let words = [zone, "su", "-c", "id --user --name"];
        let mut su = Terminal::of(&machine, "alice", "env", words);
        su.answer("One-time password (OATH) for `root': ", code);
        su.rest()
    };
    for zone in ["TZ=XXX+3", "TZ=XXX+3:00:20"] {
        let shown = become_root(zone, &used);
        assert_eq!(shown, "\r\nsu: Authentication failure\r\n", "{zone}");
    }
    assert_eq!(machine.read("/etc/users.oath"), line);
    let next = Generator::new(SECRET).code(8);
    assert_eq!(become_root("TZ=XXX+3", &next), "\r\nroot\r\n");
}

#[test]
#[ignore = "needs root: run `make test`"]
fn no_variable_of_the_callers_changes_the_answer_or_the_record() {
    let home = tempfile::tempdir().unwrap();
    let empty = home.path().to_str().unwrap();
    let variables = [
        ("LANG", "tr_TR.UTF-8"),
        ("LC_TIME", "fa_IR.UTF-8"),
        ("LC_ALL", "ar_SA.UTF-8"),
        ("LC_ALL", "tr_TR.UTF-8"),
        ("TZ", "Asia/Kolkata"),
        ("TZ", "XXX-11"),
        ("TZDIR", empty),
        ("LOCPATH", empty),
        ("HOME", empty),
        ("RUST_BACKTRACE", "full"),
        ("RUST_MIN_STACK", "1"),
        ("MALLOC_PERTURB_", "165"),
        ("MALLOC_ARENA_MAX", "1"),
        ("MALLOC_MMAP_THRESHOLD_", "0"),
        ("GLIBC_TUNABLES", "glibc.malloc.perturb=165"),
        ("TMPDIR", empty),
        ("PATH", empty),
        ("POSIXLY_CORRECT", "1"),
    ];
    let login_with = |variable: Option<(&str, &str)>| {
        let scene = two_users().args("allow_replayed_otp_within=30");
        let mut called = called(&scene, "su");
        if let Some((name, value)) = variable {
            called = called.env(name, value);
        }
        let answers = ["000000", &code(0), &code(0), &code(30)].map(|typed| {
            let outcome = called.login("alice").types(typed);
            (outcome.rc, outcome.prompts.len())
        });
        let later = called.at(NOON + 60);
        let at_last = later.login("alice").types(code(0)).rc;
        (answers, at_last, scene.usersfile_now())
    };
    let plain = login_with(None);
    assert_eq!(
        plain.0.map(|(rc, _)| rc),
        ["AUTH_ERR", "SUCCESS", "SUCCESS", "AUTH_ERR"]
    );
    assert_eq!(plain.1, "AUTH_ERR");
    for variable in variables {
        assert_eq!(login_with(Some(variable)), plain, "{variable:?}");
    }
}

#[test]
#[ignore = "needs root: run `make test`"]
fn a_login_is_recorded_in_the_zone_of_etc_localtime_whatever_tz_says() {
    let zone = Path::new("/usr/share/zoneinfo/Asia/Kolkata");
    assert!(zone.exists(), "install the package tzdata");
    bind(zone, "/etc/localtime");
    for tz in ["XXX+3:09:56", "UTC", "America/New_York", ":/dev/null", ""] {
        let scene = two_users();
        let own_clock = called_by(&scene, "su", &["env", "-u", "PAM_LOGIN_LOCALTIME"]);
        let outcome = own_clock.env("TZ", tz).login("alice").types(code(0));
        assert_eq!(outcome.rc, "SUCCESS", "{}", outcome.log_text());
        let now = scene.usersfile_now().unwrap();
        assert!(now.contains("\t2026-01-15T17:30:00L\n"), "TZ={tz}: {now}");
    }
}

/// One after another from as few as a program can be started with.
const DESCRIPTORS: std::ops::RangeInclusive<usize> = 3..=40;

#[test]
#[ignore = "needs root: run `make test`"]
fn with_few_descriptors_no_used_code_is_good_and_no_user_with_a_token_is_unknown() {
    let scene = two_users();
    let accounts = scene.pam_folder().join("accounts");
    let home = scene.folder();
    let account = format!("alice:x:0:0::{}:/bin/sh\n", home.display());
    fs::write(&accounts, format!("root:x:0:0::/root:/bin/sh\n{account}")).unwrap();
    bind(&accounts, "/etc/passwd");
    assert_eq!(scene.login("alice").types(code(0)).rc, "SUCCESS");
    let used = scene.usersfile_now();
    let journal = scene.folder().join("journal");
    let throttle = scene.folder().join("throttle");
    let mut answered = 0;
    for args in [
        String::new(),
        "nullok no_usersfile_okay".into(),
        "usersfile=${HOME}/users.oath nullok".into(),
        format!("readonly_ok={}", journal.display()),
        format!("throttle=1 throttle_dir={}", throttle.display()),
    ] {
        for count in DESCRIPTORS {
            let limit = format!("--nofile={count}:{count}");
            let scene = scene.twin("login").args(&args);
            let limited = called_by(&scene, &format!("su{count}"), &["prlimit", &limit]);
            let Some(rc) = limited.login("alice").typing(code(0)).rc_if_it_lives() else {
                continue;
            };
            // Too few for libpam to load the module are an answer of libpam's.
            assert!(
                ["AUTH_ERR", "MODULE_UNKNOWN"].contains(&rc),
                "{rc} with {count} descriptors, {args}"
            );
            answered += usize::from(rc == "AUTH_ERR");
        }
    }
    assert!(answered > 40, "{answered}");
    // What it takes to load the module is more than the module itself takes to begin, so the limit
    // comes after that here.
    for count in 3..=12 {
        let scene = scene.twin(&format!("late{count}"));
        let limit = format!("prlimit --pid $PPID --nofile={count}:{count}");
        let login = scene.unnamed_login().while_asked(&limit);
        let typed = [Some("alice".into()), Some(code(0))];
        let rc = login.answering(typed).rc_if_it_lives();
        // At the second prompt the application's shell may lack what it takes to start, and libpam
        // itself denies a login of which it cannot tell the kernel's audit.
        assert!(
            matches!(rc, None | Some("AUTH_ERR" | "SYSTEM_ERR")),
            "{rc:?} with {count} descriptors"
        );
    }
    assert_eq!(scene.usersfile_now(), used);
    assert_eq!(scene.login("bob").types(bobs_code()).rc, "SUCCESS");
}

#[test]
#[ignore = "needs root: run `make test`"]
fn with_few_descriptors_the_zone_is_not_taken_for_universal_time() {
    let zone = Path::new("/usr/share/zoneinfo/Asia/Kolkata");
    assert!(zone.exists(), "install the package tzdata");
    bind(zone, "/etc/localtime");
    let used = Generator::new(SECRET).code(7);
    // Half past six UTC; in universal time it would be noon, which is now.
    let line = format!("HOTP\talice\t-\t{SECRET}\t7\t{used}\t2026-01-15T12:00:00L\n");
    let scene = setuid::scene().usersfile(&line);
    let scene = scene.args("digits=6 window=20 allow_replayed_otp_within=30");
    let mut answered = 0;
    let own_clock = ["env", "-u", "TZ", "-u", "PAM_LOGIN_LOCALTIME"];
    // From the start, and from the prompt on, when libpam has all the descriptors it needs.
    for at_prompt in [false, true] {
        for count in DESCRIPTORS {
            let limit = format!("--nofile={count}:{count}");
            let service = format!("su{count}{at_prompt}");
            let limited = if at_prompt {
                scene.twin(&service).started_by(own_clock)
            } else {
                let prlimit = ["prlimit", &limit];
                called_by(&scene, &service, &[&own_clock[..], &prlimit].concat())
            };
            let mut login = limited.login("alice").typing(&used);
            if at_prompt {
                login = login.while_asked(&format!("prlimit --pid $PPID {limit}"));
            }
            let rc = login.rc_if_it_lives();
            assert!(
                matches!(
                    rc,
                    None | Some("AUTH_ERR" | "MODULE_UNKNOWN" | "SYSTEM_ERR")
                ),
                "{rc:?} with {count} descriptors"
            );
            answered += usize::from(rc == Some("AUTH_ERR"));
        }
    }
    assert!(answered > 20, "{answered}");
    assert_eq!(scene.usersfile_now().unwrap(), line);
}

/// The scheduling classes of a process's threads, with their niceness, as proc(5) shows them.
fn scheduling_of(process: u32) -> Vec<(u32, i32)> {
    let threads = fs::read_dir(format!("/proc/{process}/task")).unwrap();
    threads
        .filter_map(|thread| fs::read_to_string(thread.ok()?.path().join("stat")).ok())
        .map(|stat| {
            // Field 3 is the first behind the name; nice is field 19, policy 41.
            let (_, fields) = stat.rsplit_once(") ").unwrap();
            let fields: Vec<&str> = fields.split(' ').collect();
            (
                fields[41 - 3].parse().unwrap(),
                fields[19 - 3].parse().unwrap(),
            )
        })
        .collect()
}

#[test]
#[ignore = "needs root: run `make test`"]
fn a_caller_at_any_priority_gets_the_processor_while_others_wait_for_the_lock() {
    const IDLE: u32 = 5;
    const FIFO: u32 = 1;
    let is_first = |&(class, nice): &(u32, i32)| class == FIFO || nice == -20;
    let idle = ["nice", "-n", "19", "chrt", "--idle", "0"];
    for (starter, class, answer) in [(&idle[..], IDLE, code(0)), (&["env"], 0, code(-30))] {
        let scene = two_users();
        let called = called_by(&scene, "su", starter).at(NOON + 30);
        assert_eq!(called.login("alice").types("000000").rc, "AUTH_ERR");
        let process = called.process_id();
        let before = scheduling_of(process);
        assert!(before.iter().all(|thread| thread.0 == class), "{before:?}");
        let locked = File::open(scene.path()).unwrap();
        flock(&locked, FlockOperation::LockExclusive).unwrap();
        let login = called.login("alice").typing(answer);
        let outcomes = released_together_while([login], || {
            let start = Instant::now();
            while !scheduling_of(process).iter().any(is_first) {
                assert!(
                    start.elapsed() < Duration::from_secs(8),
                    "it goes on waiting"
                );
                sleep(Duration::from_millis(1));
            }
            flock(&locked, FlockOperation::Unlock).unwrap();
        });
        assert_eq!(outcomes[0].rc, "SUCCESS", "{outcomes:#?}");
        assert_eq!(scheduling_of(process)[0], before[0]);
    }
}

/// What a login in a process that is not setuid makes of its scheduling, one class after another,
/// if this goes wrong, in strace's own terms.
fn classes(starter: &[&str], wrong: Option<&str>) -> Vec<String> {
    let scene = two_users();
    let wrong = wrong.map(|wrong| format!("sched_setattr:{wrong}"));
    let starter = starter.iter().map(Into::into);
    let traced = Traced::started_by(&scene, wrong.as_slice(), starter);
    let outcome = traced.scene.login("alice").types(code(0));
    assert_eq!(outcome.rc, "SUCCESS", "{}", outcome.log_text());
    let calls = traced.calls_of_the_login().into_iter();
    calls
        .filter(|call| call.name == "sched_setattr")
        .map(|call| {
            let (_, class) = call.text.split_once("sched_policy=").unwrap();
            class.split_once(", sched_runtime").unwrap().0.to_owned()
        })
        .collect()
}

#[test]
#[ignore = "needs root and strace: run `make test`"]
fn who_may_have_to_wait_for_the_processor_comes_first_with_the_lock_and_as_before_without() {
    // Not for what a name service starts meanwhile, which nobody would set back.
    const FIFO: &str =
        "SCHED_FIFO, sched_flags=SCHED_FLAG_RESET_ON_FORK, sched_nice=0, sched_priority=1";
    const NOT_NICE: &str =
        "SCHED_OTHER, sched_flags=SCHED_FLAG_RESET_ON_FORK, sched_nice=-20, sched_priority=0";
    const NICE: &str = "SCHED_OTHER, sched_flags=0, sched_nice=19, sched_priority=0";
    const ORDINARY: &str = "SCHED_OTHER, sched_flags=0, sched_nice=0, sched_priority=0";
    const IDLE: &str = "SCHED_IDLE, sched_flags=0, sched_nice=0, sched_priority=0";
    let nice = &["nice", "-n", "40"][..];
    let refused = |which| format!("error=EPERM:when={which}");
    assert_eq!(classes(nice, Some("retval=0")), [FIFO, NICE]);
    assert_eq!(
        classes(nice, Some(&refused("1"))),
        [FIFO, NOT_NICE, NICE],
        "as in a unit with RestrictRealtime="
    );
    assert_eq!(
        classes(nice, Some(&refused("2"))),
        [FIFO, NICE, ORDINARY],
        "who has no right to come first must not stay there"
    );
    assert_eq!(classes(nice, Some(&refused("1..2"))), [FIFO, NOT_NICE]);
    let idle = [&OF_NICENESS_0[..], &["chrt", "--idle", "0"]].concat();
    assert_eq!(classes(&idle, None), [FIFO, IDLE]);
    // Who waits for nobody anyway stays there.
    for first in [&["chrt", "--fifo", "5"], &["chrt", "--rr", "5"]] {
        assert_eq!(classes(first, None), [""; 0]);
    }
    assert_eq!(classes(&OF_NICENESS_0, None), [""; 0]);
}

#[test]
#[ignore = "needs root: run `make test`"]
fn the_caller_s_umask_neither_opens_a_file_nor_keeps_root_out() {
    for umask in ["0", "777"] {
        let scene = two_users();
        let folder = scene.folder();
        let folder = folder.display();
        let args =
            format!("readonly_ok={folder}/journal throttle=1 throttle_dir={folder}/throttle");
        let scene = scene.args(&args);
        let with_umask = format!("umask {umask} && exec \"$0\" \"$@\"");
        let called = called_by(&scene, "su", &["sh", "-c", &with_umask]);
        assert_eq!(called.login("alice").types("000000").rc, "AUTH_ERR");
        let called = called.at(NOON + 30);
        let outcome = called.login("alice").types(code(-30));
        assert_eq!(
            outcome.rc,
            "SUCCESS",
            "umask {umask} {}",
            outcome.log_text()
        );
        let mut seen = vec![scene.folder()];
        while let Some(folder) = seen.pop() {
            for entry in fs::read_dir(&folder).unwrap() {
                let path = entry.unwrap().path();
                let metadata = path.symlink_metadata().unwrap();
                let mode = metadata.permissions().mode() & 0o7777;
                let expected = if metadata.is_dir() { 0o700 } else { 0o600 };
                assert_eq!(mode, expected, "{} with umask {umask}", path.display());
                if metadata.is_dir() {
                    seen.push(path);
                }
            }
        }
        assert_eq!(scene.login("bob").types(bobs_code()).rc, "SUCCESS");
    }
}

#[test]
#[ignore = "needs root: run `make test`"]
fn a_caller_who_may_write_no_byte_makes_no_used_code_good_and_keeps_nobody_out() {
    let scene = two_users();
    assert_eq!(scene.login("alice").types(code(0)).rc, "SUCCESS");
    let used = scene.usersfile_now();
    let journal = format!("readonly_ok={}/journal", scene.folder().display());
    // The signal that goes with the limit ends the program, unless its caller has it ignored.
    let ignored = r#"trap '' XFSZ; exec "$0" "$@""#;
    let starters = [vec![], vec!["sh", "-c", ignored]];
    let ways = starters.iter().enumerate().flat_map(|(n, starter)| {
        ["", &journal].map(|args| (format!("su{n}{}", args.len()), starter, args))
    });
    for (service, starter, args) in ways {
        let scene = scene.twin(&format!("{service}-others")).args(args);
        let limit = ["prlimit", "--fsize=0:0", "--core=0:0"];
        let limited = called_by(&scene, &service, &[&starter[..], &limit].concat());
        for typed in [code(0), code(-30)] {
            let rc = limited.login("alice").typing(&typed).rc_if_it_lives();
            assert!(matches!(rc, None | Some("AUTH_ERR")), "{typed}: {rc:?}");
        }
        assert_eq!(scene.usersfile_now(), used);
        assert_eq!(scene.login("alice").types(code(0)).rc, "AUTH_ERR");
    }
    assert_eq!(scene.login("bob").types(bobs_code()).rc, "SUCCESS");
}

/// What else a caller can leave a program with: each as the shell's words before it starts.
const LEGACIES: [&str; 13] = [
    "exec >&- 2>&-",
    "gone=$(mktemp -d) && cd $gone && rmdir $gone",
    "trap '' HUP INT QUIT PIPE ALRM URG XFSZ CHLD TERM",
    "with='env --block-signal=HUP,PIPE,ALRM,URG,XFSZ,CHLD,TERM,IO'",
    "with='env --ignore-signal=TSTP,TTIN,TTOU --block-signal=TSTP,TTIN,TTOU'",
    "with='nice -n 19'",
    "with='chrt --idle 0'",
    "with='ionice -c 3'",
    "with='prlimit --nproc=0:0'",
    "with='prlimit --memlock=0:0 --msgqueue=0:0 --rtprio=0:0'",
    "with='prlimit --sigpending=0:0'",
    "with='prlimit --locks=0:0'",
    "with='prlimit --core=0:0 --fsize=20:20'",
];

/// Memory that ends before, during and after a login: how much, in KiB, in steps of how much.
const MEMORY: [(&str, std::ops::Range<usize>, usize); 3] = [
    ("as", 4096..6144, 96),
    ("data", 336..768, 48),
    ("stack", 64..256, 16),
];

#[test]
#[ignore = "needs root: run `make test`"]
fn whatever_a_caller_leaves_the_program_with_no_used_code_is_good_and_nobody_is_kept_out() {
    let scene = two_users();
    assert_eq!(scene.login("alice").types(code(0)).rc, "SUCCESS");
    let used = scene.usersfile_now().unwrap();
    let state = |name: &str| scene.folder().with_file_name(name);
    let args = format!(
        "throttle=1 throttle_dir={} readonly_ok={}",
        state("throttle").display(),
        state("journal").display()
    );
    let mut let_in = 0;
    let memory = MEMORY.into_iter().flat_map(|(limit, sizes, step)| {
        let sizes = sizes.step_by(step).map(|size| size << 10);
        sizes.map(move |size| format!("with='prlimit --core=0:0 --{limit}={size}:{size}'"))
    });
    let legacies = LEGACIES.into_iter().map(String::from).chain(memory);
    for (n, legacy) in legacies.enumerate() {
        scene.write_usersfile(&used);
        for name in ["throttle", "journal"] {
            let _ = fs::remove_dir_all(state(name));
        }
        let scene = scene.twin(&format!("others{n}")).args(&args);
        let starter = format!(r#"{legacy}; exec $with "$0" "$@""#);
        let called = called_by(&scene, &format!("su{n}"), &["sh", "-c", &starter]);
        let rc = called.login("alice").typing(code(0)).rc_if_it_lives();
        let denied = [None, Some("AUTH_ERR"), Some("MODULE_UNKNOWN")];
        assert!(denied.contains(&rc), "{rc:?}: {legacy}");
        assert_eq!(scene.usersfile_now().unwrap(), used, "{legacy}");

        let called = called.at(NOON + 30);
        let rc = called.login("alice").typing(code(-30)).rc_if_it_lives();
        assert!(
            rc == Some("SUCCESS") || denied.contains(&rc),
            "{rc:?}: {legacy}"
        );
        let_in += usize::from(rc == Some("SUCCESS"));
        let scene = scene.at(NOON + 60);
        if rc == Some("SUCCESS") {
            let outcome = scene.login("alice").types(code(-30));
            assert_eq!(outcome.rc, "AUTH_ERR", "{legacy}");
        }
        let now = scene.usersfile_now().unwrap();
        assert_eq!(now.lines().count(), 2, "{legacy}: {now}");
        let outcome = scene
            .login("bob")
            .types(Generator::new(OTHER_SECRET).code_at(NOON + 60, 30, 0));
        assert_eq!(outcome.rc, "SUCCESS", "{legacy}: {}", outcome.log_text());
        assert!(scene.left_behind().is_empty(), "{legacy}");
    }
    assert!(let_in >= 12, "{let_in}");
}

/// What a signal of the caller's may stop, and how.
struct Stopped {
    /// Sent with root's rights, as the kernel does when ^Z is typed, not with the caller's.
    by_terminal: bool,
    signal: &'static str,
    args: &'static str,
    /// Who logs in by the caller's program, and what is typed there.
    attacked: (&'static str, String),
    /// Whose good code is typed in another process meanwhile.
    other: &'static str,
}

/// The caller's program stands in the middle of a login when the caller sends it the signal.
fn a_stopped_login_keeps_nobody_out(stopped: Stopped) {
    const PATIENCE: Duration = Duration::from_secs(20);
    /// For the first call that waits for the disk: a lock is held by then.
    const PAUSE: &str = "fsync,fdatasync:delay_enter=2000000:when=1";
    let scene = two_users();
    let folder = scene.folder();
    let args = stopped.args.replace("DIR", folder.to_str().unwrap());
    let scene = scene.args(&args);
    let traced = Traced::started_by(&scene, &[PAUSE.into()], {
        let copy = setuid_program(&scene).into_os_string();
        let caller = format!("--reuid={CALLER}");
        let group = format!("--regid={CALLER}");
        // A process group whose parent is in another one: ^Z has no effect where there is none.
        let words = [
            "perl",
            "-e",
            "setpgrp; exec @ARGV",
            "setpriv",
            &caller,
            &group,
        ];
        let words = words.into_iter().chain(["--clear-groups"]).map(Into::into);
        words.chain([copy]).collect::<Vec<_>>()
    });
    let process = traced.scene.process_id();
    let root = scene.twin("root").at(NOON + 30);
    let (user, typed) = stopped.attacked;
    let waits = traced.waits();
    let attack = std::thread::spawn(move || {
        let outcome = traced.scene.login(user).types(typed);
        (outcome, traced)
    });
    let start = Instant::now();
    while !waits.now() {
        assert!(
            start.elapsed() < PATIENCE && !attack.is_finished(),
            "no call that waits"
        );
        sleep(Duration::from_millis(1));
    }
    let may_stop = if stopped.by_terminal {
        let signal = format!("SIG{}", stopped.signal).parse::<Signal>().unwrap();
        kill(Pid::from_raw(process as i32), signal).is_ok()
    } else {
        caller_sends(stopped.signal, process)
    };
    let code = |token: &str| Generator::new(token).code_at(NOON + 30, 30, 0);
    let good = match stopped.other {
        "alice" => code(SECRET),
        _ => code(OTHER_SECRET),
    };
    let start = Instant::now();
    let outcome = root.login(stopped.other).types(good);
    let took = start.elapsed();
    let next = root
        .login("alice")
        .types(Generator::new(SECRET).code_at(NOON + 30, 30, 1))
        .rc;
    // Root may end it in any case, and the next test needs it to be gone.
    kill(Pid::from_raw(process as i32), Signal::SIGCONT).unwrap();
    let (attacked, _traced) = attack.join().unwrap();
    assert_eq!(
        outcome.rc,
        "SUCCESS",
        "may stop: {may_stop}; {}",
        outcome.log_text()
    );
    assert!(took < Duration::from_secs(10), "{took:?}");
    assert_eq!(next, "SUCCESS");
    assert_ne!(attacked.rc, "USER_UNKNOWN");
    assert_eq!(root.login("bob").types(bobs_code()).rc, "AUTH_ERR");
}

#[test]
#[ignore = "needs root: run `make test`"]
fn a_caller_who_stops_the_login_keeps_nobody_out() {
    for signal in ["STOP", "TSTP"] {
        a_stopped_login_keeps_nobody_out(Stopped {
            by_terminal: false,
            signal,
            args: "window=5",
            attacked: ("alice", code(0)),
            other: "bob",
        });
    }
}

#[test]
#[ignore = "needs root: run `make test`"]
fn a_caller_who_stops_a_login_in_the_throttle_does_not_keep_that_user_out() {
    for signal in ["STOP", "TSTP"] {
        a_stopped_login_keeps_nobody_out(Stopped {
            by_terminal: false,
            signal,
            args: "window=5 throttle=1 throttle_dir=DIR/throttle",
            attacked: ("bob", "000000".into()),
            other: "bob",
        });
    }
}

#[test]
#[ignore = "needs root: run `make test`"]
fn a_caller_who_stops_a_login_in_the_journal_keeps_nobody_out() {
    for signal in ["STOP", "TSTP"] {
        a_stopped_login_keeps_nobody_out(Stopped {
            by_terminal: false,
            signal,
            args: "window=5 readonly_ok=DIR/journal",
            attacked: ("alice", code(0)),
            other: "bob",
        });
    }
}

#[test]
#[ignore = "needs root: run `make test`"]
fn a_terminal_that_stops_the_login_keeps_nobody_out() {
    for signal in ["TSTP", "TTIN", "TTOU"] {
        a_stopped_login_keeps_nobody_out(Stopped {
            by_terminal: true,
            signal,
            args: "window=5",
            attacked: ("alice", code(0)),
            other: "bob",
        });
    }
}

/// Starts a program whose standard error is a pipe that nobody reads and that is full.
const FULL_PIPE: &str = r#"
    use Fcntl;
    pipe(my $read, my $write);
    fcntl($write, F_SETFL, O_NONBLOCK);
    while (syswrite($write, "x")) {}
    fcntl($write, F_SETFL, 0);
    fcntl($read, F_SETFD, 0);
    open(STDERR, ">&", $write);
    exec @ARGV;
"#;

#[test]
#[ignore = "needs root: run `make test`"]
fn a_caller_who_limits_memory_and_takes_no_error_message_keeps_nobody_out() {
    const SIZES: std::ops::Range<usize> = 3 << 20..12 << 20;
    let scene = setuid::scene().args("window=1000 drift");
    let last = step(NOON - HOUR / 2);
    let used = code(HOUR / 2);
    let lines = format!(
        "HOTP/T30/6\talice\t-\t{SECRET}\t{last}\t{used}\t2026-01-15T11:30:10L\n\
         HOTP/T30/6\tbob\t-\t{OTHER_SECRET}\n"
    );
    scene.write_usersfile(&lines);
    let root = scene.twin("root");
    assert_eq!(root.login("carol").types("000000").rc, "USER_UNKNOWN");
    let mut answers = Vec::new();
    for size in SIZES.step_by(64 << 10) {
        scene.write_usersfile(&lines);
        let limit = format!("--as={size}:{size}");
        let starter = ["perl", "-e", FULL_PIPE, "prlimit", "--core=0:0", &limit];
        let limited = called_by(&scene, &format!("su{size}"), &starter);
        let process = Pid::from_raw(limited.process_id() as i32);
        let attack =
            std::thread::spawn(move || limited.login("alice").typing(code(0)).rc_if_it_lives());
        let start = Instant::now();
        while !attack.is_finished() && start.elapsed() < Duration::from_millis(300) {
            sleep(Duration::from_millis(1));
        }
        let is_stuck = !attack.is_finished();
        let outcome = root.login("bob").types(bobs_code());
        if is_stuck {
            // On a busy machine it may have come to its end meanwhile.
            let _ = kill(process, Signal::SIGKILL);
        }
        answers.extend(attack.join().unwrap());
        let log = outcome.log_text();
        assert_eq!(outcome.rc, "SUCCESS", "limit of {size} bytes: {log}");
    }
    // Too little to load the module, too little for a login, enough.
    answers.dedup();
    assert_eq!(answers, ["MODULE_UNKNOWN", "AUTH_ERR", "SUCCESS"]);
}

/// Users, groups, capabilities and signals of every thread of a process.
const RIGHTS: &str = "^(Uid|Gid|Groups|SigBlk|SigIgn|SigCgt|CapInh|CapPrm|CapEff|CapBnd|CapAmb)";

fn rights_of(process: &str) -> String {
    let look = format!("grep -hE '{RIGHTS}' /proc/{process}/task/*/status");
    let output = Command::new("sh").args(["-c", &look]).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[test]
#[ignore = "needs root: run `make test`"]
fn users_and_signals_are_the_program_s_own_at_each_prompt_and_after_each_way_out() {
    // In a folder of a service account's a login has that account's rights over files besides.
    const SERVICE_ACCOUNT: u32 = 1;
    for owner in [0, SERVICE_ACCOUNT] {
        let scene = two_users();
        let seen = scene.folder().join("seen");
        fs::create_dir(&seen).unwrap();
        // The program's shell has the caller's rights only.
        fs::set_permissions(&seen, Permissions::from_mode(0o1777)).unwrap();
        for path in [scene.folder(), scene.path()] {
            chown(path, Some(owner), Some(owner)).unwrap();
        }
        users_and_signals_are_given_back(scene);
    }
}

fn users_and_signals_are_given_back(scene: Scene) {
    let seen = scene.folder().join("seen");
    let throttle = scene.folder().with_file_name("throttle");
    let state = format!(
        "readonly_ok={} throttle=60 throttle_dir={} try_first_pass",
        scene.folder().with_file_name("journal").display(),
        throttle.display()
    );
    let scene = scene.args(&state);
    // Waiting for the program: by then it has its own mask of signals back.
    let look = format!(
        "until grep -q '^State:.S' /proc/$PPID/status; do :; done; \
         grep -hE '{RIGHTS}' /proc/$PPID/task/*/status > seen/now; \
         mv seen/now seen/$(ls seen | grep -vcx now)"
    );
    let called = called(&scene, "su");
    let process = called.process_id().to_string();
    let mut prompts = 0;
    let mut own = String::new();
    let mut check = |what: &str, rc: &str, login: test_support::Login| {
        let outcome = login.while_asked(&look).run();
        assert_eq!(outcome.rc, rc, "{what}: {}", outcome.log_text());
        let after = rights_of(&process);
        assert!(
            after.contains(&format!("Uid:\t{CALLER}\t0\t0\t0\n")),
            "{what}: {after}"
        );
        assert!(
            after.contains("SigBlk:\t0000000000000000\n"),
            "{what}: {after}"
        );
        if own.is_empty() {
            own.clone_from(&after);
        }
        assert_eq!(after, own, "{what}");
        for prompt in prompts..prompts + outcome.prompts.len() {
            let at_prompt = fs::read_to_string(seen.join(prompt.to_string())).unwrap();
            assert_eq!(at_prompt, own, "{what}, at the prompt");
        }
        prompts += outcome.prompts.len();
    };
    let typing = |code: String| [Some(code)];
    check(
        "unknown",
        "USER_UNKNOWN",
        called.login("carol").answering(typing(code(0))),
    );
    check(
        "accepted",
        "SUCCESS",
        called.login("alice").answering(typing(code(0))),
    );
    let stacked = called.login("alice").stacked("000000");
    check(
        "refused twice",
        "AUTH_ERR",
        stacked.answering(typing(code(0))),
    );
    check(
        "too early",
        "AUTH_ERR",
        called.login("alice").answering(typing(code(0))),
    );
    let cancelled = called.login("bob").stacked("000000");
    let cancelled = cancelled.conversation_fails(pam_sys::PAM_CONV_ERR);
    check("cancelled", "AUTH_ERR", cancelled);
    let broken = throttle.join("throttle-bob");
    fs::remove_file(&broken).unwrap();
    fs::create_dir(&broken).unwrap();
    check(
        "error",
        "AUTH_ERR",
        called.login("bob").answering(typing(bobs_code())),
    );
    // The standard library panics where there is no clock, here with the throttle's lock held.
    fs::remove_dir(&broken).unwrap();
    let called = called.without_a_clock();
    check(
        "panic",
        "AUTH_ERR",
        called.login("bob").answering(typing(bobs_code())),
    );
    assert!(prompts >= 5, "{prompts}");
}
