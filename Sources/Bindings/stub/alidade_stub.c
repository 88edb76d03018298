// libalidade without its inside: every writing call succeeds and does nothing, so that a program linked with it runs as if output were off.
#include <alidade.h>
#include <string.h>

static char handle;
static const char error[] = "this is the stub of libalidade: nothing is written or read";

#define NOTHING { return ALD_OK; }

const char *ald_version(void) { return "0.1.0 stub"; }
const char *ald_status_text(int status) { return status == ALD_OK ? "ok" : error; }

static int opened(ald_writer **writer) {
  *writer = (ald_writer *)&handle;
  return ALD_OK;
}
int ald_open(MPI_Comm comm, const char *path, const ald_options *options, ald_writer **writer) { (void)comm; (void)path; (void)options; return opened(writer); }
int ald_open_fortran(int32_t comm, const char *path, const ald_options *options, ald_writer **writer) { (void)comm; (void)path; (void)options; return opened(writer); }
int ald_open_serial(const char *path, const ald_options *options, ald_writer **writer) { (void)path; (void)options; return opened(writer); }
int ald_close(ald_writer **w) { if (w) *w = NULL; return ALD_OK; }
const char *ald_last_error(const ald_writer *w) { (void)w; return ""; }

int ald_field(ald_writer *w, const char *name, const ald_field_options *options, int32_t *field) { (void)w; (void)name; (void)options; if (field) *field = 0; return ALD_OK; }
int ald_grid(ald_writer *w, int32_t axes, const int64_t shape[], const int32_t periodic[]) { (void)w; (void)axes; (void)shape; (void)periodic; return ALD_OK; }
int ald_coords(ald_writer *w, int32_t axis, int64_t n, const double positions[]) { (void)w; (void)axis; (void)n; (void)positions; return ALD_OK; }
int ald_uniform(ald_writer *w, int32_t axis, double first, double spacing) { (void)w; (void)axis; (void)first; (void)spacing; return ALD_OK; }
int ald_boxes(ald_writer *w, int32_t count, const int64_t lower[], const int64_t extent[]) { (void)w; (void)count; (void)lower; (void)extent; return ALD_OK; }
int ald_field_boxes(ald_writer *w, int32_t field, int32_t shared, int32_t count, const int64_t lower[], const int64_t extent[]) { (void)w; (void)field; (void)shared; (void)count; (void)lower; (void)extent; return ALD_OK; }
int ald_vector(ald_writer *w, const char *name, int32_t count, const int32_t fields[]) { (void)w; (void)name; (void)count; (void)fields; return ALD_OK; }
int ald_attr_text(ald_writer *w, int32_t field, const char *name, const char *text) { (void)w; (void)field; (void)name; (void)text; return ALD_OK; }
int ald_attr_numbers(ald_writer *w, int32_t field, const char *name, int32_t n, const double values[]) { (void)w; (void)field; (void)name; (void)n; (void)values; return ALD_OK; }
int ald_observe(ald_writer *w, const char *observable) { (void)w; (void)observable; return ALD_OK; }
int ald_trigger(ald_writer *w, const char *observable, double threshold, int32_t below, int32_t field, ald_bound bound) { (void)w; (void)observable; (void)threshold; (void)below; (void)field; (void)bound; return ALD_OK; }
int ald_commit(ald_writer *w) { (void)w; return ALD_OK; }
int ald_set_bound(ald_writer *w, int32_t field, ald_bound bound) { (void)w; (void)field; (void)bound; return ALD_OK; }
int ald_begin(ald_writer *w, int64_t step, double time) { (void)w; (void)step; (void)time; return ALD_OK; }
int ald_put(ald_writer *w, int32_t field, int32_t box, const void *first, const int64_t strides[]) { (void)w; (void)field; (void)box; (void)first; (void)strides; return ALD_OK; }
int ald_put_borrow(ald_writer *w, int32_t field, int32_t box, const void *first, const int64_t strides[]) { (void)w; (void)field; (void)box; (void)first; (void)strides; return ALD_OK; }
int ald_put_array(ald_writer *w, int32_t field, int32_t box, const void *first, const int64_t extent[], const int64_t strides[], int32_t flags) { (void)w; (void)field; (void)box; (void)first; (void)extent; (void)strides; (void)flags; return ALD_OK; }
int ald_put_ghosted(ald_writer *w, int32_t field, int32_t box, const void *base, const int64_t alloc[], const int64_t pad[], int32_t order, int32_t ghosts_valid) { (void)w; (void)field; (void)box; (void)base; (void)alloc; (void)pad; (void)order; (void)ghosts_valid; return ALD_OK; }
int ald_fail(ald_writer *w, const char *why) { (void)w; (void)why; return ALD_OK; }
int ald_end(ald_writer *w) { (void)w; return ALD_OK; }
int ald_end_async(ald_writer *w, int64_t *request) { (void)w; if (request) *request = 0; return ALD_OK; }
int ald_test(ald_writer *w, int64_t request, int32_t *done) { (void)w; (void)request; if (done) *done = 1; return ALD_OK; }
int ald_wait(ald_writer *w, int64_t request) { (void)w; (void)request; return ALD_OK; }

int ald_get_stats(const ald_writer *w, ald_stats *stats) { (void)w; if (stats && stats->size > sizeof(size_t)) memset((char *)stats + sizeof(size_t), 0, stats->size - sizeof(size_t)); return ALD_OK; }
int ald_get_field_stats(const ald_writer *w, int32_t field, ald_field_stats *stats) { (void)w; (void)field; if (stats && stats->size > sizeof(size_t)) memset((char *)stats + sizeof(size_t), 0, stats->size - sizeof(size_t)); return ALD_OK; }

int ald_reader_open(const char *path, ald_reader **reader) { (void)path; if (reader) *reader = NULL; return ALD_USAGE; }
int ald_reader_steps(const ald_reader *r, int64_t *count) { (void)r; (void)count; return ALD_USAGE; }
int ald_reader_step(const ald_reader *r, int64_t position, int64_t *step, double *time) { (void)r; (void)position; (void)step; (void)time; return ALD_USAGE; }
int ald_reader_refresh(ald_reader *r) { (void)r; return ALD_USAGE; }
int ald_reader_fields(ald_reader *r, int64_t position, int32_t *count) { (void)r; (void)position; (void)count; return ALD_USAGE; }
int ald_reader_field(ald_reader *r, int64_t position, int32_t field, ald_field_info *info) { (void)r; (void)position; (void)field; (void)info; return ALD_USAGE; }
int ald_reader_find(ald_reader *r, int64_t position, const char *name, int32_t *field, int32_t *component) { (void)r; (void)position; (void)name; (void)field; (void)component; return ALD_USAGE; }
int ald_reader_describe(ald_reader *r, int64_t position, const char **json) { (void)r; (void)position; (void)json; return ALD_USAGE; }
int ald_reader_read(ald_reader *r, int64_t position, int32_t field, int32_t component, const int64_t lower[], const int64_t extent[], void *out) { (void)r; (void)position; (void)field; (void)component; (void)lower; (void)extent; (void)out; return ALD_USAGE; }
const char *ald_reader_error(const ald_reader *r) { (void)r; return error; }
int ald_reader_close(ald_reader **r) { if (r) *r = NULL; return ALD_OK; }
