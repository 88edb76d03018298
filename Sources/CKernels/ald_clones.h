// Versions of one function for wider vectors, chosen by the loader. The operations and their order are those of the source,
// and contraction is off, so all versions give the same bits.
#pragma once
#if defined(__clang__) && defined(__x86_64__)
#define ALD_CLONES __attribute__((target_clones("arch=x86-64-v3", "default")))
#define ALD_WIDE_CLONES __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define ALD_CLONES
#define ALD_WIDE_CLONES
#endif
