// The filter with a fault: it falls over at the number 13 of an int64 column. The tests see what becomes of a pipeline whose plugin fails, and of its rows once the
// plugin is mended.

#include "bindings/transformer.h"
#include <string.h>

#define exports_weir_plugin_transform_run run_without_fault
#include "filter.c"
#undef exports_weir_plugin_transform_run

// A function of its own, so that a backtrace can name it.
__attribute__((noinline)) static void look_at(int64_t number) {
    if (number == 13) __builtin_trap();
}

bool exports_weir_plugin_transform_run(exports_weir_plugin_transform_context_t *context, exports_weir_plugin_transform_rows_t *input,
                                       exports_weir_plugin_transform_transformed_t *ret, exports_weir_plugin_transform_run_error_t *err) {
    for (uint32_t row = 0; row < input->count; row++) {
        int64_t number;
        memcpy(&number, input->columns.ptr[0].data.ptr + 8 * row, 8);
        look_at(number);
    }
    return run_without_fault(context, input, ret, err);
}
