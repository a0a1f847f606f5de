//! What a login costs, beside the other modules that do the same: `make bench`.
//!
//! Each module is asked through the system's libpam in this process, from `pam_start` to
//! `pam_end`, so that loading and unloading it count. The modules take turns, login by login, in
//! alternating order, so that whatever else the machine does hits all of them alike. All tokens
//! are TOTP; the code is that of the moment, the best case of a search that stops where it finds
//! the code. Before each login, and not timed, the file is written as it was before the first.
//!
//! ```text
//! cargo bench --bench login -- [--quick] [--million] [--disk FOLDER] [--cpu]
//! ```
//!
//! The figures are printed, and written to target/bench/login.json for `make plot`.

mod support {
    pub mod pam;
    pub mod scene;
}

use std::ffi::CString;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use serde::Serialize;
use support::pam::{self, Clock};
use support::scene::{Module, Outcome, Person, Scene};

const OATH_TOOLKIT_AND_THIS: [Module; 2] = [Module::OathToolkit, Module::This];
/// With a file for each user; the first is ours.
const WITH_OWN_FILES: [Module; 2] = [Module::InPlaceOfGoogle, Module::Google];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [action, login @ ..] = &arguments[..] {
        if action == "first-login" {
            return first_login(login);
        }
    }
    let options = Options::parse(&arguments);
    check_fairness();
    let report = Report {
        cpu: options.cpu,
        logins: compare_logins(&options),
        at_once: log_in_at_once(&options),
        memory: measure_memory(&options),
        instructions: count_instructions(),
    };
    report.print();
    let json = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("bench/login.json");
    fs::create_dir_all(json.parent().unwrap()).expect("a folder for the figures");
    fs::write(&json, serde_json::to_string_pretty(&report).unwrap()).expect("the figures written");
    println!("\nAll of it for programs: {}", json.display());
    ExitCode::SUCCESS
}

struct Options {
    /// A tenth of the logins.
    quick: bool,
    /// A file of a million users, too.
    million: bool,
    /// Count this thread's processor time instead of the clock's: on a machine that is busy with
    /// other things.
    cpu: bool,
    /// A folder on a real disk.
    disk: PathBuf,
}

impl Options {
    fn parse(arguments: &[String]) -> Options {
        let mut options = Options {
            quick: false,
            million: false,
            cpu: false,
            disk: env!("CARGO_TARGET_TMPDIR").into(),
        };
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--quick" => options.quick = true,
                "--million" => options.million = true,
                "--cpu" => options.cpu = true,
                "--disk" => options.disk = arguments.next().expect("--disk FOLDER").into(),
                "--bench" => {} // from cargo
                other => panic!("no such option: {other}"),
            }
        }
        options
    }

    fn clock(&self) -> Clock {
        if self.cpu {
            Clock::Processor
        } else {
            Clock::Wall
        }
    }

    /// How long one comparison may take.
    fn patience(&self) -> Duration {
        Duration::from_millis(if self.quick { 700 } else { 7000 })
    }
}

fn memory_folder() -> &'static Path {
    Path::new("/dev/shm")
}

/// What would make the comparison unfair to somebody.
fn check_fairness() {
    for module in OATH_TOOLKIT_AND_THIS {
        let what = "run `make build` and install the package libpam-oath";
        assert!(module.path().is_some(), "{what}");
    }
    let scene = Scene::new(memory_folder(), 1);
    for module in OATH_TOOLKIT_AND_THIS {
        scene.enter(module);
        let login = scene.login(module, &scene.people[0], Outcome::Accepted);
        login.run(Clock::Wall).expect("a good code is accepted");
        let maps = fs::read_to_string("/proc/self/maps").unwrap();
        // A module that stays would be loaded only once, and a library that this program has
        // loaded for itself would cost a module that needs it nothing.
        let modules = scene.modules().to_str().expect("a UTF-8 path");
        for library in [modules, "libgcc_s"] {
            assert!(!maps.contains(library), "{library} is loaded all the time");
        }
    }
}

/// The quartiles of a sample.
#[derive(Clone, Copy, Serialize)]
struct Spread {
    low: f64,
    median: f64,
    high: f64,
}

impl Spread {
    fn of(values: impl IntoIterator<Item = f64>) -> Spread {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let at = |part: f64| values[((values.len() - 1) as f64 * part).round() as usize];
        Spread {
            low: at(0.25),
            median: at(0.5),
            high: at(0.75),
        }
    }

    fn of_times(times: &[Duration]) -> Spread {
        Spread::of(times.iter().map(|time| time.as_secs_f64() * 1e6))
    }
}

