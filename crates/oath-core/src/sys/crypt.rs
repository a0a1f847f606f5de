//! crypt(3), from the system's own library, which is loaded when it is needed.

use std::ffi::{CStr, c_char};

use zeroize::Zeroizing;

/// `crypt(3)`: the hash of `phrase` with the method, the cost and the salt that `setting` (a hash
/// may stand there) begins with. `None` if there is no libcrypt or it does not know the method.
///
/// The library is loaded when a hash is met, so that all other logins do not pay for it.
pub fn crypt(phrase: &[u8], setting: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    type CryptR =
        unsafe extern "C" fn(*const c_char, *const c_char, *mut libc::c_void) -> *mut c_char;
    /// Room for `struct crypt_data`: 32 KiB in libxcrypt, 128 KiB in older C libraries.
    const CRYPT_DATA: usize = 160 * 1024;

    let terminated = |text: &[u8]| {
        let mut terminated = Zeroizing::new(Vec::with_capacity(text.len() + 1));
        terminated.extend_from_slice(text);
        terminated.push(0);
        (!text.contains(&0)).then_some(terminated)
    };
    let (phrase, setting) = (terminated(phrase)?, terminated(setting)?);
    let library = Library::open(&[c"libcrypt.so.1", c"libcrypt.so.2"])?;
    let function = library.symbol(c"crypt_r")?;
    // SAFETY: the name stands for the function of crypt_r(3), which has this signature.
    let crypt_r: CryptR = unsafe { std::mem::transmute(function) };
    // Words of 64 bits, so that it is aligned like any structure of C.
    let mut data = Zeroizing::new(vec![0u64; CRYPT_DATA / 8]);
    // SAFETY: crypt_r(3) reads two terminated strings and works in the structure it is given,
    // which is large enough and zeroed as the page asks; it returns null or a terminated string
    // inside of it. The library stays loaded until `library` is dropped.
    let hash = unsafe {
        let hash = crypt_r(
            phrase.as_ptr().cast(),
            setting.as_ptr().cast(),
            data.as_mut_ptr().cast(),
        );
        if hash.is_null() {
            return None;
        }
        Zeroizing::new(CStr::from_ptr(hash).to_bytes().to_vec())
    };
    // "*0" and "*1" stand for a failure.
    (!hash.starts_with(b"*")).then_some(hash)
}

/// A shared library, for as long as it is needed.
struct Library(std::ptr::NonNull<libc::c_void>);

impl Library {
    /// Loads the first of `names` that can be had.
    fn open(names: &[&CStr]) -> Option<Library> {
        names.iter().find_map(|name| {
            // SAFETY: dlopen(3) reads a terminated string; the system's library of that name
            // runs nothing on loading that would disturb this process.
            let library = unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_NOW) };
            std::ptr::NonNull::new(library).map(Library)
        })
    }

    fn symbol(&self, name: &CStr) -> Option<std::ptr::NonNull<libc::c_void>> {
        // SAFETY: dlsym(3) takes an open library and a terminated string.
        std::ptr::NonNull::new(unsafe { libc::dlsym(self.0.as_ptr(), name.as_ptr()) })
    }
}

impl Drop for Library {
    fn drop(&mut self) {
        // SAFETY: dlclose(3) of a library that was opened once and is closed once.
        unsafe { libc::dlclose(self.0.as_ptr()) };
    }
}
