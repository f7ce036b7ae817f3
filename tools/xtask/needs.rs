//! What a machine must have before anything is tested. What is missing is installed, loudly.

use std::path::PathBuf;

use crate::shell::run;

/// Something that must be there, and the Debian package that brings it.
struct Need {
    what: &'static str,
    why: &'static str,
    package: &'static str,
    /// The package of PyPI, tried first: a python3 that is not Debian's does not see Debian's packages.
    pip: Option<&'static str>,
    present: fn() -> bool,
}

/// Short on purpose: Rust brings the rest.
const NEEDS: &[Need] = &[
    Need {
        what: "C compiler",
        why: "the allocator is C",
        package: "build-essential",
        pip: None,
        present: || on_path("cc").is_some(),
    },
    Need {
        what: "git",
        why: "tidy looks at tracked files",
        package: "git",
        pip: None,
        present: || on_path("git").is_some(),
    },
    Need {
        what: "pkg-config",
        why: "the published 0.2.0 crates look for OpenSSL with it",
        package: "pkg-config",
        pip: None,
        present: || on_path("pkg-config").is_some(),
    },
    Need {
        what: "OpenSSL's headers",
        why: "the published 0.2.0 crates depend on them; elara does not",
        package: "libssl-dev",
        pip: None,
        present: || run("pkg-config", ["--exists", "openssl"]).read().is_ok(),
    },
    Need {
        what: "valgrind",
        why: "it counts the instructions that may not grow",
        package: "valgrind",
        pip: None,
        present: || on_path("valgrind").is_some(),
    },
    Need {
        what: "iproute2",
        why: "a test and the benches make network namespaces with ip and tc",
        package: "iproute2",
        pip: None,
        present: || on_path("ip").is_some() && on_path("tc").is_some(),
    },
    Need {
        what: "coturn",
        why: "the client's side of TURN is tested against its server",
        package: "coturn",
        pip: None,
        present: || on_path("turnserver").is_some(),
    },
    Need {
        what: "Python",
        why: "a second implementation of wire v1 checks ours",
        package: "python3",
        pip: None,
        present: || on_path("python3").is_some(),
    },
    Need {
        what: "Python's package cryptography",
        why: "the second implementation is built on it",
        package: "python3-cryptography",
        pip: Some("cryptography"),
        present: || run("python3", ["-c", "import cryptography"]).read().is_ok(),
    },
    Need {
        what: "coturn's programs",
        why: "its client uses our TURN server, and ours uses its server",
        package: "coturn",
        pip: None,
        present: || on_path("turnutils_uclient").is_some() && on_path("turnserver").is_some(),
    },
    Need {
        what: "Python's package aioice",
        why: "its ICE agents use our TURN server",
        package: "python3-aioice",
        pip: Some("aioice"),
        present: || run("python3", ["-c", "import aioice"]).read().is_ok(),
    },
    Need {
        what: "Debian's own Python with its bindings",
        why: "libnice speaks through them",
        package: "python3-gi",
        pip: None,
        present: || debian_python("import gi"),
    },
    Need {
        what: "libnice for Python",
        why: "its ICE agents use our TURN server",
        package: "gir1.2-nice-0.1",
        pip: None,
        present: || debian_python("import gi; gi.require_version('Nice', '0.1')"),
    },
    Need {
        what: "Chromium",
        why: "a browser uses our TURN server",
        package: "chromium",
        pip: None,
        present: || on_path("chromium").is_some(),
    },
];

/// Finds what is needed, and installs what is missing where that is possible.
///
/// # Errors
/// When something is missing and cannot be installed: what, and what to type.
pub(crate) fn meet() -> Result<(), String> {
    for tool in ["rustfmt", "clippy-driver"] {
        if on_path(tool).is_none() {
            return Err(format!("{tool} is missing: rustup component add rustfmt clippy"));
        }
    }
    let mut updated = false;
    for Need { what, why, package, pip, present } in NEEDS {
        if present() {
            println!("{what}: present");
            continue;
        }
        println!("{what}: missing ({why}); installing {package}");
        if let Some(name) = pip
            && run("python3", ["-m", "pip", "install", name]).show(|_| {})?
            && present()
        {
            continue;
        }
        if !updated {
            apt(&["update"])?;
            updated = true;
        }
        if !apt(&["install", "-y", "--no-install-recommends", package])? || !present() {
            return Err(format!("{what}: missing, and {package} could not be installed ({why})"));
        }
    }
    Ok(())
}

/// Whether the Python that Debian's bindings are built for can do this.
fn debian_python(does: &str) -> bool {
    run("/usr/bin/python3", ["-c", does]).read().is_ok()
}

fn apt(args: &[&str]) -> Result<bool, String> {
    run("apt-get", args.iter().copied()).env("DEBIAN_FRONTEND", "noninteractive").show(|_| {})
}

/// Where a program of that name stands in a folder of PATH.
pub(crate) fn on_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_on_the_path_is_present() {
        assert!(on_path("sh").is_some());
        assert!(on_path("no-such-program-anywhere").is_none());
    }
}