/// One module's logins of one kind.
#[derive(Serialize)]
struct Timing {
    module: &'static str,
    microseconds: Spread,
    /// Our time to its time, login by login.
    ours_to_it: Spread,
}

/// The modules compared in one kind of login.
#[derive(Serialize)]
struct Comparison {
    place: &'static str,
    users: usize,
    user_at: &'static str,
    outcome: &'static str,
    logins_each: usize,
    timings: Vec<Timing>,
}

fn compare_logins(options: &Options) -> Vec<Comparison> {
    let mut comparisons = Vec::new();
    let mut sizes = vec![1, 10, 100, 1000, 10_000, 100_000];
    if options.million {
        sizes.push(1_000_000);
    }
    for users in sizes {
        let scene = Scene::new(memory_folder(), users);
        let places: &[_] = match users {
            1 => &[("alone", 0)],
            _ => &[("middle", users / 2), ("end", users - 1)],
        };
        for &(user_at, person) in places {
            for outcome in [Outcome::Accepted, Outcome::Refused, Outcome::Replayed] {
                let kind = ("tmpfs", user_at, person, outcome);
                comparisons.push(compare(&scene, kind, options));
            }
        }
        let kind = ("tmpfs", "none", 0, Outcome::Unknown);
        comparisons.push(compare(&scene, kind, options));
    }
    if have_own_files() {
        let scene = Scene::of_account(memory_folder());
        for outcome in [Outcome::Accepted, Outcome::Refused] {
            let kind = ("tmpfs", "own file", 0, outcome);
            comparisons.push(compare_modules(&scene, &WITH_OWN_FILES, kind, options));
        }
    }
    let scene = Scene::new(&options.disk, 1);
    for outcome in [Outcome::Accepted, Outcome::Refused] {
        let kind = ("disk", "alone", 0, outcome);
        comparisons.push(compare(&scene, kind, options));
    }
    comparisons
}

/// Whether both modules with own files are there.
fn have_own_files() -> bool {
    let have = WITH_OWN_FILES.iter().all(|module| module.path().is_some());
    if !have {
        eprintln!("no libpam-google-authenticator, so the module in its place is not compared");
    }
    have
}

fn compare(
    scene: &Scene,
    (place, user_at, person, outcome): (&'static str, &'static str, usize, Outcome),
    options: &Options,
) -> Comparison {
    let mut modules = vec![Module::This, Module::OathToolkit];
    if scene.people.len() == 1 && matches!(outcome, Outcome::Accepted | Outcome::Refused) {
        modules.push(Module::Google);
        modules.push(Module::Floor);
        modules.retain(|module| module.path().is_some());
    }
    compare_modules(scene, &modules, (place, user_at, person, outcome), options)
}

/// The first of the modules is ours.
fn compare_modules(
    scene: &Scene,
    modules: &[Module],
    (place, user_at, person, outcome): (&'static str, &'static str, usize, Outcome),
    options: &Options,
) -> Comparison {
    const MOST_ROUNDS: usize = 1000;
    const FEWEST_ROUNDS: usize = 11;
    for &module in modules {
        scene.enter(module);
    }
    // A file that has just been written is not yet believed to lack somebody.
    std::thread::sleep(Duration::from_millis(100));
    let mut times = vec![Vec::new(); modules.len()];
    let start = Instant::now();
    let mut round = 0;
    while round < FEWEST_ROUNDS || round < MOST_ROUNDS && start.elapsed() < options.patience() {
        let mut turns: Vec<usize> = (0..modules.len()).collect();
        turns.rotate_left(round % modules.len());
        for turn in turns {
            let module = modules[turn];
            if outcome == Outcome::Accepted {
                scene.reset(module);
            }
            let login = scene.login(module, &scene.people[person], outcome);
            let time = login
                .run(options.clock())
                .unwrap_or_else(|| panic!("{}: a login was not {}", module.name(), outcome.name()));
            times[turn].push(time);
        }
        round += 1;
    }
    let ours = &times[0];
    let timings = modules.iter().zip(&times).map(|(module, theirs)| Timing {
        module: module.name(),
        microseconds: Spread::of_times(theirs),
        ours_to_it: Spread::of(
            ours.iter()
                .zip(theirs)
                .map(|(ours, theirs)| ours.as_secs_f64() / theirs.as_secs_f64()),
        ),
    });
    Comparison {
        place,
        users: scene.people.len(),
        user_at,
        outcome: outcome.name(),
        logins_each: round,
        timings: timings.collect(),
    }
}

