// A filter in C without a C library: keeps the rows in which a column is at least so much; null is not. It shows what a guest without an SDK has to do, and the tests
// use it to prove that the contract is not Rust's. bindings/ is generated from wit/ (`wit-bindgen c --world transformer`, 0.61).
//
// Config: { "column": "revenue", "at_least": 0.5 }, in plain JSON: no escapes, no exponents.
//
// IMPORTANT: a guest owns its arguments and frees them; what it returns the generated code frees, so it comes from malloc, texts too.

#include "bindings/transformer.h"
#include <stdlib.h>
#include <string.h>

// What `open` found out. An instance is opened once.
static struct {
    bool is_float;
    double at_least;
} opened;

static const char CONFIG_SCHEMA[] =
    "{\"type\":\"object\",\"properties\":{\"column\":{\"type\":\"string\"},\"at_least\":{\"type\":\"number\"}},"
    "\"required\":[\"column\",\"at_least\"]}";

static bool same(const transformer_string_t *text, const char *other) {
    return text->len == strlen(other) && memcmp(text->ptr, other, text->len) == 0;
}

// Where the value of a key begins in the config; after the text: there is no such key.
static size_t value_of(const transformer_string_t *config, const char *key) {
    size_t length = strlen(key), at = 0;
    while (at + length + 2 <= config->len && !(config->ptr[at] == '"' && memcmp(config->ptr + at + 1, key, length) == 0 && config->ptr[at + 1 + length] == '"')) at++;
    if (at + length + 2 > config->len) return config->len;
    at += length + 2;
    while (at < config->len && strchr(" \t\r\n:", config->ptr[at])) at++;
    return at;
}

// The text between the quotes at `at`; it stays part of the config.
static bool read_text(const transformer_string_t *config, size_t at, transformer_string_t *text) {
    if (at >= config->len || config->ptr[at] != '"') return false;
    size_t end = ++at;
    while (end < config->len && config->ptr[end] != '"' && config->ptr[end] != '\\') end++;
    *text = (transformer_string_t){config->ptr + at, end - at};
    return end < config->len && config->ptr[end] == '"';
}

static bool read_number(const transformer_string_t *config, size_t at, double *number) {
    bool negative = at < config->len && config->ptr[at] == '-', digits = false;
    double value = 0, scale = 0;
    for (at += negative; at < config->len; at++) {
        uint8_t c = config->ptr[at];
        if (c == '.' && digits && scale == 0) {
            scale = 1;
        } else if (c >= '0' && c <= '9') {
            value = value * 10 + (c - '0');
            scale *= 10;
            digits = true;
        } else if (c == 'e' || c == 'E') {
            return false;
        } else {
            break;
        }
    }
    *number = (negative ? -value : value) / (scale == 0 ? 1 : scale);
    return digits;
}

static bool refuse(exports_weir_plugin_transform_open_error_t *err, const char *pointer, const char *message) {
    err->tag = WEIR_PLUGIN_CALL_OPEN_ERROR_CONFIG;
    transformer_string_dup(&err->val.config.pointer, pointer);
    transformer_string_dup(&err->val.config.message, message);
    return false;
}

