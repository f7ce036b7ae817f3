//! `elara demo`: it ends by itself, well, and says what happened.

mod support;

use support::process::Process;

#[test]
fn the_demo_ends_by_itself_with_a_summary() {
    let ended = Process::start(&["demo", "--seconds", "3"]).end();
    assert_eq!((ended.status.code(), ended.stderr.as_str()), (Some(0), ""));
    let text = ended.lines.join("\n");
    assert!(!text.contains('\x1b'), "plain when not on a terminal: {text}");
    for words in [
        "200 people in 20 rooms",
        "frames/s out",
        "frames, each to 9 others",
        "From when a frame was due to when it was heard:",
        "To the last one, they balance.",
        "elara serve --dev",
    ] {
        assert!(text.contains(words), "{words:?} is not in: {text}");
    }
}

#[test]
fn a_signal_ends_the_demo_early_and_well() {
    let mut demo = Process::start(&["demo", "--seconds", "3600"]);
    while !demo.line().contains("frames/s out") {}
    demo.signal("INT");
    let ended = demo.end();
    assert_eq!((ended.status.code(), ended.stderr.as_str()), (Some(0), ""));
    assert!(ended.lines.iter().any(|line| line.contains("they balance")), "{ended:?}");
}
