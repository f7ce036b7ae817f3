//! How many instructions does it take to parse, verify, seal, open and forward?
//!
//! No clock is read here: `cargo xtask count` runs this program in valgrind's callgrind, which counts. Told
//! a workload and a number, it prepares the workload, does that many of its operations, and ends. What is
//! prepared does not depend on the number, so that the difference of two runs is operations and
//! nothing else, and neither do addresses, keys or the order of anything: all randomness is seeded.
//!
//! `--about` prints as JSON what the workloads are and which features of the cpu this program sees.
//! Without arguments every workload is done a few times, to show that it can be.

#[path = "common/extended.rs"]
mod extended;
#[path = "count/forward.rs"]
mod forward;
#[path = "common/hop.rs"]
mod hop;
#[path = "count/pure.rs"]
mod pure;
#[path = "../tests/support/mod.rs"]
mod support;
#[path = "common/ten.rs"]
mod ten;
#[path = "count/turn.rs"]
mod turn;

use elara_core::crypto::Suite::{AesGcm, ChaChaPoly};
use serde_json::json;

/// Operations a workload is prepared for.
const MOST: usize = 1_100;

/// Something that is done again and again.
trait Operation {
    fn perform(&mut self);

    /// Panics when the operations did not do what the workload says.
    fn check(&mut self, _done: usize) {}
}

impl<F: FnMut()> Operation for F {
    fn perform(&mut self) {
        self();
    }
}

struct Workload {
    name: &'static str,
    /// One operation, in words.
    operation: &'static str,
    /// Whether a cipher is in it: which code that is, the cpu's features decide.
    cipher: bool,
    prepare: fn() -> Box<dyn Operation>,
}

const fn pure(
    name: &'static str,
    operation: &'static str,
    prepare: fn() -> Box<dyn Operation>,
) -> Workload {
    Workload { name, operation, cipher: false, prepare }
}

const fn sealed(
    name: &'static str,
    operation: &'static str,
    prepare: fn() -> Box<dyn Operation>,
) -> Workload {
    Workload { name, operation, cipher: true, prepare }
}

const VERIFY: &str = "a relay's check of a data frame: window, tag, window";
const SEAL: &str = "a sender's number, seal end to end and tag";
const OPEN: &str = "a frame of voice or video into a participant, and its event out";

const WORKLOADS: &[Workload] = &[
    pure("parse/v0/header", "header and its check, as a relay reads it", pure::v0_header),
    pure("parse/v0/frame", "a frame with eleven extensions", pure::v0_frame),
    pure("parse/v1/header", "header and its check, as a relay reads it", pure::v1_header),
    pure("parse/v1/frame", "a data frame with STREAM", pure::v1_frame),
    sealed("verify/aes-gcm/120", VERIFY, || pure::verify(AesGcm, 120)),
    sealed("verify/aes-gcm/1200", VERIFY, || pure::verify(AesGcm, 1_200)),
    sealed("verify/chacha20/120", VERIFY, || pure::verify(ChaChaPoly, 120)),
    sealed("verify/chacha20/1200", VERIFY, || pure::verify(ChaChaPoly, 1_200)),
    sealed("seal/aes-gcm/120", SEAL, || pure::seal(AesGcm, 120)),
    sealed("seal/aes-gcm/1200", SEAL, || pure::seal(AesGcm, 1_200)),
    sealed("seal/chacha20/120", SEAL, || pure::seal(ChaChaPoly, 120)),
    sealed("seal/chacha20/1200", SEAL, || pure::seal(ChaChaPoly, 1_200)),
    sealed("open/aes-gcm/120", OPEN, || pure::open(AesGcm, 120)),
    sealed("open/aes-gcm/1232", OPEN, || pure::open(AesGcm, 1_232)),
    sealed("open/chacha20/120", OPEN, || pure::open(ChaChaPoly, 120)),
    sealed("open/chacha20/1232", OPEN, || pure::open(ChaChaPoly, 1_232)),
    pure("forward/v0/single", "120 bytes in, nine copies out", || forward::v0(1, 120)),
    pure("forward/v0/burst", "ten of 1,232 bytes in, ninety copies out", || forward::v0(10, 1_232)),
    sealed("forward/v1/single", "120 bytes in, nine copies out", || forward::v1(1, 120)),
    sealed("forward/v1/burst", "ten of 1,232 bytes in, ninety copies out", || {
        forward::v1(10, 1_232)
    }),
    pure("relay/turn/up", "120 bytes on a channel, out to a peer", || turn::relay(true, 1, 120)),
    pure("relay/turn/down", "120 bytes of a peer, out on a channel", || turn::relay(false, 1, 120)),
    pure("relay/turn/train", "32 of 1,200 bytes on a channel, out to a peer", || {
        turn::relay(true, 32, 1_200)
    }),
    sealed("forward/v1/held", "1 ms: three of ten say 120 bytes, all let them wait", forward::held),
];

fn main() {
    // Cargo says `--bench` to every bench.
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    match &args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => {
            WORKLOADS.iter().for_each(|workload| run(workload, 10));
            println!("{} workloads can be done; cargo xtask count counts them", WORKLOADS.len());
        }
        ["--about"] => println!("{}", about()),
        [name, times] => {
            let workload = WORKLOADS.iter().find(|workload| workload.name == *name);
            let workload = workload.unwrap_or_else(|| panic!("no workload is called {name}"));
            run(workload, times.parse().expect("a number of operations"));
        }
        _ => panic!("count WORKLOAD TIMES, or count --about"),
    }
}

fn run(workload: &Workload, times: usize) {
    assert!(times <= MOST, "{} is prepared for {MOST} operations", workload.name);
    let mut operation = (workload.prepare)();
    for _ in 0..times {
        operation.perform();
    }
    operation.check(times);
}

fn about() -> serde_json::Value {
    let workloads = WORKLOADS.iter().map(|Workload { name, operation, cipher, .. }| {
        json!({ "name": name, "operation": operation, "cipher": cipher })
    });
    json!({ "most": MOST, "features": features(), "workloads": workloads.collect::<Vec<_>>() })
}

/// Those of the cpu's features that choose between ways to compute, as they are shown to a program: in
/// valgrind not the machine's, but valgrind's.
#[cfg(target_arch = "x86_64")]
fn features() -> Vec<&'static str> {
    macro_rules! seen {
        ($($name:tt)*) => { [$((is_x86_feature_detected!($name), $name)),*] };
    }
    let all = seen!("adx" "aes" "avx" "avx2" "avx512f" "bmi1" "bmi2" "movbe" "pclmulqdq"
        "sha" "sse4.1" "ssse3" "vaes" "vpclmulqdq");
    all.into_iter().filter_map(|(seen, name)| seen.then_some(name)).collect()
}

#[cfg(target_arch = "aarch64")]
fn features() -> Vec<&'static str> {
    use std::arch::is_aarch64_feature_detected as seen;
    let all = [(seen!("aes"), "aes"), (seen!("pmull"), "pmull"), (seen!("sha2"), "sha2")];
    all.into_iter().filter_map(|(seen, name)| seen.then_some(name)).collect()
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn features() -> Vec<&'static str> {
    Vec::new()
}
