// Alidade for C++11: a header over alidade.h. Tutorial: docs/insitu.md.
// Axes stand in storage order, slowest first. Collective calls and statuses are those of alidade.h; a status that is not ALD_OK is returned,
// never thrown, because a failed output step is no reason to stop a simulation: look at it, or call `error()`.
#ifndef ALIDADE_HPP
#define ALIDADE_HPP
#include <alidade.h>
#include <array>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace alidade {

using Index = std::vector<std::int64_t>;

struct Box { Index lower, extent; };

inline ald_options options() {
  ald_options o = ald_options();
  o.size = sizeof o;
  return o;
}
inline ald_bound lossless() { return {ALD_LOSSLESS, 0}; }
inline ald_bound absolute(double e) { return {ALD_ABSOLUTE, e}; }
inline ald_bound relative(double e) { return {ALD_RELATIVE, e}; }
inline ald_bound pointwise(double e) { return {ALD_POINTWISE, e}; }
inline ald_bound psnr(double decibel) { return {ALD_PSNR, decibel}; }
inline ald_bound rate(double bits) { return {ALD_RATE, bits}; }

// Values of a box in the host's memory: the first own one, extents and strides in elements per axis. std::mdspan converts.
template <class T> struct View {
  const T *first;
  Index extent, stride;
  View(const T *first, Index extent, Index stride) : first(first), extent(std::move(extent)), stride(std::move(stride)) {}
  // Packed, last axis fastest.
  View(const T *first, Index extent) : first(first), extent(std::move(extent)), stride(this->extent.size()) {
    std::int64_t step = 1;
    for (std::size_t a = this->extent.size(); a-- > 0;) { stride[a] = step; step *= this->extent[a]; }
  }
  template <class Span, class = decltype(std::declval<Span>().mapping().stride(0))> View(const Span &span) : first(span.data_handle()) {
    for (std::size_t a = 0; a < Span::rank(); a++) { extent.push_back(span.extent(a)); stride.push_back(span.mapping().stride(a)); }
  }
};

template <class T> struct Field { std::int32_t number = -1; };

class Writer {
 public:
  Writer() = default;
  Writer(Writer &&o) noexcept : handle_(o.handle_), axes_(o.axes_) { o.handle_ = nullptr; }
  Writer &operator=(Writer &&o) noexcept { std::swap(handle_, o.handle_); std::swap(axes_, o.axes_); return *this; }
  Writer(const Writer &) = delete;
  Writer &operator=(const Writer &) = delete;
  // Closing is collective, so it does not happen here: an object that was not closed leaves its handle behind.
  ~Writer() = default;

#ifndef ALD_NO_MPI
  int open(MPI_Comm comm, const std::string &path, const ald_options &o = options()) { return ald_open(comm, path.c_str(), &o, &handle_); }
#endif
  int open_serial(const std::string &path, const ald_options &o = options()) { return ald_open_serial(path.c_str(), &o, &handle_); }
  int grid(const Index &shape, const std::vector<bool> &periodic = {}) {
    axes_ = shape.size();
    std::vector<std::int32_t> wraps(axes_);
    for (std::size_t a = 0; a < periodic.size() && a < axes_; a++) wraps[a] = periodic[a];
    return ald_grid(handle_, static_cast<std::int32_t>(axes_), shape.data(), wraps.data());
  }
  int coords(int axis, const std::vector<double> &p) { return ald_coords(handle_, axis, static_cast<std::int64_t>(p.size()), p.data()); }
  int uniform(int axis, double first, double spacing) { return ald_uniform(handle_, axis, first, spacing); }
  int boxes(const std::vector<Box> &boxes) {
    Index lower, extent;
    flatten(boxes, lower, extent);
    return ald_boxes(handle_, static_cast<std::int32_t>(boxes.size()), lower.data(), extent.data());
  }
  // Of one field alone; shared: where boxes overlap the lowest rank's values count.
  template <class T> int boxes(Field<T> f, const std::vector<Box> &boxes, bool shared = false) {
    Index lower, extent;
    flatten(boxes, lower, extent);
    return ald_field_boxes(handle_, f.number, shared, static_cast<std::int32_t>(boxes.size()), lower.data(), extent.data());
  }
  template <class T>
  int field(const std::string &name, Field<T> &field, ald_bound bound = lossless(), ald_centring centring = ALD_CELL, const std::string &units = "",
            std::array<std::int64_t, 3> extra = {}) {
    static_assert(std::is_same<T, float>::value || std::is_same<T, double>::value, "fields are float or double");
    ald_field_options o = ald_field_options();
    o.size = sizeof o;
    o.type = std::is_same<T, float>::value ? ALD_FLOAT32 : ALD_FLOAT64;
    o.centring = centring;
    o.bound = bound;
    o.units = units.c_str();
    for (int a = 0; a < 3; a++) o.extra[a] = extra[a];
    return ald_field(handle_, name.c_str(), &o, &field.number);
  }
  template <class T> int vector(const std::string &name, const std::vector<Field<T>> &fields) {
    std::vector<std::int32_t> numbers;
    for (const auto &f : fields) numbers.push_back(f.number);
    return ald_vector(handle_, name.c_str(), static_cast<std::int32_t>(numbers.size()), numbers.data());
  }
  int attribute(const std::string &name, const std::string &text) { return ald_attr_text(handle_, -1, name.c_str(), text.c_str()); }
  int attribute(const std::string &name, double value) { return ald_attr_numbers(handle_, -1, name.c_str(), 1, &value); }
  int observe(const std::string &observable) { return ald_observe(handle_, observable.c_str()); }
  template <class T> int trigger(const std::string &observable, double threshold, Field<T> f, ald_bound b, bool below = false) {
    return ald_trigger(handle_, observable.c_str(), threshold, below, f.number, b);
  }
  int commit() { return ald_commit(handle_); }
  template <class T> int set_bound(Field<T> f, ald_bound b) { return ald_set_bound(handle_, f.number, b); }

  int begin(std::int64_t step, double time) { return ald_begin(handle_, step, time); }
  template <class T> int put(Field<T> f, const View<T> &v, int box = 0, bool borrow = false) {
    return ald_put_array(handle_, f.number, box, v.first, v.extent.data(), v.stride.data(), ALD_EXACT | (borrow ? ALD_BORROW : 0));
  }
  int fail(const std::string &why) { return ald_fail(handle_, why.c_str()); }
  int end() { return ald_end(handle_); }
  int end_async(std::int64_t &request) { return ald_end_async(handle_, &request); }
  int test(std::int64_t request, bool &done) {
    std::int32_t over = 0;
    const int status = ald_test(handle_, request, &over);
    done = over != 0;
    return status;
  }
  int wait(std::int64_t request) { return ald_wait(handle_, request); }

  int stats(ald_stats &s) const { s.size = sizeof s; return ald_get_stats(handle_, &s); }
  template <class T> int stats(Field<T> f, ald_field_stats &s) const { s.size = sizeof s; return ald_get_field_stats(handle_, f.number, &s); }
  std::string error() const { return ald_last_error(handle_); }
  int close() { return ald_close(&handle_); }
  ald_writer *handle() const { return handle_; }

 private:
  static void flatten(const std::vector<Box> &boxes, Index &lower, Index &extent) {
    for (const Box &b : boxes) {
      lower.insert(lower.end(), b.lower.begin(), b.lower.end());
      extent.insert(extent.end(), b.extent.begin(), b.extent.end());
    }
  }
  ald_writer *handle_ = nullptr;
  std::size_t axes_ = 0;
};

}  // namespace alidade
#endif
