// Sparse codes of a vector u over the columns S_k of a matrix.
//
// Binary64, every operation rounded by itself, terms in the order written: the same codes for any vector width.
#pragma once
#include <stddef.h>
#include <stdint.h>

#define ALD_SPARSE_GROUP 64   // largest group

// gram[j][k] = sum over rows r of s[r][j] s[r][k], r ascending. s: [rows][count], gram: [count][count].
void ald_sparse_gram(const double *s, size_t rows, size_t count, double *gram);
// out[k] = sum over r of s[r][k] u[r], r ascending.
void ald_sparse_correlate(const double *s, size_t rows, size_t count, const double *u, double *out);

// Minimises |u - S z|^2 + 2 sum over groups of t_g |z_g|, group after group of `group` components that follow each other: z_g becomes
// prox(z_g + c_g / m), m the largest row sum of |gram| inside the group, prox shortening it by t_g / m; t_g is that of the group's first component.
// One component each: every step is exact.
//
// c: S^T (u - S z) for the z given; kept so. Ends when no component of z moved by more than `tolerance` times the largest one, or after `sweeps`.
// Returns the sweeps made.
int32_t ald_sparse_code(const double *gram, size_t count, size_t group, const double *threshold, double *c, double *z, int32_t sweeps, double tolerance);
