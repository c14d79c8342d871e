//! The exports, as the component model wants them. Generated, for wasm only, and alone here.
//!
//! One module an interface and not one a world: a plugin exports the interfaces that it has functions for, and the worlds of the modules that it uses are put
//! together when the component is made.

/// What a plugin says of itself, and its log.
pub mod plugin {
    #![allow(missing_docs, unreachable_pub, unsafe_op_in_unsafe_fn, clippy::all, reason = "generated")]
    wit_bindgen::generate!({
        path: "wit",
        inline: "package weir:guest; world plugin { import weir:plugin/log@0.1.0; export weir:plugin/plugin@0.1.0; }",
        pub_export_macro: true,
        generate_all,
    });
}

/// Transforms.
pub mod transform {
    #![allow(missing_docs, unreachable_pub, unsafe_op_in_unsafe_fn, clippy::all, reason = "generated")]
    wit_bindgen::generate!({
        path: "wit",
        inline: "package weir:guest; world transform { export weir:plugin/transform@0.1.0; }",
        pub_export_macro: true,
        with: { "weir:plugin/table@0.1.0": crate::wire, "weir:plugin/call@0.1.0": crate::wire },
    });
}

/// Aggregates.
pub mod aggregate {
    #![allow(missing_docs, unreachable_pub, unsafe_op_in_unsafe_fn, clippy::all, reason = "generated")]
    wit_bindgen::generate!({
        path: "wit",
        inline: "package weir:guest; world aggregate { export weir:plugin/aggregate@0.1.0; }",
        pub_export_macro: true,
        with: { "weir:plugin/table@0.1.0": crate::wire, "weir:plugin/call@0.1.0": crate::wire },
    });
}
