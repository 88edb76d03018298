#pragma once
#include <fftw3-mpi.h>
