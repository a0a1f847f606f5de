//! Encrypted values of PSKC (RFC 6030, section 6): AES-CBC with a key that sender and receiver
//! share, or one derived from a password by PBKDF2. Nothing is decrypted before its MAC fits.

use aes::cipher::block_padding::NoPadding;
use aes::cipher::{BlockModeDecrypt, KeyIvInit};
use aes::{Aes128, Aes192, Aes256};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use roxmltree::Node;
use sha1::Sha1;
use sha2::{Sha224, Sha256, Sha384, Sha512};
use zeroize::Zeroizing;

use crate::import::Secrets;

/// The most rounds of PBKDF2 that are computed: the file asks for them, whoever wrote it.
const MAX_ROUNDS: u32 = 1_000_000;
/// The length of a block of AES, and of the initialisation vector before a value.
const BLOCK: usize = 16;

/// What decrypts the values of a container.
pub(super) struct Decryption {
    key: Zeroizing<Vec<u8>>,
    mac: Option<(MacAlgorithm, Zeroizing<Vec<u8>>)>,
}

#[derive(Clone, Copy)]
enum MacAlgorithm {
    Sha1,
    Sha224,
    Sha256,
    Sha384,
    Sha512,
}

/// The child of this name, whatever its namespace: three standards and their drafts share this
/// part.
fn child<'a>(node: Node<'a, 'a>, name: &str) -> Option<Node<'a, 'a>> {
    node.children().find(|node| node.tag_name().name() == name)
}

fn descend<'a>(node: Node<'a, 'a>, path: &[&str]) -> Option<Node<'a, 'a>> {
    path.iter().try_fold(node, |node, name| child(node, name))
}

fn base64(node: Node) -> Option<Zeroizing<Vec<u8>>> {
    let digits: Zeroizing<String> = Zeroizing::new(node.text()?.split_ascii_whitespace().collect());
    BASE64_STANDARD
        .decode(digits.as_bytes())
        .ok()
        .map(Zeroizing::new)
}

/// The part of an algorithm's name after the last `#`, or `/`.
fn algorithm<'a>(node: Node<'a, 'a>) -> &'a str {
    let name = node.attribute("Algorithm").unwrap_or_default();
    name.rsplit(['#', '/']).next().unwrap_or_default()
}

impl Decryption {
    /// What the container says of its encryption, with the key or the password that was given. None
    /// if it is not encrypted.
    pub(super) fn of(container: Node, secrets: &Secrets) -> Result<Option<Decryption>, String> {
        let Some(encryption) = child(container, "EncryptionKey") else {
            return Ok(None);
        };
        let key = match child(encryption, "DerivedKey") {
            Some(derived) => derived_key(derived, secrets)?,
            None => secrets.key.clone().ok_or(
                "is encrypted with a key that its maker has sent apart; name the file that has it, \
                 in hex, with --key-file",
            )?,
        };
        let mut decryption = Decryption { key, mac: None };
        if let Some(method) = child(container, "MACMethod") {
            let mac = match algorithm(method) {
                "hmac-sha1" => MacAlgorithm::Sha1,
                "hmac-sha224" => MacAlgorithm::Sha224,
                "hmac-sha256" => MacAlgorithm::Sha256,
                "hmac-sha384" => MacAlgorithm::Sha384,
                "hmac-sha512" => MacAlgorithm::Sha512,
                name => return Err(unknown("MAC", name)),
            };
            // Without a key of its own the MAC has the key of the encryption.
            let key = match child(method, "MACKey") {
                Some(key) => decryption.decrypt(key)?,
                None => decryption.key.clone(),
            };
            decryption.mac = Some((mac, key));
        }
        Ok(Some(decryption))
    }

    /// The value of an element that has `EncryptedValue` and `ValueMAC`.
    pub(super) fn value(&self, element: Node) -> Result<Zeroizing<Vec<u8>>, String> {
        let name = element.tag_name().name();
        let encrypted = child(element, "EncryptedValue")
            .ok_or_else(|| format!("its {name} is not encrypted"))?;
        let Some((algorithm, key)) = &self.mac else {
            return Err(format!(
                "its {name} has no MAC, so nobody knows whether it is right"
            ));
        };
        let value = cipher_value(encrypted)?;
        let mac = child(element, "ValueMAC")
            .and_then(base64)
            .ok_or_else(|| format!("its {name} has no MAC, so nobody knows whether it is right"))?;
        if !algorithm.verifies(key, &value, &mac) {
            return Err(format!(
                "the MAC of its {name} does not fit: the key or password is another, or the file \
                 was changed"
            ));
        }
        self.decrypt(encrypted)
    }

