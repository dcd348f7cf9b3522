//! Signals that end a run.
//!
//! Owns what each of them does: the first interrupts the run, the next terminates the process, as does the first after
//! the run.

use anyhow::Context;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use signal_hook::low_level::emulate_default_handler;

use crate::schedule::Interrupter;

/// Lets signals interrupt a run.
///
/// # Errors
/// Returns an error if the system does not deliver signals.
pub fn listen(interrupter: Interrupter) -> anyhow::Result<()> {
    let signals = Signals::new([SIGINT, SIGTERM, SIGHUP]);
    let mut signals = signals.context("can't listen for signals")?;
    std::thread::spawn(move || {
        for (count, signal) in signals.forever().enumerate() {
            // Once the run is over, only cleanup is left, which a later run can do.
            if count > 0 || !interrupter.interrupt(signal) {
                drop(emulate_default_handler(signal));
            }
        }
    });
    Ok(())
}
