//! A PIN: the question for it, and its hash for the usersfile.

use oath_core::{pin, sys};
use zeroize::Zeroizing;

use crate::error::Error;
use crate::secret::fill_random;
use crate::terminal::Terminal;

/// Asks for a new PIN, twice.
pub(crate) fn ask(terminal: &Terminal) -> Result<Zeroizing<String>, Error> {
    let pin = terminal.ask_secret("New PIN: ")?;
    if *terminal.ask_secret("The same again: ")? != *pin {
        return Err(Error::failed("the PINs differ; nothing was changed"));
    }
    Ok(pin)
}

/// The PIN field: a crypt(5) hash of the PIN, by the best method that the system has.
pub(crate) fn stored(pin: &str) -> Result<Zeroizing<Vec<u8>>, Error> {
    if pin.is_empty() {
        return Err(Error::failed("the PIN is empty; nothing was changed"));
    }
    let settings = [
        format!("$y$j9T${}$", salt(24)?), // yescrypt at its default cost
        format!("$6${}$", salt(16)?),     // SHA-512, which even old systems know
    ];
    settings
        .iter()
        .filter_map(|setting| sys::crypt(pin.as_bytes(), setting.as_bytes()))
        .find(|hash| pin::is_hash(hash))
        .ok_or_else(|| Error::failed("the system's libcrypt cannot hash the PIN"))
}

/// A random salt of this many characters (crypt(5)).
fn salt(length: usize) -> Result<String, Error> {
    const ALPHABET: &[u8; 64] = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut random = vec![0; length];
    fill_random(&mut random)?;
    Ok(random
        .iter()
        .map(|byte| char::from(ALPHABET[usize::from(byte % 64)]))
        .collect())
}
