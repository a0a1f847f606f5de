//! A name service as SSSD, winbind and LDAP are: it takes one account's name in many spellings,
//! and its daemon may be away. NSS_SPELLING names the account's home directory; while there is a
//! file of that name with `.away` at the end, the service answers as one without its daemon does.

use std::ffi::{CStr, c_char, c_int};
use std::path::Path;

const NOT_THERE: c_int = -1; // NSS_STATUS_UNAVAIL
const NOT_FOUND: c_int = 0; // NSS_STATUS_NOTFOUND
const FOUND: c_int = 1; // NSS_STATUS_SUCCESS
const TRY_AGAIN: c_int = -2; // NSS_STATUS_TRYAGAIN

#[unsafe(no_mangle)]
extern "C" fn _nss_spelling_getpwnam_r(
    name: *const c_char,
    entry: *mut libc::passwd,
    buffer: *mut c_char,
    size: usize,
    error: *mut c_int,
) -> c_int {
    let answer = |status: c_int, number: c_int| {
        // SAFETY: the C library passes room for an error's number.
        unsafe { *error = number };
        status
    };
    let home = std::env::var("NSS_SPELLING").expect("NSS_SPELLING names a home directory");
    if Path::new(&format!("{home}.away")).exists() {
        return answer(NOT_THERE, libc::ENOENT);
    }
    // SAFETY: the C library passes the name as a string.
    let name = unsafe { CStr::from_ptr(name) };
    let name = name.to_string_lossy().to_lowercase();
    if !["alice", "alice@corp", "corp\\alice"].contains(&name.as_str()) {
        return answer(NOT_FOUND, 0);
    }
    let fields = ["alice", "x", "", &home, "/bin/sh"];
    if fields.iter().map(|field| field.len() + 1).sum::<usize>() > size {
        return answer(TRY_AGAIN, libc::ERANGE);
    }
    let mut at = 0;
    let [name, password, full_name, home, shell] = fields.map(|field| {
        // SAFETY: all fields with their ends fit into the buffer, as was seen above.
        unsafe {
            let start = buffer.add(at);
            start.copy_from(field.as_ptr().cast(), field.len());
            start.add(field.len()).write(0);
            at += field.len() + 1;
            start
        }
    });
    // SAFETY: the C library passes room for an entry; its strings are in the buffer, which belongs
    // to it as well.
    unsafe {
        entry.write(libc::passwd {
            pw_name: name,
            pw_passwd: password,
            pw_uid: 65534,
            pw_gid: 65534,
            pw_gecos: full_name,
            pw_dir: home,
            pw_shell: shell,
        });
    }
    answer(FOUND, 0)
}
