//! A PIN: asked for, and as it stands in the usersfile.

use zeroize::Zeroizing;

use crate::error::Error;
use crate::terminal::Terminal;

/// Asks for a new PIN, twice.
pub fn ask(terminal: &Terminal) -> Result<Zeroizing<String>, Error> {
    let pin = terminal.ask_secret("New PIN: ")?;
    if *terminal.ask_secret("The same again: ")? != *pin {
        return Err(Error::failed("the PINs differ; nothing was changed"));
    }
    Ok(pin)
}

/// What stands in field 3 for this PIN.
pub fn stored(pin: &str) -> Result<Zeroizing<Vec<u8>>, Error> {
    let problem = if pin.is_empty() {
        "is empty"
    } else if pin.contains(|c: char| c.is_whitespace() || c.is_control()) {
        "has white space in it, which ends a field of the usersfile"
    } else if matches!(pin, "-" | "+") || pin.starts_with('$') {
        "would be read as something else (\"-\", \"+\" and a leading \"$\" have a meaning)"
    } else {
        return Ok(Zeroizing::new(pin.as_bytes().to_vec()));
    };
    Err(Error::failed(format!("the PIN {problem}")))
}
