//! Keeps tokens out of crash dumps, and looks at the limits of the process.
//!
//! * The process writes no core dump: neither to a file nor, on Linux, to a crash reporter's pipe, which ignores size
//!   limits.
//! * On Linux no other process of the same user can attach to the process or read its memory, administrators aside.
//! * Programs that it starts, such as the browser, may raise their own limit again.
//! * If the system refuses any of this, the program runs all the same: no other promise depends on it.

use crate::cli::error::CliError;

/// Forbids dumps of this process's memory.
#[cfg(unix)]
pub(super) fn forbid_dumps() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    let Rlimit { maximum, .. } = getrlimit(Resource::Core);
    let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum });
    #[cfg(target_os = "linux")]
    let _ = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
}

/// Windows writes a process's dump only at an administrator's request.
#[cfg(not(unix))]
pub(super) fn forbid_dumps() {}

/// Refuses a limit of open files under which the runtime would panic, or requests fail one after the other.
#[cfg(unix)]
pub(super) fn check_descriptors() -> Result<(), CliError> {
    use rustix::process::{Resource, getrlimit};

    match getrlimit(Resource::Nofile).current {
        Some(limit) if limit < LEAST_DESCRIPTORS => {
            let problem = format!("it allows {limit} open files; at least {LEAST_DESCRIPTORS} are needed");
            Err(CliError::Option { option: "ulimit -n".to_owned(), problem })
        }
        Some(_) | None => Ok(()),
    }
}

/// Windows has no such limit.
#[cfg(not(unix))]
pub(super) fn check_descriptors() -> Result<(), CliError> {
    Ok(())
}

/// What the runtime, the log, the ledger and a few connections need.
#[cfg(unix)]
const LEAST_DESCRIPTORS: u64 = 64;

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use rustix::process::{DumpableBehavior, Resource, dumpable_behavior, getrlimit};

    #[test]
    fn memory_is_neither_dumped_nor_shown() {
        crate::cli::hardening::forbid_dumps();
        assert_eq!(getrlimit(Resource::Core).current, Some(0));
        assert_eq!(dumpable_behavior().ok(), Some(DumpableBehavior::NotDumpable));
    }
}
