// CKernels: inner loops in C. Fixed order of operations, no FMA contraction, no libm where decoded values depend on it.
#pragma once
#include "ald_bands.h"
#include "ald_entropy.h"
#include "ald_quantise.h"
#include "ald_survey.h"
