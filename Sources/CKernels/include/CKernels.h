// CKernels: inner loops in C. Fixed order of operations, no FMA contraction, no libm where decoded values depend on it.
#pragma once
#include "ald_bands.h"
#include "ald_entropy.h"
#include "ald_error.h"
#include "ald_fft.h"
#include "ald_interpolation.h"
#include "ald_quantise.h"
#include "ald_survey.h"
#include "ald_trial.h"
#include "ald_lossless.h"
#include "ald_mask.h"
#include "ald_simd.h"
#include "ald_transforms.h"
