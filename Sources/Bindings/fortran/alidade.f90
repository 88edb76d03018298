! Alidade for Fortran 2008: compressed output from inside a running simulation. Tutorial: docs/insitu.md.
!
! Axes stand in Fortran's order (x, y, z), bounds are global, 1-based and inclusive. Arrays may be sections: nothing is copied on the way.
! Every call takes an optional last argument `status` (0: ok, else as ald_status of alidade.h); text by `error()`. Collective: open, set_boxes,
! set_field_boxes, commit, begin, end_step, end_async, test, wait, close. Nothing stops the program.
module alidade
  use, intrinsic :: iso_c_binding
  use, intrinsic :: iso_fortran_env, only: int32, int64, real32, real64
  use mpi_f08, only: MPI_Comm
  implicit none
  private
  public :: alidade_writer, alidade_bound, alidade_version
  public :: alidade_lossless, alidade_absolute, alidade_relative, alidade_pointwise, alidade_psnr, alidade_rate

  integer, parameter, public :: ALIDADE_CELL = 0, ALIDADE_POINT = 1, ALIDADE_NODE = 2, ALIDADE_FACE_X = 3, ALIDADE_FACE_Y = 4, ALIDADE_FACE_Z = 5
  integer, parameter, public :: ALIDADE_WAIT = 0, ALIDADE_REFUSE = 1, ALIDADE_BUSY = 11
  integer, parameter, public :: ALIDADE_APPEND = 0, ALIDADE_REPLACE = 1, ALIDADE_CREATE = 2

  type, bind(c) :: alidade_bound
    integer(c_int32_t) :: kind = 0
    real(c_double) :: value = 0
  end type

  type, bind(c) :: c_options
    integer(c_size_t) :: size
    integer(c_int32_t) :: opening = 0, threads = 0, no_verify = 0, report = 0
    real(c_double) :: bytes_per_step = 0
    integer(c_int64_t) :: memory = 0
    integer(c_int32_t) :: key_interval = 0, pressure = 0
    real(c_double) :: seconds_per_step = 0
  end type

  type, bind(c) :: c_field_options
    integer(c_size_t) :: size
    integer(c_int32_t) :: type = 0, centring = 0
    integer(c_int64_t) :: extra(3) = 0
    type(alidade_bound) :: bound
    type(c_ptr) :: units = c_null_ptr
  end type

  ! Of the last committed step; seconds are this rank's.
  type, bind(c), public :: alidade_stats
    integer(c_size_t) :: size
    integer(c_int64_t) :: step
    real(c_double) :: time
    integer(c_int64_t) :: raw_bytes, stored_bytes, file_bytes
    real(c_double) :: put_seconds, encode_seconds, communicate_seconds, write_seconds, total_seconds, background_seconds
    integer(c_int64_t) :: key_step, left_out
  end type

  ! Of a field in the last committed step; of a vector's component: of the vector.
  type, bind(c), public :: alidade_field_stats
    integer(c_size_t) :: size
    integer(c_int64_t) :: raw_bytes, stored_bytes
    real(c_double) :: granted, max_error, rms_error
    integer(c_int64_t) :: masked
    character(kind=c_char) :: codec(16)
  end type

  ! A series being written.
  type :: alidade_writer
    private
    type(c_ptr) :: handle = c_null_ptr
    integer :: axes = 0
  contains
    procedure, private :: open_integer, open_f08
    generic :: open => open_integer, open_f08
    procedure, private :: grid_default, grid_int64
    generic :: grid => grid_default, grid_int64
    procedure, private :: coords_list, coords_uniform
    generic :: coords => coords_list, coords_uniform
    procedure, private :: boxes_default, boxes_int64, box_default
    generic :: set_boxes => boxes_default, boxes_int64, box_default
    procedure :: field
    procedure :: set_field_boxes
    procedure :: vector
    procedure :: observe
    procedure :: trigger
    procedure, private :: attribute_text, attribute_number
    generic :: attribute => attribute_text, attribute_number
    procedure :: set_bound
    procedure :: commit
    procedure, private :: begin_default, begin_int64
    generic :: begin => begin_default, begin_int64
    procedure, private :: put_1d_real32, put_2d_real32, put_3d_real32, put_4d_real32, put_1d_real64, put_2d_real64, put_3d_real64, put_4d_real64
    generic :: put => put_1d_real32, put_2d_real32, put_3d_real32, put_4d_real32, put_1d_real64, put_2d_real64, put_3d_real64, put_4d_real64
    procedure :: fail
    procedure :: end_step
    procedure :: end_async
    procedure :: test => test_step
    procedure :: wait => wait_step
    procedure :: stats
    procedure :: field_stats
    procedure :: error
    procedure :: close => close_writer
  end type

  interface
    integer(c_int) function ald_open_fortran(comm, path, options, writer) bind(c)
      import
      integer(c_int32_t), value :: comm
      character(kind=c_char), intent(in) :: path(*)
      type(c_options), intent(in) :: options
      type(c_ptr), intent(out) :: writer
    end function
    integer(c_int) function ald_grid(w, axes, shape, periodic) bind(c)
      import
      type(c_ptr), value :: w
      integer(c_int32_t), value :: axes
      integer(c_int64_t), intent(in) :: shape(*)
      integer(c_int32_t), intent(in) :: periodic(*)
    end function
    integer(c_int) function ald_coords(w, axis, n, positions) bind(c)
      import
      type(c_ptr), value :: w
      integer(c_int32_t), value :: axis
      integer(c_int64_t), value :: n
      real(c_double), intent(in) :: positions(*)
    end function
    integer(c_int) function ald_uniform(w, axis, first, spacing) bind(c)
      import
      type(c_ptr), value :: w
      integer(c_int32_t), value :: axis
      real(c_double), value :: first, spacing
    end function
    integer(c_int) function ald_boxes(w, count, lower, extent) bind(c)
      import
      type(c_ptr), value :: w
      integer(c_int32_t), value :: count
      integer(c_int64_t), intent(in) :: lower(*), extent(*)
    end function
    integer(c_int) function ald_field(w, name, options, field) bind(c)
      import
      type(c_ptr), value :: w
      character(kind=c_char), intent(in) :: name(*)
      type(c_field_options), intent(in) :: options
      integer(c_int32_t), intent(out) :: field
    end function
    integer(c_int) function ald_field_boxes(w, field, shared, count, lower, extent) bind(c)
      import
      type(c_ptr), value :: w
      integer(c_int32_t), value :: field, shared, count
      integer(c_int64_t), intent(in) :: lower(*), extent(*)
    end function
    integer(c_int) function ald_observe(w, observable) bind(c)
      import
      type(c_ptr), value :: w
      character(kind=c_char), intent(in) :: observable(*)
    end function
    integer(c_int) function ald_trigger(w, observable, threshold, below, field, bound) bind(c)
      import
      type(c_ptr), value :: w
      character(kind=c_char), intent(in) :: observable(*)
      real(c_double), value :: threshold
      integer(c_int32_t), value :: below, field
      type(alidade_bound), value :: bound
    end function
    integer(c_int) function ald_get_field_stats(w, field, stats) bind(c)
      import
      type(c_ptr), value :: w
      integer(c_int32_t), value :: field
      type(alidade_field_stats), intent(inout) :: stats
    end function
    integer(c_int) function ald_vector(w, name, count, fields) bind(c)
      import
      type(c_ptr), value :: w
      character(kind=c_char), intent(in) :: name(*)
      integer(c_int32_t), value :: count
      integer(c_int32_t), intent(in) :: fields(*)
    end function
    integer(c_int) function ald_attr_text(w, field, name, text) bind(c)
      import
      type(c_ptr), value :: w
      integer(c_int32_t), value :: field
      character(kind=c_char), intent(in) :: name(*), text(*)
    end function
    integer(c_int) function ald_attr_numbers(w, field, name, n, values) bind(c)
      import
      type(c_ptr), value :: w
      integer(c_int32_t), value :: field, n
      character(kind=c_char), intent(in) :: name(*)
      real(c_double), intent(in) :: values(*)
    end function
    integer(c_int) function ald_set_bound(w, field, bound) bind(c)
      import
      type(c_ptr), value :: w
      integer(c_int32_t), value :: field
      type(alidade_bound), value :: bound
    end function
    integer(c_int) function ald_commit(w) bind(c)
      import
      type(c_ptr), value :: w
    end function
    integer(c_int) function ald_begin(w, step, time) bind(c)
      import
      type(c_ptr), value :: w
      integer(c_int64_t), value :: step
      real(c_double), value :: time
    end function
    integer(c_int) function ald_put_array(w, field, box, first, extent, strides, flags) bind(c)
      import
      type(c_ptr), value :: w, first
      integer(c_int32_t), value :: field, box, flags
      integer(c_int64_t), intent(in) :: extent(*), strides(*)
    end function
    integer(c_int) function ald_fail(w, why) bind(c)
      import
      type(c_ptr), value :: w
      character(kind=c_char), intent(in) :: why(*)
    end function
    integer(c_int) function ald_end(w) bind(c)
      import
      type(c_ptr), value :: w
    end function
    integer(c_int) function ald_end_async(w, request) bind(c)
      import
      type(c_ptr), value :: w
      integer(c_int64_t), intent(out) :: request
    end function
    integer(c_int) function ald_test(w, request, done) bind(c)
      import
      type(c_ptr), value :: w
      integer(c_int64_t), value :: request
      integer(c_int32_t), intent(out) :: done
    end function
    integer(c_int) function ald_wait(w, request) bind(c)
      import
      type(c_ptr), value :: w
      integer(c_int64_t), value :: request
    end function
    integer(c_int) function ald_get_stats(w, stats) bind(c)
      import
      type(c_ptr), value :: w
      type(alidade_stats), intent(inout) :: stats
    end function
    type(c_ptr) function ald_last_error(w) bind(c)
      import
      type(c_ptr), value :: w
    end function
    integer(c_int) function ald_close(w) bind(c)
      import
      type(c_ptr), intent(inout) :: w
    end function
    type(c_ptr) function ald_version() bind(c)
      import
    end function
    integer(c_size_t) function strlen(text) bind(c)
      import
      type(c_ptr), value :: text
    end function
  end interface

