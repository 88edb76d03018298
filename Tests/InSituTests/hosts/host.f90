! A Fortran program with pencils along x, halos of one cell, and sections for arrays without.
program host
  use, intrinsic :: iso_fortran_env, only: int64, real32, real64
  use mpi_f08
  use alidade
  implicit none
  integer, parameter :: n(3) = [36, 33, 40], steps = 3
  type(alidade_writer) :: out
  integer :: rank, ranks, rows, me(2), lo(3), hi(3), up(3), f(4), s, c, step, i, j, k
  real(real64), allocatable :: u(:, :, :)
  real(real32), allocatable :: p(:, :, :, :)
  character(256) :: path, mode
  integer(int64) :: request
  logical :: async, over
  character(:), allocatable :: before
  type(MPI_Errhandler) :: handler, after

  call MPI_Init()
  call MPI_Comm_rank(MPI_COMM_WORLD, rank)
  call MPI_Comm_size(MPI_COMM_WORLD, ranks)
  call get_command_argument(1, path)
  call get_command_argument(2, mode)
  async = mode == 'async'
  rows = merge(2, 1, mod(ranks, 2) == 0)
  me = [mod(rank, rows), rank / rows]
  lo = [1, n(2) * me(1) / rows + 1, n(3) * me(2) / (ranks / rows) + 1]
  hi = [n(1), n(2) * (me(1) + 1) / rows, n(3) * (me(2) + 1) / (ranks / rows)]
  up = hi + merge(1, 0, hi == n)

  before = process_state()
  call MPI_Comm_get_errhandler(MPI_COMM_WORLD, handler)
  call out%open(MPI_COMM_WORLD, trim(path), opening=ALIDADE_REPLACE, key_interval=3, pressure=ALIDADE_WAIT, status=s)
  call must
  call out%grid(n, [.false., .true., .true.], s); call must
  call out%coords(1, 0d0, 0.25d0, s); call must
  call out%set_boxes(lo, hi, s); call must
  f(1) = out%field('u', alidade_absolute(0.01d0), units='m/s', status=s); call must
  f(2) = out%field('v', alidade_absolute(0.01d0), units='m/s', status=s); call must
  f(3) = out%field('w', alidade_absolute(0.01d0), units='m/s', status=s); call must
  f(4) = out%field('p', kind=real32, centring=ALIDADE_NODE, extra=[1, 1, 1], status=s); call must
  call out%vector('velocity', f(1:3), s); call must
  call out%attribute('title', 'hosts', status=s); call must
  call out%attribute('Re', 1600d0, status=s); call must
  call out%commit(s); call must

  allocate (u(0:n(1) + 1, lo(2) - 1:hi(2) + 1, lo(3) - 1:hi(3) + 1))
  allocate (p(2, 1:up(1), lo(2):up(2), lo(3):up(3)))
  do step = 0, steps - 1
    call out%begin(int(10 * step, int64), 0.5d0 * step, s); call must
    do c = 0, 2
      u = 2d0**1000
      do concurrent(k=lo(3):hi(3), j=lo(2):hi(2), i=1:n(1))
        u(i, j, k) = flow(c, step, k - 1, j - 1, i - 1)
      end do
      if (c == 0) then
        call out%put(f(1), u, halo=[1, 1, 1], status=s)
      else
        call out%put(f(c + 1), u(1:n(1), lo(2):hi(2), lo(3):hi(3)), status=s)
      end if
      call must
    end do
    do concurrent(k=lo(3):up(3), j=lo(2):up(2), i=1:up(1))
      p(1, i, j, k) = 0
      p(2, i, j, k) = real(scaled(3, step, k - 1, j - 1, i - 1), real32)
    end do
    call out%put(f(4), p(2, :, :, :), status=s); call must
    if (async) then
      call out%end_async(request, s); call must
      over = out%test(request, s); call must
      if (step == 1) call out%wait(request, s); call must
    else
      call out%end_step(s); call must
    end if
  end do
  call out%close(s); call must
  call MPI_Comm_get_errhandler(MPI_COMM_WORLD, after)
  if (after /= handler .or. process_state() /= before) then
    write (*, *) 'signals, threads or the error handler were changed: ', before, process_state()
    call MPI_Abort(MPI_COMM_WORLD, 1)
  end if
  call MPI_Finalize()

contains
  pure real(real64) function scaled(field, step, k, j, i)
    integer, intent(in) :: field, step, k, j, i
    scaled = ((i - 20) * (j - 9) + (k - 5) * (i + 3 * j) + 17 * step + field * k * k) / 64d0
  end function
  ! Waves that travel, in the order of sums and products of common.h.
  pure real(real64) function flow(field, step, k, j, i)
    integer, intent(in) :: field, step, k, j, i
    integer :: m
    real(real64) :: x
    flow = 0
    do m = 1, 12
      x = real((mod(7 * m, 11) - 5) * i, real64) / n(1) + real((mod(5 * m, 13) - 6) * j, real64) / n(2) &
        + real((mod(3 * m, 7) - 3) * k, real64) / n(3) + 0.01d0 * step * mod(m, 3) + 0.37d0 * m + 0.21d0 * field
      x = x - floor(x)
      flow = flow + x * (1 - x) * (1 - 2 * x)
    end do
  end function
  ! Signals caught, ignored and blocked, and the number of threads.
  function process_state() result(text)
    character(:), allocatable :: text
    character(256) :: line
    integer :: unit, status
    text = ''
    open (newunit=unit, file='/proc/self/status', action='read')
    do
      read (unit, '(a)', iostat=status) line
      if (status /= 0) exit
      if (any(line(1:4) == ['SigB', 'SigI', 'SigC', 'Thre'])) text = text//trim(line)//' '
    end do
    close (unit)
  end function
  subroutine must
    if (s /= 0) then
      write (*, *) 'status', s, out%error()
      call MPI_Abort(MPI_COMM_WORLD, 1)
    end if
  end subroutine
end program
