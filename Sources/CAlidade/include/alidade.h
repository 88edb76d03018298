/* alidade.h: compressed output from inside a running simulation, and reading it back. Tutorial: docs/insitu.md.
 *
 * Axes: every list per axis stands in storage order, slowest first (z, y, x; two axes: y, x). x is the axis that the files store fastest;
 * arrays may have any strides, so Fortran arrays are given as they lie.
 * Every function returns an ald_status. [C] collective: every rank of the communicator calls it, in the same order, with equal arguments but
 * for boxes and arrays; all ranks return the same status. [L] local: the status is this rank's alone.
 * Nothing here ends the process, prints, touches signals or changes the host's communicator or its error handler. After a failed step the
 * writer goes on with the next one, and earlier steps stay readable. Calls that communicate come from the thread that MPI allows. */
#ifndef ALIDADE_H
#define ALIDADE_H
#include <stddef.h>
#include <stdint.h>
#ifndef ALD_NO_MPI
#include <mpi.h>
#endif
#ifdef __cplusplus
extern "C" {
#endif

#define ALD_VERSION_MAJOR 0
#define ALD_VERSION_MINOR 1

typedef enum ald_status {
  ALD_OK = 0,
  ALD_USAGE = 1,    /* an argument that makes no sense, or a call out of order */
  ALD_IO = 2,       /* input or output: full disk, no permission, no such file */
  ALD_BOUND = 3,    /* a bound could not be kept */
  ALD_CORRUPT = 4,  /* damaged bytes were read */
  ALD_MPI = 6,      /* MPI is not running, not allowed on this thread, or failed */
  ALD_STEP = 7,     /* a step number or time that does not follow the last */
  ALD_BOXES = 8,    /* boxes overlap, leave a gap, or reach outside the grid */
  ALD_MISSING = 9,  /* a field was put for some boxes, but not for all */
  ALD_TWICE = 10,   /* a field was put twice for one box */
  ALD_BUSY = 11,    /* the step before is still being coded, and the options say not to wait */
  ALD_HOST = 12     /* the host gave the step up on some rank (ald_fail) */
} ald_status;

typedef enum ald_type { ALD_FLOAT32 = 1, ALD_FLOAT64 = 2 } ald_type;
/* Where the values lie in their cells: kept with the data. */
typedef enum ald_centring { ALD_CELL = 0, ALD_POINT = 1, ALD_NODE = 2, ALD_FACE_X = 3, ALD_FACE_Y = 4, ALD_FACE_Z = 5 } ald_centring;
typedef enum ald_put_flags { ALD_BORROW = 1 /* as ald_put_borrow */, ALD_EXACT = 2 /* a larger array is refused too */ } ald_put_flags;
typedef enum ald_order { ALD_C_ORDER = 0, ALD_F_ORDER = 1 } ald_order;

typedef enum ald_bound_kind {
  ALD_LOSSLESS = 0, /* every bit */
  ALD_ABSOLUTE = 1, /* |error| <= value */
  ALD_RELATIVE = 2, /* |error| <= value * (global maximum - global minimum) of the step */
  ALD_POINTWISE = 3,/* |error| <= value * |x| at every point */
  ALD_PSNR = 4,     /* 20 log10(range / rms error) >= value dB */
  ALD_RATE = 5      /* value bits per point, within 2 % */
} ald_bound_kind;
typedef struct ald_bound { int32_t kind; double value; } ald_bound;

/* What ald_begin does while the step before is still being coded (ald_end_async). */
typedef enum ald_pressure { ALD_WAIT = 0 /* finishes it first */, ALD_REFUSE = 1 /* returns ALD_BUSY; this step is left out */ } ald_pressure;
/* What a step went without, since seconds_per_step was too short for it. */
typedef enum ald_left_out { ALD_NO_OBSERVABLES = 1, ALD_NO_VERIFICATION = 2, ALD_NO_GLOBAL_CODECS = 4 } ald_left_out;

typedef enum ald_opening { ALD_APPEND = 0, ALD_REPLACE = 1, ALD_CREATE = 2 } ald_opening;

/* Zero means the default, so `ald_options o = {sizeof o};` is complete. */
typedef struct ald_options {
  size_t size;            /* sizeof(ald_options) of the caller */
  int32_t opening;        /* ald_opening: continue the series (default), begin anew, refuse an existing one */
  int32_t threads;        /* per rank; default 1: the caller's own */
  int32_t no_verify;      /* 1: neither decode again nor read the file back */
  int32_t report;         /* 1: a line of JSON per step in <path>/steps.jsonl */
  double bytes_per_step;  /* budget of the run's mean; bounds win; 0: none */
  int64_t memory;         /* bytes of copied fields per rank at most; a put beyond fails; 0: no cap */
  int32_t key_interval;   /* steps are predicted from those before, but for every so many-th; 0 or 1: none is */
  int32_t pressure;       /* ald_pressure */
  double seconds_per_step;/* what a step may take on the slowest rank; bounds win; bytes then depend on how fast the machine is; 0: no cap */
} ald_options;

typedef struct ald_field_options {
  size_t size;            /* sizeof(ald_field_options) of the caller */
  int32_t type;           /* ald_type; default float64 */
  int32_t centring;       /* ald_centring */
  int64_t extra[3];       /* points more than the grid has per axis, 0 or 1 (nodes, faces); boxes at the upper end have them too */
  ald_bound bound;        /* default lossless */
  const char *units;
} ald_field_options;

typedef struct ald_stats {
  size_t size;            /* sizeof(ald_stats) of the caller */
  int64_t step;
  double time;
  int64_t raw_bytes, stored_bytes, file_bytes;
  double put_seconds, encode_seconds, communicate_seconds, write_seconds, total_seconds; /* of this rank's calling thread */
  double background_seconds; /* of its other threads, after ald_end_async */
  int64_t key_step;       /* the step that decoding begins with; `step` where nothing is predicted */
  int64_t left_out;       /* ald_left_out, added up */
} ald_stats;

typedef struct ald_field_stats {
  size_t size;            /* sizeof(ald_field_stats) of the caller */
  int64_t raw_bytes, stored_bytes;
  double granted;         /* absolute pointwise bound that holds; 0: lossless, NaN: none */
  double max_error, rms_error; /* NaN where it was not verified */
  int64_t masked;         /* values that are NaN, infinite or fill */
  char codec[16];
} ald_field_stats;

typedef struct ald_writer ald_writer;
typedef struct ald_reader ald_reader;

/* ---- library ---- */
const char *ald_version(void);                                                          /* [L] e.g. "0.1.0", "0.1.0 stub" */
const char *ald_status_text(int status);                                                /* [L] */

/* ---- writing: declare ---- */
#ifndef ALD_NO_MPI
int ald_open(MPI_Comm comm, const char *path, const ald_options *options, ald_writer **writer);   /* [C] duplicates comm; options may be NULL */
#endif
int ald_open_fortran(int32_t comm, const char *path, const ald_options *options, ald_writer **writer); /* [C] comm: MPI_Comm_c2f */
int ald_open_serial(const char *path, const ald_options *options, ald_writer **writer); /* [L] this process alone, without MPI */
int ald_grid(ald_writer *w, int32_t axes, const int64_t shape[], const int32_t periodic[]);      /* [L] same on all ranks; periodic may be NULL */
int ald_coords(ald_writer *w, int32_t axis, int64_t n, const double positions[]);       /* [L] same on all ranks */
int ald_uniform(ald_writer *w, int32_t axis, double first, double spacing);             /* [L] the same for equal spacing */
int ald_boxes(ald_writer *w, int32_t count, const int64_t lower[], const int64_t extent[]); /* [C] [count][axes], 0-based; any number, also none; again between steps */
int ald_field(ald_writer *w, const char *name, const ald_field_options *options, int32_t *field); /* [L] same order on all ranks; options may be NULL */
int ald_field_boxes(ald_writer *w, int32_t field, int32_t shared, int32_t count, const int64_t lower[], const int64_t extent[]); /* [C] other boxes for one field; shared: where boxes overlap, the lowest rank's values count */
int ald_vector(ald_writer *w, const char *name, int32_t count, const int32_t fields[]); /* [L] scalar fields x, y, z coded together */
int ald_attr_text(ald_writer *w, int32_t field, const char *name, const char *text);    /* [L] field -1: of the file; same on all ranks */
int ald_attr_numbers(ald_writer *w, int32_t field, const char *name, int32_t n, const double values[]); /* [L] */
int ald_observe(ald_writer *w, const char *observable);                                 /* [L] same on all ranks: "FIELD/NAME", e.g. "velocity/enstrophy", is measured in every step, for steps.jsonl */
int ald_trigger(ald_writer *w, const char *observable, double threshold, int32_t below, int32_t field, ald_bound bound); /* [L] same on all ranks: this bound in steps with more (below: less) of the observable; a vector's component: the vector */
int ald_commit(ald_writer *w);                                                          /* [C] the schema is complete; checks that all ranks agree on it */

/* ---- writing: each step ---- */
int ald_set_bound(ald_writer *w, int32_t field, ald_bound bound);                       /* [L] between steps; same on all ranks */
int ald_begin(ald_writer *w, int64_t step, double time);                                /* [C] */
int ald_put(ald_writer *w, int32_t field, int32_t box, const void *first, const int64_t strides[]); /* [L] copies; first: the box's first own value; strides in elements per axis, NULL: packed C order */
int ald_put_borrow(ald_writer *w, int32_t field, int32_t box, const void *first, const int64_t strides[]); /* [L] keeps the pointer until ald_end returns, or the step of ald_end_async is done */
int ald_put_array(ald_writer *w, int32_t field, int32_t box, const void *first, const int64_t extent[], const int64_t strides[], int32_t flags); /* [L] as ald_put for arrays that know their extents from `first` on: too small a one is refused; ald_put_flags */
int ald_put_ghosted(ald_writer *w, int32_t field, int32_t box, const void *base, const int64_t alloc[], const int64_t pad[], int32_t order, int32_t ghosts_valid); /* [L] copies; array extents and cells before the first own one, both in the array's index order; ald_order */
int ald_fail(ald_writer *w, const char *why);                                           /* [L] the step is given up: ald_end returns ALD_HOST everywhere */
int ald_end(ald_writer *w);                                                             /* [C] codes and commits the step; fields put nowhere are absent from it */
int ald_end_async(ald_writer *w, int64_t *request);                                     /* [C] as ald_end, but returns before all is coded; another thread codes, and communicates where MPI_THREAD_MULTIPLE was given */
int ald_test(ald_writer *w, int64_t request, int32_t *done);                            /* [C] done: whether the step is over on all ranks; goes on with it where all are ready. Status of the step. Same thread as ald_end_async */
int ald_wait(ald_writer *w, int64_t request);                                           /* [C] finishes the step; its status, also when ald_begin or ald_test has finished it before. Same thread as ald_end_async */

int ald_get_stats(const ald_writer *w, ald_stats *stats);                               /* [L] of the last committed step */
int ald_get_field_stats(const ald_writer *w, int32_t field, ald_field_stats *stats);    /* [L] of a vector's component: of the vector */
const char *ald_last_error(const ald_writer *w);                                        /* [L] text of the last status that was not ALD_OK; w may be NULL: of a failed open */
int ald_close(ald_writer **w);                                                          /* [C] before MPI_Finalize; an open step is given up, one that is being coded is finished and its status returned; *w becomes NULL */

/* ---- reading; all local, any number of ranks may read ---- */
typedef struct ald_field_info {
  size_t size;            /* sizeof(ald_field_info) of the caller */
  int32_t type, components, axes;
  int64_t shape[3];       /* `axes` of them */
  const char *name;       /* valid until the reader is closed */
} ald_field_info;

int ald_reader_open(const char *path, ald_reader **reader);                             /* a series or a single container */
int ald_reader_steps(const ald_reader *r, int64_t *count);
int ald_reader_step(const ald_reader *r, int64_t position, int64_t *step, double *time);
int ald_reader_refresh(ald_reader *r);                                                  /* steps that a running job has added */
int ald_reader_fields(ald_reader *r, int64_t position, int32_t *count);
int ald_reader_field(ald_reader *r, int64_t position, int32_t field, ald_field_info *info);
int ald_reader_find(ald_reader *r, int64_t position, const char *name, int32_t *field, int32_t *component); /* also a component's own name */
int ald_reader_describe(ald_reader *r, int64_t position, const char **json);            /* everything about a step as JSON; valid until the next call */
int ald_reader_read(ald_reader *r, int64_t position, int32_t field, int32_t component, const int64_t lower[], const int64_t extent[], void *out); /* a region, packed C order, the field's type; lower NULL: everything */
const char *ald_reader_error(const ald_reader *r);                                      /* r may be NULL: of a failed open */
int ald_reader_close(ald_reader **r);

#ifdef __cplusplus
}
#endif
#endif
