#pragma STDC FP_CONTRACT OFF
#define _DEFAULT_SOURCE
#include "ald_memory.h"
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>

static _Atomic int64_t missing;
static _Atomic size_t mapped_from = SIZE_MAX;

// Before what a caller gets.
typedef struct { size_t bytes; int mapped; } head;
enum { HEAD = 64 };

void *ald_scratch(size_t bytes) {
  const size_t whole = bytes < (size_t)INT64_MAX ? HEAD + (bytes + 127) / 64 * 64 : 0;
  const int mapped = whole >= atomic_load_explicit(&mapped_from, memory_order_relaxed);
  char *p = NULL;
  if (whole && mapped) {
    p = mmap(NULL, whole, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED) p = NULL;
  } else if (whole) p = aligned_alloc(64, whole);
  if (!p) {
    atomic_store_explicit(&missing, whole ? (int64_t)bytes : INT64_MAX, memory_order_relaxed);
    return NULL;
  }
  *(head *)p = (head){whole, mapped};
  return p + HEAD;
}
void ald_scratch_free(const void *scratch) {
  if (!scratch) return;
  char *p = (char *)scratch - HEAD;
  const head h = *(head *)p;
  if (h.mapped) munmap(p, h.bytes); else free(p);
}
void ald_scratch_map_from(size_t bytes) { atomic_store_explicit(&mapped_from, bytes, memory_order_relaxed); }

int64_t ald_memory_missing(void) {
  return atomic_load_explicit(&missing, memory_order_relaxed) ? atomic_exchange(&missing, 0) : 0;
}
