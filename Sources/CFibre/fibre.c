#define _GNU_SOURCE
#include "CFibre.h"
#include <malloc.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

// As much as a main thread commonly has; pages that are never touched take no memory.
#define STACK_BYTES ((size_t)8 << 20)

struct ald_fibre {
  ucontext_t inside, outside;
  void (*body)(void *);
  void *argument;
  char *stack;
  int returned;
};

// makecontext passes integers of the size of int.
static void enter(unsigned high, unsigned low) {
  ald_fibre *f = (ald_fibre *)(((uintptr_t)high << 32) | low);
  f->body(f->argument);
  f->returned = 1;
}

ald_fibre *ald_fibre_create(void (*body)(void *), void *argument) {
  ald_fibre *f = calloc(1, sizeof *f);
  if (!f) return NULL;
  const size_t page = (size_t)sysconf(_SC_PAGESIZE);
  f->stack = mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
  // The lowest page is never to be touched: a stack too deep is a fault, not another's memory.
  if (f->stack == MAP_FAILED || mprotect(f->stack, page, PROT_NONE) || getcontext(&f->inside)) {
    if (f->stack != MAP_FAILED) munmap(f->stack, STACK_BYTES);
    free(f);
    return NULL;
  }
  f->body = body;
  f->argument = argument;
  f->inside.uc_stack.ss_sp = f->stack;
  f->inside.uc_stack.ss_size = STACK_BYTES;
  f->inside.uc_link = &f->outside;
  makecontext(&f->inside, (void (*)(void))enter, 2, (unsigned)((uintptr_t)f >> 32), (unsigned)(uintptr_t)f);
  return f;
}

int ald_fibre_resume(ald_fibre *f) {
  swapcontext(&f->outside, &f->inside);
  return f->returned;
}

void ald_fibre_pause(ald_fibre *f) { swapcontext(&f->inside, &f->outside); }

void ald_fibre_destroy(ald_fibre *f) {
  if (!f) return;
  munmap(f->stack, STACK_BYTES);
  free(f);
}

void ald_heap_trim(void) {
#ifdef __GLIBC__
  malloc_trim(0);
#endif
}
