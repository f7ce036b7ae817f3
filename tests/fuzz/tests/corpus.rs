//! Every committed input holds, and every target has some.

use elara_fuzz::{TARGETS, corpus, hex};

#[test]
fn every_target_holds_over_its_corpus() {
    for target in TARGETS {
        let inputs = corpus::inputs(target.name);
        assert!(inputs.len() >= 10, "{} has a corpus", target.name);
        for (path, input) in inputs {
            // Printed only when the target panics.
            println!("{} on {}: {}", target.name, path.display(), hex(&input));
            (target.run)(&input);
        }
    }
}

#[test]
fn every_folder_of_inputs_has_a_target() {
    for entry in std::fs::read_dir(corpus::folder("")).unwrap() {
        let name = entry.unwrap().file_name();
        assert!(TARGETS.iter().any(|target| name == target.name), "{name:?} has no target");
    }
}
