//! `google-authenticator`; see the library `oathctl`.

use std::process::ExitCode;

fn main() -> ExitCode {
    oathctl::google_authenticator_main()
}
