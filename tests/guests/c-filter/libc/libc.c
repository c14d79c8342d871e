// The part of the C library that the bindings use.
//
// The heap is one arena that starts again at its beginning whenever nothing in it is alive, which is so after every call: a guest frees its arguments, and the
// generated code frees what it returned.

#include "stdlib.h"
#include "string.h"

#undef memcpy

#define PAGE 65536
#define ALIGNED 16

extern unsigned char __heap_base;
static size_t end;
static size_t alive;

void *malloc(size_t size) {
    if (alive == 0) end = ((size_t)&__heap_base + ALIGNED - 1) / ALIGNED * ALIGNED;
    size_t start = end, grown = start + (size + ALIGNED - 1) / ALIGNED * ALIGNED, memory = __builtin_wasm_memory_size(0) * PAGE;
    if (grown < start) abort();
    if (grown > memory && __builtin_wasm_memory_grow(0, (grown - memory + PAGE - 1) / PAGE) == (size_t)-1) abort();
    end = grown;
    alive++;
    return (void *)start;
}

void free(void *memory) {
    if (memory) alive--;
}

void *realloc(void *memory, size_t size) {
    void *moved = malloc(size);
    // The old block ends before the new one, so as many bytes as the new one has can be read from where it begins.
    if (memory) memmove(moved, memory, size);
    free(memory);
    return moved;
}

_Noreturn void abort(void) {
    __builtin_trap();
}

// With -mbulk-memory these two are one instruction each.
void *memcpy(void *restrict to, const void *restrict from, size_t length) {
    return __builtin_memcpy(to, from, length);
}

void *memmove(void *to, const void *from, size_t length) {
    return __builtin_memmove(to, from, length);
}

int memcmp(const void *a, const void *b, size_t length) {
    const unsigned char *x = a, *y = b;
    for (size_t i = 0; i < length; i++) {
        if (x[i] != y[i]) return x[i] < y[i] ? -1 : 1;
    }
    return 0;
}

size_t strlen(const char *text) {
    size_t length = 0;
    while (text[length]) length++;
    return length;
}

char *strchr(const char *text, int c) {
    for (; *text; text++) {
        if (*text == (char)c) return (char *)text;
    }
    return NULL;
}
