//! From `oathctl add` to a login, with programs that share no code with it: `pyotp`
//! and `oathtool` for the codes, `zbarimg` for the QR codes.

use std::fs;
use std::path::Path;
use std::process::Command;

use test_support::oathctl::Tool;
use test_support::{NOON, program};

/// The parameters in a token's URI, and the options of `oathctl add` that set them.
struct Case {
    options: &'static [&'static str],
    /// For `oathtool`.
    kind: &'static [&'static str],
    digits: &'static str,
}

const CASES: [Case; 5] = [
    Case {
        options: &[],
        kind: &["--totp"],
        digits: "6",
    },
    Case {
        options: &["--digits", "8", "--algorithm", "sha256", "--period", "60"],
        kind: &["--totp=sha256", "--time-step-size=60s"],
        digits: "8",
    },
    Case {
        options: &["--digits", "7", "--algorithm", "sha512"],
        kind: &["--totp=sha512"],
        digits: "7",
    },
    Case {
        options: &["--hotp"],
        kind: &["--hotp", "--counter=1"],
        digits: "6",
    },
    Case {
        options: &["--hotp", "--digits", "8", "--issuer", "Ünï Co."],
        kind: &["--hotp", "--counter=1"],
        digits: "8",
    },
];

const ADD: [&str; 4] = ["add", "alice", "--force", "--no-confirm"];

#[test]
fn the_first_code_that_an_app_shows_of_a_token_by_counter_is_good_whichever_app_it_is() {
    // Relative to the URI's counter: FreeOTP+, Aegis and FreeOTP, Google Authenticator.
    for first_shown in [-1, 0, 1] {
        let tool = Tool::new();
        let shown = tool.run([&ADD[..], &["--hotp", "--json"]].concat()).json();
        let uri = shown["uri"].as_str().unwrap();
        let counter: i64 = uri.rsplit("&counter=").next().unwrap().parse().unwrap();
        let secret = shown["secret"].as_str().unwrap();
        let token = test_support::codes::Generator::of_base32(secret);
        let code = token.code((counter + first_shown) as u64);
        assert_eq!(tool.scene.login("alice").types(code).rc, "SUCCESS");
    }
}

#[test]
#[ignore = "needs oathtool and python3-pyotp: run make test"]
fn an_enrolled_secret_gives_codes_that_log_in_by_oathtool_and_by_pyotp() {
    for case in &CASES {
        let tool = Tool::new();
        let shown = tool.run([&ADD, case.options, &["--json"]].concat()).json();
        let (secret, uri) = (
            shown["secret"].as_str().unwrap(),
            shown["uri"].as_str().unwrap(),
        );
        let code = oathtool(case, secret);
        assert_eq!(pyotp(uri), code, "{:?}", case.options);
        let outcome = tool.scene.login("alice").types(&code);
        assert_eq!(outcome.rc, "SUCCESS", "{:?}", case.options);
    }
}

#[test]
#[ignore = "needs zbar-tools: run make test"]
fn every_qr_code_on_the_terminal_and_in_a_file_is_read_back_as_the_uri() {
    for case in &CASES {
        let tool = Tool::new();
        let uri = tool.run([&ADD, case.options, &["--json"]].concat()).json()["uri"].clone();
        let folder = tool.scene.folder();
        let issuer = match case.options.iter().position(|&option| option == "--issuer") {
            Some(at) => &case.options[at..],
            None => &[],
        };
        let show = |more: &[&str]| {
            tool.run([&["show", "alice", "--yes"], issuer, more].concat())
                .ok()
        };
        let png = folder.join("alice.png");
        assert_eq!(show(&["--qr", png.to_str().unwrap()]), "");
        assert_eq!(read_by_zbarimg(&png), uri, "{:?}", case.options);

        let drawn = folder.join("drawn.pgm");
        draw(&show(&[]), Drawn::InTheTextColour { background: 0 }, &drawn);
        assert_eq!(read_by_zbarimg(&drawn), uri, "{:?}", case.options);
    }
}

#[test]
#[ignore = "needs zbar-tools: run make test"]
fn in_colour_the_terminals_qr_code_is_black_on_white() {
    let tool = Tool::new().in_colour();
    let uri = tool.run([&ADD[..], &["--json"]].concat()).json()["uri"].clone();
    let mut terminal = tool.on_terminal(["show", "alice", "--yes"]);
    let screen = utf8(&terminal.exp_string("Secret:").unwrap());
    // Of the 256 colours, 16 is black and 231 is white, whatever the terminal's own theme.
    assert!(screen.contains("\x1b[38;5;16m\x1b[48;5;231m"), "{screen:?}");
    let drawn = tool.scene.folder().join("drawn.pgm");
    draw(&screen, Drawn::BlackOnWhite, &drawn);
    assert_eq!(read_by_zbarimg(&drawn), uri);
}

