// The part of the C library that the bindings use.
#pragma once
#include <stddef.h>
void *memcpy(void *restrict to, const void *restrict from, size_t length);
void *memmove(void *to, const void *from, size_t length);
int memcmp(const void *a, const void *b, size_t length);
size_t strlen(const char *text);
char *strchr(const char *text, int c);

// Freestanding, the compiler takes memcpy for any function; as a builtin, a copy of eight bytes is one load and one store.
#define memcpy(to, from, length) __builtin_memcpy(to, from, length)
