//! The transforms of the ad-events pipeline: `clean` before the windows, `round` after them.

mod clean;
mod round;

pub use clean::Clean;
pub use round::Round;

weir_guest::register! {
    name: "ad-events",
    doc: "Cleans ad events and rounds their statistics.",
    transforms: [Clean, Round],
}