/// Many users at the same moment, each in a process of their own, over one usersfile or a file each.
#[derive(Serialize)]
struct AtOnce {
    module: &'static str,
    users: usize,
    /// How many got in: the fewest and the most of all rounds.
    accepted: (usize, usize),
    /// From the start sign to the end of the last process.
    microseconds: Spread,
    /// The same for one of them alone.
    alone: Spread,
}

fn log_in_at_once(options: &Options) -> Vec<AtOnce> {
    const USERS: usize = 64;
    let rounds = if options.quick { 5 } else { 40 };
    let scene = Scene::new(memory_folder(), USERS);
    let own_files = WITH_OWN_FILES.into_iter().filter(|_| have_own_files());
    OATH_TOOLKIT_AND_THIS
        .into_iter()
        .chain(own_files)
        .map(|module| {
            scene.enter(module);
            let (mut accepted, mut together, mut alone) = (Vec::new(), Vec::new(), Vec::new());
            for _ in 0..rounds {
                let (time, let_in) = race(&scene, module, &scene.people[..1]);
                assert_eq!(let_in, 1, "{}: a good code was refused", module.name());
                alone.push(time);
                let (time, let_in) = race(&scene, module, &scene.people);
                together.push(time);
                accepted.push(let_in);
            }
            AtOnce {
                module: module.name(),
                users: USERS,
                accepted: (
                    *accepted.iter().min().unwrap(),
                    *accepted.iter().max().unwrap(),
                ),
                microseconds: Spread::of_times(&together),
                alone: Spread::of_times(&alone),
            }
        })
        .collect()
}

/// Lets `people` log in at the same moment; tells how long it took and how many got in.
fn race(scene: &Scene, module: Module, people: &[Person]) -> (Duration, usize) {
    scene.reset(module);
    // Each process reads from the same stream, which ends for all of them at once.
    let (start, held) = UnixStream::pair().unwrap();
    let racers: Vec<Child> = people
        .iter()
        .map(|person| {
            let mut racer = Command::new(std::env::current_exe().unwrap());
            add_first_login(&mut racer, scene, module, person);
            racer
                .stdin(OwnedFd::from(start.try_clone().unwrap()))
                .stdout(Stdio::piped())
                .spawn()
                .unwrap()
        })
        .collect();
    drop(start);
    let mut racers: Vec<(Child, BufReader<ChildStdout>)> = racers
        .into_iter()
        .map(|mut racer| {
            let mut output = BufReader::new(racer.stdout.take().unwrap());
            let mut ready = String::new();
            output.read_line(&mut ready).unwrap();
            (racer, output)
        })
        .collect();
    let begun = Instant::now();
    drop(held);
    let let_in = racers
        .iter_mut()
        .map(|(racer, _)| racer.wait().unwrap())
        .filter(|status| status.success())
        .count();
    (begun.elapsed(), let_in)
}

/// How far the first login of a process makes its memory grow.
#[derive(Serialize)]
struct Memory {
    module: &'static str,
    users: usize,
    file_kib: usize,
    peak_growth_kib: usize,
}

fn measure_memory(options: &Options) -> Vec<Memory> {
    let mut result = Vec::new();
    for users in [1, if options.million { 1_000_000 } else { 100_000 }] {
        let scene = Scene::new(memory_folder(), users);
        for module in OATH_TOOLKIT_AND_THIS {
            scene.enter(module);
            let program = std::env::current_exe().unwrap();
            let answer = run_first_login(&scene, module, Command::new(program));
            result.push(Memory {
                module: module.name(),
                users,
                file_kib: scene.length() / 1024,
                peak_growth_kib: answer
                    .lines()
                    .last()
                    .and_then(|kib| kib.parse().ok())
                    .expect("a number"),
            });
        }
    }
    result
}

/// The instructions of the first login of a process, outside the kernel.
#[derive(Serialize)]
struct Instructions {
    module: &'static str,
    users: usize,
    outcome: &'static str,
    thousands: f64,
}

fn count_instructions() -> Vec<Instructions> {
    let mut result = Vec::new();
    if Command::new("valgrind").arg("--version").output().is_err() {
        eprintln!("no valgrind, so no instructions are counted");
        return result;
    }
    for users in [1, 1000, 100_000] {
        let scene = Scene::new(memory_folder(), users);
        for module in OATH_TOOLKIT_AND_THIS {
            scene.enter(module);
            let counts = scene.confdir().join("callgrind.out");
            let mut valgrind = Command::new("valgrind");
            valgrind
                .args(["--tool=callgrind", "--toggle-collect=one_login", "-q"])
                .arg(format!("--callgrind-out-file={}", counts.display()))
                .arg(std::env::current_exe().unwrap());
            run_first_login(&scene, module, valgrind);
            let counts = fs::read_to_string(counts).expect("what callgrind counted");
            let total = counts
                .lines()
                .find_map(|line| line.strip_prefix("totals: "))
                .expect("callgrind's totals");
            result.push(Instructions {
                module: module.name(),
                users,
                outcome: Outcome::Accepted.name(),
                thousands: total.trim().parse::<f64>().expect("a number") / 1e3,
            });
        }
    }
    result
}

