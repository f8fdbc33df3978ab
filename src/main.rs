//! The `portcullis` command.

use std::process::ExitCode;

/// Gives back what a flood took: the system's own keeps most of it, in one arena for each thread that once allocated.
#[cfg(target_os = "linux")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    portcullis::cli::run()
}
