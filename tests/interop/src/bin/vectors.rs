//! Writes `tests/vectors/v0.txt` again, from the published 0.2.0 crates.

use elara_interop::vectors;

fn main() -> std::io::Result<()> {
    let path = vectors::path();
    std::fs::write(&path, vectors::text())?;
    println!("wrote {}", path.display());
    Ok(())
}
