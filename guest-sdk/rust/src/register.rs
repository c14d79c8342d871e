//! What a plugin consists of, and its exports.

pub use crate::aggregate::AggregateEntry;
pub use crate::transform::TransformEntry;

/// A plugin; written by [`register!`](crate::register!).
pub trait Plugin {
    /// Its name.
    const NAME: &'static str;
    /// Its version.
    const VERSION: &'static str;
    /// What it is for, in a line.
    const DOC: &'static str;
    /// Its transforms.
    const TRANSFORMS: &'static [TransformEntry] = &[];
    /// Its aggregates.
    const AGGREGATES: &'static [AggregateEntry] = &[];
}

/// Makes a crate a plugin. The version is the crate's. Built for wasm, the crate exports the transforms and the aggregates that are listed, and no interface for
/// what is not; built natively it exports nothing and is an ordinary library, so that its tests need no wasm.
///
/// ```ignore
/// weir_guest::register! {
///     name: "clicks",
///     doc: "Cleans and counts clicks.",
///     transforms: [Clean, Round],
///     aggregates: [Distinct],
/// }
/// ```
#[macro_export]
macro_rules! register {
    (name: $name:expr, doc: $doc:expr, transforms: [$($transform:ty),+ $(,)?] $(,)?) => {
        $crate::register!(@plugin $name, $doc, [$($transform),+], [], transform);
    };
    (name: $name:expr, doc: $doc:expr, aggregates: [$($aggregate:ty),+ $(,)?] $(,)?) => {
        $crate::register!(@plugin $name, $doc, [], [$($aggregate),+], aggregate);
    };
    (name: $name:expr, doc: $doc:expr, transforms: [$($transform:ty),+ $(,)?], aggregates: [$($aggregate:ty),+ $(,)?] $(,)?) => {
        $crate::register!(@plugin $name, $doc, [$($transform),+], [$($aggregate),+], transform aggregate);
    };
    (@plugin $name:expr, $doc:expr, [$($transform:ty),*], [$($aggregate:ty),*], $($interface:ident)+) => {
        const _: () = {
            // A plugin that is built natively is only tested, through its functions.
            #[allow(dead_code, reason = "used by the exports, which exist in wasm only")]
            struct Registered;

            impl $crate::register::Plugin for Registered {
                const NAME: &'static str = $name;
                const VERSION: &'static str = ::core::env!("CARGO_PKG_VERSION");
                const DOC: &'static str = $doc;
                const TRANSFORMS: &'static [$crate::register::TransformEntry] = &[$($crate::register::TransformEntry::of::<$transform>()),*];
                const AGGREGATES: &'static [$crate::register::AggregateEntry] = &[$($crate::register::AggregateEntry::of::<$aggregate>()),*];
            }

            #[cfg(target_family = "wasm")]
            $crate::bindings::plugin::export!(Registered with_types_in $crate::bindings::plugin);
            $(
                #[cfg(target_family = "wasm")]
                $crate::bindings::$interface::export!(Registered with_types_in $crate::bindings::$interface);
            )+
        };
    };
}
