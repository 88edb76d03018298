// A second stack on the calling thread: a function that can be left in the middle and gone on with later.
#pragma once

typedef struct ald_fibre ald_fibre;
// NULL: no memory. The body starts at the first resume.
ald_fibre *ald_fibre_create(void (*body)(void *), void *argument);
// Runs the body until it pauses or returns; 1: it has returned, and must not be resumed again. Always from the thread of the first call.
int ald_fibre_resume(ald_fibre *fibre);
// From inside the body: back to whoever resumed it.
void ald_fibre_pause(ald_fibre *fibre);
// Of a fibre whose body has returned or was never started.
void ald_fibre_destroy(ald_fibre *fibre);

// Gives free pages of the heap back to the system.
void ald_heap_trim(void);
