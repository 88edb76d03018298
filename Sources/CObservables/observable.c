#include "alidade_observable.h"

/* The layout is an interface: it only changes with the version. */
_Static_assert(sizeof(alidade_block) == 24 + 5 * 24 + 24 + 8, "alidade_block");