contains

  ! Every bit; |error| <= e; e times the global range; e times |x|; decibel of PSNR; bits per point.
  type(alidade_bound) function alidade_lossless() result(b)
    b = alidade_bound(0, 0d0)
  end function
  type(alidade_bound) function alidade_absolute(e) result(b)
    real(real64), intent(in) :: e
    b = alidade_bound(1, e)
  end function
  type(alidade_bound) function alidade_relative(e) result(b)
    real(real64), intent(in) :: e
    b = alidade_bound(2, e)
  end function
  type(alidade_bound) function alidade_pointwise(e) result(b)
    real(real64), intent(in) :: e
    b = alidade_bound(3, e)
  end function
  type(alidade_bound) function alidade_psnr(decibel) result(b)
    real(real64), intent(in) :: decibel
    b = alidade_bound(4, decibel)
  end function
  type(alidade_bound) function alidade_rate(bits) result(b)
    real(real64), intent(in) :: bits
    b = alidade_bound(5, bits)
  end function

  function alidade_version() result(text)
    character(:), allocatable :: text
    text = fortran_text(ald_version())
  end function

  ! Collective. comm: of mpi or mpif.h.
  subroutine open_integer(self, comm, path, opening, threads, report, bytes_per_step, key_interval, pressure, seconds_per_step, status)
    class(alidade_writer), intent(inout) :: self
    integer, intent(in) :: comm
    character(*), intent(in) :: path
    integer, intent(in), optional :: opening, threads, key_interval, pressure
    logical, intent(in), optional :: report
    real(real64), intent(in), optional :: bytes_per_step, seconds_per_step
    integer, intent(out), optional :: status
    type(c_options) :: o
    o%size = c_sizeof(o)
    if (present(opening)) o%opening = opening
    if (present(threads)) o%threads = threads
    if (present(report)) o%report = merge(1, 0, report)
    if (present(bytes_per_step)) o%bytes_per_step = bytes_per_step
    if (present(key_interval)) o%key_interval = key_interval
    if (present(pressure)) o%pressure = pressure
    if (present(seconds_per_step)) o%seconds_per_step = seconds_per_step
    call give(ald_open_fortran(int(comm, c_int32_t), c_text(path), o, self%handle), status)
  end subroutine

  ! Collective. comm: of mpi_f08.
  subroutine open_f08(self, comm, path, opening, threads, report, bytes_per_step, key_interval, pressure, seconds_per_step, status)
    class(alidade_writer), intent(inout) :: self
    type(MPI_Comm), intent(in) :: comm
    character(*), intent(in) :: path
    integer, intent(in), optional :: opening, threads, key_interval, pressure
    logical, intent(in), optional :: report
    real(real64), intent(in), optional :: bytes_per_step, seconds_per_step
    integer, intent(out), optional :: status
    call self%open_integer(comm%MPI_VAL, path, opening, threads, report, bytes_per_step, key_interval, pressure, seconds_per_step, status)
  end subroutine

  subroutine grid_int64(self, shape, periodic, status)
    class(alidade_writer), intent(inout) :: self
    integer(int64), intent(in) :: shape(:)
    logical, intent(in) :: periodic(:)
    integer, intent(out), optional :: status
    self%axes = size(shape)
    call give(ald_grid(self%handle, int(size(shape), c_int32_t), shape(size(shape):1:-1), merge(1_c_int32_t, 0_c_int32_t, periodic(size(shape):1:-1))), status)
  end subroutine
  subroutine grid_default(self, shape, periodic, status)
    class(alidade_writer), intent(inout) :: self
    integer(int32), intent(in) :: shape(:)
    logical, intent(in) :: periodic(:)
    integer, intent(out), optional :: status
    call self%grid_int64(int(shape, int64), periodic, status)
  end subroutine

  ! axis: 1 is x.
  subroutine coords_list(self, axis, positions, status)
    class(alidade_writer), intent(in) :: self
    integer, intent(in) :: axis
    real(real64), intent(in) :: positions(:)
    integer, intent(out), optional :: status
    call give(ald_coords(self%handle, int(self%axes - axis, c_int32_t), int(size(positions), c_int64_t), positions), status)
  end subroutine
  subroutine coords_uniform(self, axis, first, spacing, status)
    class(alidade_writer), intent(in) :: self
    integer, intent(in) :: axis
    real(real64), intent(in) :: first, spacing
    integer, intent(out), optional :: status
    call give(ald_uniform(self%handle, int(self%axes - axis, c_int32_t), first, spacing), status)
  end subroutine

  ! Collective: this rank's boxes, lo(axis, box) to hi(axis, box); any number, also none; again between steps.
  subroutine boxes_int64(self, lo, hi, status)
    class(alidade_writer), intent(in) :: self
    integer(int64), intent(in) :: lo(:, :), hi(:, :)
    integer, intent(out), optional :: status
    integer(int64) :: lower(size(lo)), extent(size(lo))
    integer :: n
    n = size(lo, 1)
    lower = reshape(lo(n:1:-1, :) - 1, [size(lo)])
    extent = reshape(hi(n:1:-1, :) - lo(n:1:-1, :) + 1, [size(lo)])
    call give(ald_boxes(self%handle, int(size(lo, 2), c_int32_t), lower, extent), status)
  end subroutine
  subroutine boxes_default(self, lo, hi, status)
    class(alidade_writer), intent(in) :: self
    integer(int32), intent(in) :: lo(:, :), hi(:, :)
    integer, intent(out), optional :: status
    call self%boxes_int64(int(lo, int64), int(hi, int64), status)
  end subroutine
  ! The same for one box, lo(axis) to hi(axis).
  subroutine box_default(self, lo, hi, status)
    class(alidade_writer), intent(in) :: self
    integer(int32), intent(in) :: lo(:), hi(:)
    integer, intent(out), optional :: status
    call self%boxes_int64(int(reshape(lo, [size(lo), 1]), int64), int(reshape(hi, [size(hi), 1]), int64), status)
  end subroutine

  ! Declares a field; same order on all ranks. kind: real32 or real64 (default). extra(axis): 1 where it has a point more than the grid.
  integer function field(self, name, bound, kind, centring, extra, units, status)
    class(alidade_writer), intent(in) :: self
    character(*), intent(in) :: name
    type(alidade_bound), intent(in), optional :: bound
    integer, intent(in), optional :: kind, centring, extra(:)
    character(*), intent(in), optional :: units
    integer, intent(out), optional :: status
    type(c_field_options) :: o
    character(kind=c_char), allocatable, target :: text(:)
    integer(c_int32_t) :: number
    o%size = c_sizeof(o)
    if (present(bound)) o%bound = bound
    if (present(kind)) o%type = merge(1, 2, kind == real32)
    if (present(centring)) o%centring = centring
    if (present(extra)) o%extra(1:size(extra)) = extra(size(extra):1:-1)
    if (present(units)) then
      text = c_text(units)
      o%units = c_loc(text)
    end if
    number = -1
    call give(ald_field(self%handle, c_text(name), o, number), status)
    field = number
  end function

  ! Collective: boxes of one field alone, lo(axis, box) to hi(axis, box). shared: where boxes overlap the lowest rank's values count.
  subroutine set_field_boxes(self, field, lo, hi, shared, status)
    class(alidade_writer), intent(in) :: self
    integer, intent(in) :: field
    integer(int32), intent(in) :: lo(:, :), hi(:, :)
    logical, intent(in), optional :: shared
    integer, intent(out), optional :: status
    integer(int64) :: lower(size(lo)), extent(size(lo))
    integer(c_int32_t) :: overlap
    integer :: n
    n = size(lo, 1)
    overlap = 0
    if (present(shared)) overlap = merge(1, 0, shared)
    lower = reshape(int(lo(n:1:-1, :), int64) - 1, [size(lo)])
    extent = reshape(int(hi(n:1:-1, :), int64) - lo(n:1:-1, :) + 1, [size(lo)])
    call give(ald_field_boxes(self%handle, int(field, c_int32_t), overlap, int(size(lo, 2), c_int32_t), lower, extent), status)
  end subroutine

  ! Measured in every step, such as 'velocity/enstrophy', for steps.jsonl; same on all ranks.
  subroutine observe(self, observable, status)
    class(alidade_writer), intent(in) :: self
    character(*), intent(in) :: observable
    integer, intent(out), optional :: status
    call give(ald_observe(self%handle, c_text(observable)), status)
  end subroutine

  ! This bound for a field in steps with more (below: less) of an observable; same on all ranks.
  subroutine trigger(self, observable, threshold, field, bound, below, status)
    class(alidade_writer), intent(in) :: self
    character(*), intent(in) :: observable
    real(real64), intent(in) :: threshold
    integer, intent(in) :: field
    type(alidade_bound), intent(in) :: bound
    logical, intent(in), optional :: below
    integer, intent(out), optional :: status
    integer(c_int32_t) :: less
    less = 0
    if (present(below)) less = merge(1, 0, below)
    call give(ald_trigger(self%handle, c_text(observable), threshold, less, int(field, c_int32_t), bound), status)
  end subroutine

  ! Scalar fields x, y, z coded together.
  subroutine vector(self, name, fields, status)
    class(alidade_writer), intent(in) :: self
    character(*), intent(in) :: name
    integer, intent(in) :: fields(:)
    integer, intent(out), optional :: status
    call give(ald_vector(self%handle, c_text(name), int(size(fields), c_int32_t), int(fields, c_int32_t)), status)
  end subroutine

  ! Without a field: of the whole series.
  subroutine attribute_text(self, name, value, field, status)
    class(alidade_writer), intent(in) :: self
    character(*), intent(in) :: name, value
    integer, intent(in), optional :: field
    integer, intent(out), optional :: status
    call give(ald_attr_text(self%handle, optional_field(field), c_text(name), c_text(value)), status)
  end subroutine
  subroutine attribute_number(self, name, value, field, status)
    class(alidade_writer), intent(in) :: self
    character(*), intent(in) :: name
    real(real64), intent(in) :: value
    integer, intent(in), optional :: field
    integer, intent(out), optional :: status
    call give(ald_attr_numbers(self%handle, optional_field(field), c_text(name), 1_c_int32_t, [value]), status)
  end subroutine

  ! From the next step on; the same on all ranks.
  subroutine set_bound(self, field, bound, status)
    class(alidade_writer), intent(in) :: self
    integer, intent(in) :: field
    type(alidade_bound), intent(in) :: bound
    integer, intent(out), optional :: status
    call give(ald_set_bound(self%handle, int(field, c_int32_t), bound), status)
  end subroutine

  ! Collective: the declarations are complete.
  subroutine commit(self, status)
    class(alidade_writer), intent(in) :: self
    integer, intent(out), optional :: status
    call give(ald_commit(self%handle), status)
  end subroutine

  ! Collective.
  subroutine begin_int64(self, step, time, status)
    class(alidade_writer), intent(in) :: self
    integer(int64), intent(in) :: step
    real(real64), intent(in) :: time
    integer, intent(out), optional :: status
    call give(ald_begin(self%handle, step, time), status)
  end subroutine
  subroutine begin_default(self, step, time, status)
    class(alidade_writer), intent(in) :: self
    integer(int32), intent(in) :: step
    real(real64), intent(in) :: time
    integer, intent(out), optional :: status
    call give(ald_begin(self%handle, int(step, c_int64_t), time), status)
  end subroutine

  ! put(field, array [, box] [, halo] [, borrow]): values of one box (default 1); halo(axis): cells of the array before the first own one. Copies;
  ! borrow: keeps a pointer to the array, a target that is no temporary copy, until the step is over.
  ! Rank 4: put(fields, array, ...), the last index counts the fields.
  subroutine put_1d_real32(self, field, array, box, halo, borrow, status)
    class(alidade_writer), intent(in) :: self
    integer, intent(in) :: field
    real(real32), intent(in), target :: array(:)
    integer, intent(in), optional :: box, halo(:)
    logical, intent(in), optional :: borrow
    integer, intent(out), optional :: status
    type(c_ptr) :: next(1)
    integer :: f(1), a
    f = first_own(1, halo)
    next = c_null_ptr
    if (any(shape(array) < f)) then
      call give(put_values(self, field, box, c_null_ptr, next, shape(array) - f + 1, present(halo), storage_size(array) / 8, borrow), status)
      return
    end if
    do a = 1, 1
      if (size(array, a) > f(a)) then
        f(a) = f(a) + 1
        next(a) = c_loc(array(f(1)))
        f(a) = f(a) - 1
      end if
    end do
    call give(put_values(self, field, box, c_loc(array(f(1))), next, shape(array) - f + 1, present(halo), storage_size(array) / 8, borrow), status)
  end subroutine
  subroutine put_2d_real32(self, field, array, box, halo, borrow, status)
    class(alidade_writer), intent(in) :: self
    integer, intent(in) :: field
    real(real32), intent(in), target :: array(:, :)
    integer, intent(in), optional :: box, halo(:)
    logical, intent(in), optional :: borrow
    integer, intent(out), optional :: status
    type(c_ptr) :: next(2)
    integer :: f(2), a
    f = first_own(2, halo)
    next = c_null_ptr
    if (any(shape(array) < f)) then
      call give(put_values(self, field, box, c_null_ptr, next, shape(array) - f + 1, present(halo), storage_size(array) / 8, borrow), status)
      return
    end if
    do a = 1, 2
      if (size(array, a) > f(a)) then
        f(a) = f(a) + 1
        next(a) = c_loc(array(f(1), f(2)))
        f(a) = f(a) - 1
      end if
    end do
    call give(put_values(self, field, box, c_loc(array(f(1), f(2))), next, shape(array) - f + 1, present(halo), storage_size(array) / 8, borrow), status)
  end subroutine
  subroutine put_3d_real32(self, field, array, box, halo, borrow, status)
    class(alidade_writer), intent(in) :: self
    integer, intent(in) :: field
    real(real32), intent(in), target :: array(:, :, :)
    integer, intent(in), optional :: box, halo(:)
    logical, intent(in), optional :: borrow
    integer, intent(out), optional :: status
    type(c_ptr) :: next(3)
    integer :: f(3), a
    f = first_own(3, halo)
    next = c_null_ptr
    if (any(shape(array) < f)) then
      call give(put_values(self, field, box, c_null_ptr, next, shape(array) - f + 1, present(halo), storage_size(array) / 8, borrow), status)
      return
    end if
    do a = 1, 3
      if (size(array, a) > f(a)) then
        f(a) = f(a) + 1
        next(a) = c_loc(array(f(1), f(2), f(3)))
        f(a) = f(a) - 1
      end if
    end do
    call give(put_values(self, field, box, c_loc(array(f(1), f(2), f(3))), next, shape(array) - f + 1, present(halo), storage_size(array) / 8, borrow), status)
  end subroutine
  subroutine put_4d_real32(self, fields, array, box, halo, borrow, status)
    class(alidade_writer), intent(in) :: self
    integer, intent(in) :: fields(:)
    real(real32), intent(in), target :: array(:, :, :, :)
    integer, intent(in), optional :: box, halo(:)
    logical, intent(in), optional :: borrow
    integer, intent(out), optional :: status
    integer :: i, s
    s = 0
    do i = 1, size(fields)
      if (s == 0) call self%put_3d_real32(fields(i), array(:, :, :, i), box, halo, borrow, s)
    end do
    if (present(status)) status = s
  end subroutine
  subroutine put_1d_real64(self, field, array, box, halo, borrow, status)
    class(alidade_writer), intent(in) :: self
    integer, intent(in) :: field
    real(real64), intent(in), target :: array(:)
    integer, intent(in), optional :: box, halo(:)
    logical, intent(in), optional :: borrow
    integer, intent(out), optional :: status
    type(c_ptr) :: next(1)
    integer :: f(1), a
    f = first_own(1, halo)
    next = c_null_ptr
    if (any(shape(array) < f)) then
      call give(put_values(self, field, box, c_null_ptr, next, shape(array) - f + 1, present(halo), storage_size(array) / 8, borrow), status)
      return
    end if
    do a = 1, 1
      if (size(array, a) > f(a)) then
        f(a) = f(a) + 1
        next(a) = c_loc(array(f(1)))
        f(a) = f(a) - 1
      end if
    end do
    call give(put_values(self, field, box, c_loc(array(f(1))), next, shape(array) - f + 1, present(halo), storage_size(array) / 8, borrow), status)
  end subroutine
  subroutine put_2d_real64(self, field, array, box, halo, borrow, status)
    class(alidade_writer), intent(in) :: self
    integer, intent(in) :: field
    real(real64), intent(in), target :: array(:, :)
    integer, intent(in), optional :: box, halo(:)
    logical, intent(in), optional :: borrow
    integer, intent(out), optional :: status
    type(c_ptr) :: next(2)
    integer :: f(2), a
    f = first_own(2, halo)
    next = c_null_ptr
    if (any(shape(array) < f)) then
      call give(put_values(self, field, box, c_null_ptr, next, shape(array) - f + 1, present(halo), storage_size(array) / 8, borrow), status)
      return
    end if
    do a = 1, 2
      if (size(array, a) > f(a)) then
        f(a) = f(a) + 1
        next(a) = c_loc(array(f(1), f(2)))
        f(a) = f(a) - 1
      end if
    end do
    call give(put_values(self, field, box, c_loc(array(f(1), f(2))), next, shape(array) - f + 1, present(halo), storage_size(array) / 8, borrow), status)
  end subroutine
  subroutine put_3d_real64(self, field, array, box, halo, borrow, status)
    class(alidade_writer), intent(in) :: self
    integer, intent(in) :: field
    real(real64), intent(in), target :: array(:, :, :)
    integer, intent(in), optional :: box, halo(:)
    logical, intent(in), optional :: borrow
    integer, intent(out), optional :: status
    type(c_ptr) :: next(3)
    integer :: f(3), a
    f = first_own(3, halo)
    next = c_null_ptr
    if (any(shape(array) < f)) then
      call give(put_values(self, field, box, c_null_ptr, next, shape(array) - f + 1, present(halo), storage_size(array) / 8, borrow), status)
      return
    end if
    do a = 1, 3
      if (size(array, a) > f(a)) then
        f(a) = f(a) + 1
        next(a) = c_loc(array(f(1), f(2), f(3)))
        f(a) = f(a) - 1
      end if
    end do
    call give(put_values(self, field, box, c_loc(array(f(1), f(2), f(3))), next, shape(array) - f + 1, present(halo), storage_size(array) / 8, borrow), status)
  end subroutine
  subroutine put_4d_real64(self, fields, array, box, halo, borrow, status)
    class(alidade_writer), intent(in) :: self
    integer, intent(in) :: fields(:)
    real(real64), intent(in), target :: array(:, :, :, :)
    integer, intent(in), optional :: box, halo(:)
    logical, intent(in), optional :: borrow
    integer, intent(out), optional :: status
    integer :: i, s
    s = 0
    do i = 1, size(fields)
      if (s == 0) call self%put_3d_real64(fields(i), array(:, :, :, i), box, halo, borrow, s)
    end do
    if (present(status)) status = s
  end subroutine

  ! Distances between neighbours in elements, from their addresses: what the compiler's descriptor says.
  integer(c_int) function put_values(self, field, box, first, next, extent, haloed, bytes, borrow)
    class(alidade_writer), intent(in) :: self
    integer, intent(in) :: field, extent(:), bytes
    logical, intent(in) :: haloed
    integer, intent(in), optional :: box
    logical, intent(in), optional :: borrow
    type(c_ptr), intent(in) :: first, next(:)
    integer(c_int64_t) :: strides(size(next))
    integer :: a, number
    integer(c_int32_t) :: flags
    strides = 0
    do a = 1, size(next)
      if (c_associated(next(a))) strides(size(next) + 1 - a) = (transfer(next(a), 0_c_int64_t) - transfer(first, 0_c_int64_t)) / bytes
    end do
    number = 1
    if (present(box)) number = box
    ! Without a halo the array is the box; with one, cells may follow it.
    flags = merge(0_c_int32_t, 2_c_int32_t, haloed)
    if (present(borrow)) flags = flags + merge(1_c_int32_t, 0_c_int32_t, borrow)
    put_values = ald_put_array(self%handle, int(field, c_int32_t), int(number - 1, c_int32_t), first, int(extent(size(extent):1:-1), c_int64_t), strides, flags)
  end function

  pure function first_own(rank, halo) result(f)
    integer, intent(in) :: rank
    integer, intent(in), optional :: halo(:)
    integer :: f(rank)
    f = 1
    if (present(halo)) f = 1 + halo(1:rank)
  end function

  ! The step is given up: end_step returns the same status everywhere.
  subroutine fail(self, why, status)
    class(alidade_writer), intent(in) :: self
    character(*), intent(in) :: why
    integer, intent(out), optional :: status
    call give(ald_fail(self%handle, c_text(why)), status)
  end subroutine

  ! Collective: codes and commits the step.
  subroutine end_step(self, status)
    class(alidade_writer), intent(in) :: self
    integer, intent(out), optional :: status
    call give(ald_end(self%handle), status)
  end subroutine

  ! Collective: as end_step, but returns when all is decided; other threads then code while the simulation goes on.
  subroutine end_async(self, request, status)
    class(alidade_writer), intent(in) :: self
    integer(int64), intent(out) :: request
    integer, intent(out), optional :: status
    call give(ald_end_async(self%handle, request), status)
  end subroutine

  ! Collective: whether the step of a request is over on all ranks; goes on with it where all are ready.
  logical function test_step(self, request, status) result(done)
    class(alidade_writer), intent(in) :: self
    integer(int64), intent(in) :: request
    integer, intent(out), optional :: status
    integer(c_int32_t) :: over
    over = 0
    call give(ald_test(self%handle, request, over), status)
    done = over /= 0
  end function

  ! Collective: finishes the step of a request.
  subroutine wait_step(self, request, status)
    class(alidade_writer), intent(in) :: self
    integer(int64), intent(in) :: request
    integer, intent(out), optional :: status
    call give(ald_wait(self%handle, request), status)
  end subroutine

  type(alidade_stats) function stats(self, status)
    class(alidade_writer), intent(in) :: self
    integer, intent(out), optional :: status
    stats%size = c_sizeof(stats)
    call give(ald_get_stats(self%handle, stats), status)
  end function

  type(alidade_field_stats) function field_stats(self, field, status)
    class(alidade_writer), intent(in) :: self
    integer, intent(in) :: field
    integer, intent(out), optional :: status
    field_stats%size = c_sizeof(field_stats)
    call give(ald_get_field_stats(self%handle, int(field, c_int32_t), field_stats), status)
  end function

  ! Text of the last status that was not 0.
  function error(self) result(text)
    class(alidade_writer), intent(in) :: self
    character(:), allocatable :: text
    text = fortran_text(ald_last_error(self%handle))
  end function

  ! Collective; before MPI_Finalize.
  subroutine close_writer(self, status)
    class(alidade_writer), intent(inout) :: self
    integer, intent(out), optional :: status
    call give(ald_close(self%handle), status)
  end subroutine

  subroutine give(value, status)
    integer(c_int), intent(in) :: value
    integer, intent(out), optional :: status
    if (present(status)) status = value
  end subroutine

  integer(c_int32_t) function optional_field(field)
    integer, intent(in), optional :: field
    optional_field = -1
    if (present(field)) optional_field = int(field, c_int32_t)
  end function

  pure function c_text(text) result(c)
    character(*), intent(in) :: text
    character(kind=c_char) :: c(len_trim(text) + 1)
    integer :: i
    do i = 1, len_trim(text)
      c(i) = text(i:i)
    end do
    c(len_trim(text) + 1) = c_null_char
  end function

  function fortran_text(c) result(text)
    type(c_ptr), intent(in) :: c
    character(:), allocatable :: text
    character(kind=c_char), pointer :: letters(:)
    integer :: i
    call c_f_pointer(c, letters, [strlen(c)])
    allocate (character(size(letters)) :: text)
    do i = 1, size(letters)
      text(i:i) = letters(i)
    end do
  end function
end module