/// Has a new process do an accepted login of the user in the middle; returns what it prints.
fn run_first_login(scene: &Scene, module: Module, mut command: Command) -> String {
    scene.reset(module);
    let person = &scene.people[scene.people.len() / 2];
    add_first_login(&mut command, scene, module, person);
    let output = command.stdin(Stdio::null()).output().expect("a process");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).expect("text")
}

fn add_first_login(command: &mut Command, scene: &Scene, module: Module, person: &Person) {
    let login = scene.login(module, person, Outcome::Accepted);
    command.arg("first-login");
    for text in [&login.confdir, &login.service, &login.user, &login.code] {
        command.arg(text.to_str().unwrap());
    }
}

/// The other side of these: says that it is ready, waits until its standard input ends, logs in
/// and prints how far the peak of this process's memory grew, in KiB.
fn first_login(login: &[String]) -> ExitCode {
    let resident = |field| {
        let status = fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(field));
        let kib = line.and_then(|line| line.split_whitespace().next());
        kib.expect("a number").parse::<usize>().expect("a number")
    };
    let login: Vec<CString> = login
        .iter()
        .map(|text| CString::new(text.as_str()).unwrap())
        .collect();
    let [confdir, service, user, code] = &login[..] else {
        panic!("first-login CONFDIR SERVICE USER CODE");
    };
    println!("ready");
    std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
    // Makes the peak what is in use now (proc(5)).
    fs::write("/proc/self/clear_refs", "5").unwrap();
    let before = resident("VmRSS:");
    let result = pam::one_login(confdir, service, user, code);
    let peak = resident("VmHWM:");
    println!("{}", peak.saturating_sub(before));
    if result == pam_sys::PAM_SUCCESS {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

#[derive(Serialize)]
struct Report {
    cpu: bool,
    logins: Vec<Comparison>,
    at_once: Vec<AtOnce>,
    memory: Vec<Memory>,
    instructions: Vec<Instructions>,
}

impl Report {
    fn print(&self) {
        let clock = if self.cpu { " of processor time" } else { "" };
        println!("A login in microseconds{clock} (median; quartiles), and ours to it (the same)\n");
        println!("| place | users | user | login | module | µs | | ours to it | | logins |");
        println!("| --- | ---: | --- | --- | --- | ---: | --- | ---: | --- | ---: |");
        for of in &self.logins {
            for timing in &of.timings {
                let (time, ratio) = (timing.microseconds, timing.ours_to_it);
                println!(
                    "| {} | {} | {} | {} | {} | {:.0} | {:.0} to {:.0} | {:.2} | {:.2} to {:.2} | {} |",
                    of.place,
                    of.users,
                    of.user_at,
                    of.outcome,
                    timing.module,
                    time.median,
                    time.low,
                    time.high,
                    ratio.median,
                    ratio.low,
                    ratio.high,
                    of.logins_each,
                );
            }
        }
        println!("\nLogins at the same moment, all with good codes\n");
        println!("| module | users | let in | µs | | one alone µs | times one |");
        println!("| --- | ---: | ---: | ---: | --- | ---: | ---: |");
        for AtOnce {
            module,
            users,
            accepted: (fewest, most),
            microseconds,
            alone,
        } in &self.at_once
        {
            println!(
                "| {module} | {users} | {fewest} to {most} | {:.0} | {:.0} to {:.0} | {:.0} | {:.1} |",
                microseconds.median,
                microseconds.low,
                microseconds.high,
                alone.median,
                microseconds.median / alone.median,
            );
        }
        println!("\nMemory: how far the peak grows in the first login of a process\n");
        println!("| module | users | file KiB | growth KiB |\n| --- | ---: | ---: | ---: |");
        for Memory {
            module,
            users,
            file_kib,
            peak_growth_kib,
        } in &self.memory
        {
            println!("| {module} | {users} | {file_kib} | {peak_growth_kib} |");
        }
        println!("\nInstructions outside the kernel, first login of a process, in thousands\n");
        println!("| module | users | login | instructions |\n| --- | ---: | --- | ---: |");
        for Instructions {
            module,
            users,
            outcome,
            thousands,
        } in &self.instructions
        {
            println!("| {module} | {users} | {outcome} | {thousands:.0} |");
        }
    }
}
