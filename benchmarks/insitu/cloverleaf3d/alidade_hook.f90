! Output of CloverLeaf3D: its `visit`, called every visit_frequency steps, before the first and after the last one. Every tile of this rank is a box;
! velocities stand at nodes, of which neighbours hold a common plane each.
subroutine visit
  use, intrinsic :: iso_fortran_env, only: int64, real64
  use mpi
  use clover_module
  use ideal_gas_module
  use alidade
  implicit none
  character(8), parameter :: names(6) = [character(8) :: 'density', 'energy', 'pressure', 'xvel', 'yvel', 'zvel']
  type(alidade_writer), save :: out
  logical, save :: is_open = .false.
  integer, save :: fields(6), last = -1
  real(real64), save :: since = 0
  type(alidade_stats) :: t
  real(real64) :: start, finish, e, h(3)
  character(256) :: folder, text
  integer :: s, f, a, tile, unit, n(3), lo(3, tiles_per_chunk), hi(3, tiles_per_chunk)
  if (step == last) return  ! the last step, once more
  last = step
  start = MPI_Wtime()
  call get_environment_variable('INSITU_FOLDER', folder)
  do tile = 1, tiles_per_chunk
    call ideal_gas(tile, .false.)
    associate (b => chunk%tiles(tile))
      lo(:, tile) = [b%t_left, b%t_bottom, b%t_back]
      hi(:, tile) = lo(:, tile) + [b%t_xmax, b%t_ymax, b%t_zmax] - 1
    end associate
  end do
  if (.not. is_open) then
    e = 1d-4
    call get_environment_variable('INSITU_BOUND', text, status=s)
    if (s == 0) read (text, *) e
    n = [grid%x_cells, grid%y_cells, grid%z_cells]
    h = [grid%xmax - grid%xmin, grid%ymax - grid%ymin, grid%zmax - grid%zmin] / n
    call out%open(MPI_COMM_WORLD, trim(folder)//'/run.alds', opening=ALIDADE_REPLACE, status=s); call told
    call out%grid(n, [.false., .false., .false.], s); call told
    do a = 1, 3
      call out%coords(a, h(a) / 2, h(a), s); call told
    end do
    call out%set_boxes(lo, hi, s); call told
    do f = 1, 6
      if (f <= 3) then
        fields(f) = out%field(trim(names(f)), alidade_relative(e), status=s); call told
      else
        fields(f) = out%field(trim(names(f)), alidade_relative(e), centring=ALIDADE_NODE, extra=[1, 1, 1], status=s); call told
        call out%set_field_boxes(fields(f), lo, hi + 1, shared=.true., status=s); call told
      end if
    end do
    call out%vector('velocity', fields(4:6), s); call told
    call out%commit(s); call told
    is_open = .true.
  end if
  call out%begin(int(step, int64), time, s); call told
  do tile = 1, tiles_per_chunk
    associate (b => chunk%tiles(tile)%field)
      call out%put(fields(1), b%density0, tile, halo=[2, 2, 2], status=s); call told
      call out%put(fields(2), b%energy0, tile, halo=[2, 2, 2], status=s); call told
      call out%put(fields(3), b%pressure, tile, halo=[2, 2, 2], status=s); call told
      call out%put(fields(4), b%xvel0, tile, halo=[2, 2, 2], status=s); call told
      call out%put(fields(5), b%yvel0, tile, halo=[2, 2, 2], status=s); call told
      call out%put(fields(6), b%zvel0, tile, halo=[2, 2, 2], status=s); call told
    end associate
  end do
  call out%end_step(s); call told
  finish = MPI_Wtime()
  if (parallel%boss .and. s == 0) then
    t = out%stats()
    open (newunit=unit, file=trim(folder)//'/times', position='append')
    write (unit, '(i0, 2es14.6, 3(1x, i0))') step, merge(start - since, 0d0, since > 0), finish - start, t%raw_bytes, t%stored_bytes, t%file_bytes
    close (unit)
  end if
  call get_environment_variable('INSITU_DUMP', text, status=s)
  if (s == 0) then
    do tile = 1, tiles_per_chunk
      associate (b => chunk%tiles(tile)%field)
        call dump(1, b%density0)
        call dump(2, b%energy0)
        call dump(3, b%pressure)
        call dump(4, b%xvel0)
        call dump(5, b%yvel0)
        call dump(6, b%zvel0)
      end associate
    end do
  end if
  since = MPI_Wtime()
  if (complete) call out%close(s)
contains
  subroutine told
    if (s /= 0) write (0, *) 'alidade: ', s, out%error()
  end subroutine
  ! The own points of the array of a tile; of nodes the upper ones too, which the next tile has as well.
  subroutine dump(f, a)
    integer, intent(in) :: f
    real(real64), intent(in) :: a(:, :, :)
    integer :: n(3)
    n = hi(:, tile) - lo(:, tile) + merge(2, 1, f > 3)
    write (text, '(4a, i0, a, i0, a)') trim(folder), '/', trim(names(f)), '.', step, '.', parallel%task * tiles_per_chunk + tile, '.raw'
    open (newunit=unit, file=text, access='stream', form='unformatted', status='replace')
    write (unit) int(lo(:, tile) - 1, int64), int(n, int64), a(3:n(1) + 2, 3:n(2) + 2, 3:n(3) + 2)
    close (unit)
  end subroutine
end subroutine
