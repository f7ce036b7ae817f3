//! What a machine must have before anything is tested. What is missing is installed, loudly.

use crate::shell::run;

/// A program and the Debian package that brings it.
struct Need {
    program: &'static str,
    package: &'static str,
    why: &'static str,
}

/// Short on purpose: Rust brings the rest.
const NEEDS: &[Need] = &[
    Need { program: "cc", package: "build-essential", why: "the allocator is C" },
    Need { program: "git", package: "git", why: "tidy looks at tracked files" },
];

/// Finds what is needed, and installs what is missing where that is possible.
///
/// # Errors
/// When something is missing and cannot be installed: what, and what to type.
pub(crate) fn meet() -> Result<(), String> {
    for tool in ["rustfmt", "clippy-driver"] {
        if !present(tool) {
            return Err(format!("{tool} is missing: rustup component add rustfmt clippy"));
        }
    }
    for Need { program, package, why } in NEEDS {
        if present(program) {
            println!("{program}: present");
            continue;
        }
        println!("{program}: missing ({why}); installing {package}");
        let installed = run("apt-get", ["install", "-y", "--no-install-recommends", package])
            .env("DEBIAN_FRONTEND", "noninteractive")
            .show(|_| {})?;
        if !installed || !present(program) {
            return Err(format!("{program} is missing and could not be installed: {why}"));
        }
    }
    Ok(())
}

/// Whether a program of that name stands in a folder of PATH.
fn present(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_on_the_path_is_present() {
        assert!(present("sh"));
        assert!(!present("no-such-program-anywhere"));
    }
}
