#include "alidade.h"
