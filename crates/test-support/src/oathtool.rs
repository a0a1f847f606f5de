//! Codes from OATH Toolkit's `oathtool`: a witness of our own codes that shares nothing with them.
//!
//! All secrets are in hex, all codes have six digits, and the time step is 30 seconds.

use std::process::Command;

use crate::program;

/// The secret of the test values in RFC 4226 and RFC 6238: `12345678901234567890`.
pub const SECRET: &str = "3132333435363738393031323334353637383930";

/// [`SECRET`] as an app shows it.
pub const SECRET_BASE32: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";

/// The HOTP code for a counter.
pub fn hotp(secret: &str, counter: u64) -> String {
    oathtool(&["--hotp", &format!("--counter={counter}"), secret])
}

/// The TOTP code for the time step that is `steps` after the present one.
pub fn totp(secret: &str, steps: u64) -> String {
    oathtool(&["--totp", &format!("--now={} seconds", 30 * steps), secret])
}

/// A code that is right neither for the first hundred HOTP counters nor for any time step from
/// ten minutes ago to half an hour from now.
pub fn wrong_code(secret: &str) -> String {
    let by_event = oathtool(&["--hotp", "--window=99", secret]);
    let by_time = oathtool(&["--totp", "--now=-600 seconds", "--window=80", secret]);
    (0..)
        .map(|number| format!("{number:06}"))
        .find(|code| !by_event.contains(code) && !by_time.contains(code))
        .expect("fewer than a million codes are right")
}

fn oathtool(args: &[&str]) -> String {
    let output = Command::new(program("oathtool", "oathtool"))
        .args(args)
        .output()
        .expect("oathtool starts");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "oathtool {args:?}: {stderr}");
    String::from_utf8(output.stdout)
        .expect("ASCII")
        .trim_end()
        .to_owned()
}
