#pragma STDC FP_CONTRACT OFF
#include "ald_memory.h"
#include <stdatomic.h>
#include <stdlib.h>

static _Atomic int64_t missing;

void *ald_scratch(size_t bytes) {
  void *p = bytes < (size_t)INT64_MAX ? aligned_alloc(64, (bytes + 127) / 64 * 64) : NULL;
  if (!p) atomic_store_explicit(&missing, bytes < (size_t)INT64_MAX ? (int64_t)bytes : INT64_MAX, memory_order_relaxed);
  return p;
}
int64_t ald_memory_missing(void) {
  return atomic_load_explicit(&missing, memory_order_relaxed) ? atomic_exchange(&missing, 0) : 0;
}