#[test]
#[ignore = "needs zbar-tools: run make test"]
fn on_a_terminal_of_80_by_24_code_and_secret_are_in_sight_when_the_question_comes() {
    let mut drawn_at_all = 0;
    for length in [4, 12, 24, 34, 60] {
        let tool = Tool::new().in_colour();
        let issuer = "i".repeat(length);
        let args = ["add", "alice", "--force", "--issuer", &issuer];
        let mut terminal = tool.on_terminal_of(24, 80, args);
        let said = utf8(
            &terminal
                .exp_string("The code that the app shows now: ")
                .unwrap(),
        );
        let lines: Vec<String> = said.lines().map(without_escapes).collect();
        let in_sight = &lines[lines.len().saturating_sub(24)..];
        assert!(
            in_sight.iter().any(|line| line.starts_with("Secret: ")),
            "{said}"
        );
        if said.contains("The QR code takes a terminal of") {
            assert!(
                // How large a code gets at the edge depends on the random secret, too.
                length >= 34 && said.contains("--qr FILE"),
                "{length}: {said}"
            );
            continue;
        }
        let drawn = tool.scene.folder().join("drawn.pgm");
        draw(&in_sight_in_colour(&said), Drawn::BlackOnWhite, &drawn);
        let read = read_by_zbarimg(&drawn);
        assert!(
            read.starts_with("otpauth://totp/i") && said.contains(&read),
            "{length}: {read}"
        );
        drawn_at_all += 1;
    }
    assert!(drawn_at_all >= 3);
}

/// The last 24 lines, with their colours.
fn in_sight_in_colour(said: &str) -> String {
    let lines: Vec<&str> = said.lines().collect();
    lines[lines.len().saturating_sub(24)..].join("\n")
}

#[test]
#[ignore = "needs zbar-tools and librsvg2-bin: run make test"]
fn the_svg_is_read_back_as_the_uri() {
    let tool = Tool::new();
    let svg = tool.scene.folder().join("alice.svg");
    let args = [&ADD[..], &["--json", "--qr", svg.to_str().unwrap()]].concat();
    let uri = tool.run(args).json()["uri"].clone();
    let png = svg.with_extension("png");
    let converted = Command::new(program("rsvg-convert", "librsvg2-bin"))
        .arg("--background-color=white")
        .arg("--output")
        .args([&png, &svg])
        .status()
        .unwrap();
    assert!(converted.success());
    assert_eq!(read_by_zbarimg(&png), uri);
}

/// The code for noon, or for counter 0.
fn oathtool(case: &Case, secret: &str) -> String {
    let mut command = Command::new(program("oathtool", "oathtool"));
    command
        .args(case.kind)
        .args(["--base32", "--digits", case.digits]);
    if case.kind[0].starts_with("--totp") {
        command.args(["--now", "2026-01-15 12:00:00 UTC"]);
    }
    answer(command.arg(secret))
}

/// The same by what the URI says.
fn pyotp(uri: &str) -> String {
    const SCRIPT: &str = "
import sys
try:
    import pyotp
except ImportError:
    sys.exit('no pyotp: install the package python3-pyotp')
token = pyotp.parse_uri(sys.argv[1])
print(token.at(int(sys.argv[2]) if hasattr(token, 'interval') else 0))";
    // Debian's own Python, which finds Debian's pyotp.
    answer(Command::new("/usr/bin/python3").args(["-c", SCRIPT, uri, &NOON.to_string()]))
}

fn read_by_zbarimg(picture: &Path) -> String {
    answer(
        Command::new(program("zbarimg", "zbar-tools"))
            .args(["--quiet", "--raw", "-Sdisable", "-Sqrcode.enable"])
            .arg(picture),
    )
}

fn answer(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {stderr}");
    String::from_utf8(output.stdout)
        .unwrap()
        .trim_end()
        .to_owned()
}

/// What the blocks on the terminal are drawn in.
enum Drawn {
    BlackOnWhite,
    /// White on a background of this grey.
    InTheTextColour {
        background: u8,
    },
}

/// Draws the half blocks of a screen as a picture: what a camera in front of it would see.
fn draw(screen: &str, drawn: Drawn, file: &Path) {
    const SIZE: usize = 6;
    let (ink, paper) = match drawn {
        Drawn::BlackOnWhite => (0, 255),
        Drawn::InTheTextColour { background } => (255, background),
    };
    let is_block = |c: char| matches!(c, '█' | '▀' | '▄' | ' ');
    let rows: Vec<Vec<char>> = screen
        .lines()
        .map(|line| {
            without_escapes(line)
                .trim_end_matches('\r')
                .chars()
                .collect()
        })
        .filter(|row: &Vec<char>| row.len() > 20 && row.iter().all(|&c| is_block(c)))
        .collect();
    // The rest of a dark terminal, up to the margin of the code.
    const BESIDE: usize = 4 * SIZE;
    let width = rows[0].len() * SIZE + 2 * BESIDE;
    let beside = || std::iter::repeat_n(0, BESIDE);
    let mut pixels = vec![0; width * BESIDE];
    for row in &rows {
        for half in ['▀', '▄'] {
            let line = row.iter().flat_map(|&c| {
                let on = c == '█' || c == half;
                [if on { ink } else { paper }; SIZE]
            });
            let line: Vec<u8> = beside().chain(line).chain(beside()).collect();
            (0..SIZE).for_each(|_| pixels.extend_from_slice(&line));
        }
    }
    pixels.resize(pixels.len() + width * BESIDE, 0);
    let mut picture = format!("P5 {width} {} 255\n", pixels.len() / width).into_bytes();
    picture.extend(pixels);
    fs::write(file, picture).unwrap();
}

/// What rexpect read, which takes each byte for a character.
fn utf8(screen: &str) -> String {
    let bytes = screen.chars().map(|c| u8::try_from(c).unwrap()).collect();
    String::from_utf8(bytes).unwrap()
}

fn without_escapes(line: &str) -> String {
    let mut parts = line.split("\x1b[");
    let first = parts.next().unwrap_or_default();
    let rest = parts.filter_map(|part| part.split_once('m').map(|(_, rest)| rest));
    std::iter::once(first).chain(rest).collect()
}