static bool open(const transformer_string_t *config, exports_weir_plugin_transform_schema_t *input, exports_weir_plugin_transform_opened_t *ret,
                 exports_weir_plugin_transform_open_error_t *err) {
    transformer_string_t name;
    if (!read_text(config, value_of(config, "column"), &name)) return refuse(err, "/column", "the name of a column is needed, in quotes and without escapes");
    if (!read_number(config, value_of(config, "at_least"), &opened.at_least)) return refuse(err, "/at_least", "a number without exponent is needed");

    uint32_t column = 0;
    while (column < input->len && !(input->ptr[column].name.len == name.len && memcmp(input->ptr[column].name.ptr, name.ptr, name.len) == 0)) column++;
    opened.is_float = column < input->len && same(&input->ptr[column].data_type, "float64");
    if (column == input->len || !(opened.is_float || same(&input->ptr[column].data_type, "int64"))) {
        err->tag = WEIR_PLUGIN_CALL_OPEN_ERROR_INPUT;
        transformer_string_dup(&err->val.input, "`column` must name a column of the input that is `int64` or `float64`");
        return false;
    }

    ret->reads.ptr = malloc(sizeof(uint32_t));
    ret->reads.ptr[0] = column;
    ret->reads.len = 1;
    ret->output.ptr = malloc(input->len * sizeof(*ret->output.ptr));
    ret->output.len = input->len;
    for (uint32_t i = 0; i < input->len; i++) {
        exports_weir_plugin_transform_output_column_t *output = &ret->output.ptr[i];
        output->tag = EXPORTS_WEIR_PLUGIN_TRANSFORM_OUTPUT_COLUMN_PASSED;
        output->val.passed.input = i;
        transformer_string_dup_n(&output->val.passed.name, (char *)input->ptr[i].name.ptr, input->ptr[i].name.len);
    }
    return true;
}

bool exports_weir_plugin_transform_open(transformer_string_t *function, transformer_string_t *config, exports_weir_plugin_transform_schema_t *input,
                                        exports_weir_plugin_transform_opened_t *ret, exports_weir_plugin_transform_open_error_t *err) {
    err->tag = WEIR_PLUGIN_CALL_OPEN_ERROR_UNKNOWN_FUNCTION;
    bool ok = same(function, "filter") && open(config, input, ret, err);
    transformer_string_free(function);
    transformer_string_free(config);
    exports_weir_plugin_transform_schema_free(input);
    return ok;
}

bool exports_weir_plugin_transform_run(exports_weir_plugin_transform_context_t *context, exports_weir_plugin_transform_rows_t *input,
                                       exports_weir_plugin_transform_transformed_t *ret, exports_weir_plugin_transform_run_error_t *err) {
    (void)context, (void)err;
    const exports_weir_plugin_transform_column_t *column = &input->columns.ptr[0];
    uint8_t *origin = malloc(input->count * sizeof(uint32_t));
    uint32_t kept = 0;
    for (uint32_t row = 0; row < input->count; row++) {
        if (column->validity.len > 0 && !(column->validity.ptr[row / 8] >> row % 8 & 1)) continue;
        // Buffers may lie at any address: numbers are copied out.
        int64_t integer;
        double value;
        memcpy(opened.is_float ? (void *)&value : (void *)&integer, column->data.ptr + 8 * row, 8);
        if (!opened.is_float) value = (double)integer;
        if (value >= opened.at_least) memcpy(origin + 4 * kept++, &row, 4);
    }
    // Of an empty list the generated code does not free the buffer.
    if (kept == 0) free(origin);
    *ret = (exports_weir_plugin_transform_transformed_t){.origin = {kept < input->count, {origin, 4 * kept}}};
    if (kept == input->count && kept > 0) free(origin);
    exports_weir_plugin_transform_rows_free(input);
    return true;
}

void exports_weir_plugin_transform_functions(exports_weir_plugin_transform_list_function_t *ret) {
    ret->ptr = malloc(sizeof(*ret->ptr));
    ret->len = 1;
    transformer_string_dup(&ret->ptr->name, "filter");
    transformer_string_dup(&ret->ptr->doc, "Keeps the rows in which a column is at least so much.");
    transformer_string_dup(&ret->ptr->config_schema, CONFIG_SCHEMA);
}

void exports_weir_plugin_plugin_describe(exports_weir_plugin_plugin_description_t *ret) {
    transformer_string_dup(&ret->name, "c-filter");
    transformer_string_dup(&ret->version, "0.1.0");
    transformer_string_dup(&ret->doc, "A filter in C.");
    ret->pipeline.is_some = false;
}
