//! The settings that guests are compiled with. The build script includes this file to compile the embedded plugin ahead of time, so it says nothing but wasmtime:
//! code that was compiled under other settings than these is refused when it is loaded.

use wasmtime::{Config, OptLevel, WasmBacktraceDetails};

/// The compiler's settings, with what each costs (measured on JSON parsers as guests).
pub(crate) fn config() -> Config {
    let mut config = Config::new();
    config
        .cranelift_opt_level(OptLevel::Speed)
        // A check in every loop turn, 5 to 18 % for code that moves 16 bytes a turn. Fuel would cost twice that, and no bound at all is no choice.
        .epoch_interruption(true)
        // Concurrency would make each call five times as dear; the hot path is synchronous.
        .concurrency_support(false)
        // Function names are enough to find the line; file and line would need the guest's debug information, which release builds have not.
        .wasm_backtrace_details(WasmBacktraceDetails::Disable);
    config
}