    /// Decrypts what an element with `EncryptionMethod` and `CipherData` holds.
    fn decrypt(&self, element: Node) -> Result<Zeroizing<Vec<u8>>, String> {
        const WRONG: &str =
            "cannot be decrypted: the key or password is another, or the file was changed";
        let method = child(element, "EncryptionMethod").map_or("", algorithm);
        let length = match method {
            "aes128-cbc" => 16,
            "aes192-cbc" => 24,
            "aes256-cbc" => 32,
            name => return Err(unknown("encryption", name)),
        };
        if self.key.len() != length {
            return Err(format!(
                "is encrypted with a key of {length} bytes, and the given one has {}",
                self.key.len()
            ));
        }
        let mut value = cipher_value(element)?;
        if value.len() < 2 * BLOCK || value.len() % BLOCK != 0 {
            return Err(WRONG.into());
        }
        let (iv, text) = value.split_at_mut(BLOCK);
        match length {
            16 => decrypt_blocks::<cbc::Decryptor<Aes128>>(&self.key, iv, text),
            24 => decrypt_blocks::<cbc::Decryptor<Aes192>>(&self.key, iv, text),
            _ => decrypt_blocks::<cbc::Decryptor<Aes256>>(&self.key, iv, text),
        }
        .ok_or(WRONG)?;
        // The last byte is the padding's length (XML Encryption, section 5.2).
        let padding = usize::from(text[text.len() - 1]);
        if !(1..=BLOCK).contains(&padding) {
            return Err(WRONG.into());
        }
        Ok(Zeroizing::new(text[..text.len() - padding].to_vec()))
    }
}

fn decrypt_blocks<C: BlockModeDecrypt + KeyIvInit>(
    key: &[u8],
    iv: &[u8],
    text: &mut [u8],
) -> Option<()> {
    let cipher = C::new_from_slices(key, iv).ok()?;
    cipher.decrypt_padded::<NoPadding>(text).ok()?;
    Some(())
}

fn cipher_value(element: Node) -> Result<Zeroizing<Vec<u8>>, String> {
    descend(element, &["CipherData", "CipherValue"])
        .and_then(base64)
        .ok_or_else(|| "has an encrypted value that is not base64".into())
}

fn unknown(what: &str, name: &str) -> String {
    format!("has the unknown {what} \"{}\"", name.escape_debug())
}

impl MacAlgorithm {
    fn verifies(self, key: &[u8], value: &[u8], mac: &[u8]) -> bool {
        fn fits<M: Mac + KeyInit>(key: &[u8], value: &[u8], mac: &[u8]) -> bool {
            <M as KeyInit>::new_from_slice(key)
                .is_ok_and(|hmac| hmac.chain_update(value).verify_slice(mac).is_ok())
        }
        match self {
            MacAlgorithm::Sha1 => fits::<Hmac<Sha1>>(key, value, mac),
            MacAlgorithm::Sha224 => fits::<Hmac<Sha224>>(key, value, mac),
            MacAlgorithm::Sha384 => fits::<Hmac<Sha384>>(key, value, mac),
            MacAlgorithm::Sha256 => fits::<Hmac<Sha256>>(key, value, mac),
            MacAlgorithm::Sha512 => fits::<Hmac<Sha512>>(key, value, mac),
        }
    }
}

/// The key that a password gives (RFC 6030, section 6.2).
fn derived_key(derived: Node, secrets: &Secrets) -> Result<Zeroizing<Vec<u8>>, String> {
    let Some(password) = &secrets.password else {
        return Err(
            "is encrypted with a password; name the file that has it with --password-file".into(),
        );
    };
    let method = child(derived, "KeyDerivationMethod").ok_or("has no KeyDerivationMethod")?;
    if algorithm(method) != "pbkdf2" {
        return Err(unknown("key derivation", algorithm(method)));
    }
    let parameters = child(method, "PBKDF2-params").ok_or("has no PBKDF2-params")?;
    let number = |name: &str| {
        child(parameters, name).map(|node| {
            node.text()
                .and_then(|text| text.trim().parse::<u32>().ok())
                .ok_or_else(|| format!("has a {name} that is not a number"))
        })
    };
    let salt = descend(parameters, &["Salt", "Specified"])
        .and_then(base64)
        .ok_or("has no salt for its password")?;
    let rounds = number("IterationCount").ok_or("has no IterationCount")??;
    if !(1..=MAX_ROUNDS).contains(&rounds) {
        return Err(format!(
            "asks for {rounds} rounds of PBKDF2; 1 to {MAX_ROUNDS} are computed"
        ));
    }
    let length = number("KeyLength").transpose()?.unwrap_or(16);
    if ![16, 24, 32].contains(&length) {
        return Err(format!(
            "derives a key of {length} bytes, which AES has not"
        ));
    }
    let mut key = Zeroizing::new(vec![0; length as usize]);
    match child(parameters, "PRF").map_or("", algorithm) {
        "" | "hmac-sha1" => pbkdf2::pbkdf2_hmac::<Sha1>(password, &salt, rounds, &mut key),
        "hmac-sha256" => pbkdf2::pbkdf2_hmac::<Sha256>(password, &salt, rounds, &mut key),
        "hmac-sha512" => pbkdf2::pbkdf2_hmac::<Sha512>(password, &salt, rounds, &mut key),
        name => return Err(unknown("hash of PBKDF2", name)),
    }
    Ok(key)
}
