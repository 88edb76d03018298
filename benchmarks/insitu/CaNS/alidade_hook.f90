! Output of CaNS: called from out3d.h90 with the solver's arrays, halos and all.
module mod_alidade_hook
  use, intrinsic :: iso_fortran_env, only: int64, real64
  use mpi
  use alidade
  implicit none
  private
  public :: alidade_output, alidade_end
  type(alidade_writer) :: out
  integer :: fields(4), s
  logical :: is_open = .false.
  real(real64) :: since = 0
contains
  subroutine alidade_output(ng, lo, hi, nh, l, periodic, istep, time, u, v, w, p)
    integer, intent(in) :: ng(3), lo(3), hi(3), nh, istep
    real(real64), intent(in) :: l(3), time
    logical, intent(in) :: periodic(3)
    real(real64), intent(in) :: u(:, :, :), v(:, :, :), w(:, :, :), p(:, :, :)
    type(alidade_bound) :: bound
    type(alidade_stats) :: t
    real(real64) :: start, finish, h(3), e
    character(256) :: folder, text
    integer :: unit, rank, ierr, a
    start = MPI_Wtime()
    call get_environment_variable('INSITU_FOLDER', folder)
    if (.not. is_open) then
      e = 1d-4
      call get_environment_variable('INSITU_BOUND', text, status=s)
      if (s == 0) read (text, *) e
      bound = alidade_relative(e)
      h = l / ng
      call out%open(MPI_COMM_WORLD, trim(folder)//'/run.alds', opening=ALIDADE_REPLACE, status=s); call told
      call out%grid(ng, periodic, s); call told
      do a = 1, 3
        call out%coords(a, h(a) / 2, h(a), s); call told
      end do
      call out%set_boxes(lo, hi, s); call told
      fields(1) = out%field('u', bound, centring=ALIDADE_FACE_X, status=s); call told
      fields(2) = out%field('v', bound, centring=ALIDADE_FACE_Y, status=s); call told
      fields(3) = out%field('w', bound, centring=ALIDADE_FACE_Z, status=s); call told
      fields(4) = out%field('p', bound, centring=ALIDADE_CELL, status=s); call told
      call out%vector('velocity', fields(1:3), s); call told
      call out%commit(s); call told
      is_open = .true.
    end if
    call out%begin(int(istep, int64), time, s); call told
    call out%put(fields(1), u, halo=[nh, nh, nh], status=s); call told
    call out%put(fields(2), v, halo=[nh, nh, nh], status=s); call told
    call out%put(fields(3), w, halo=[nh, nh, nh], status=s); call told
    call out%put(fields(4), p, halo=[nh, nh, nh], status=s); call told
    call out%end_step(s); call told
    finish = MPI_Wtime()
    call MPI_Comm_rank(MPI_COMM_WORLD, rank, ierr)
    if (rank == 0 .and. s == 0) then
      t = out%stats()
      open (newunit=unit, file=trim(folder)//'/times', position='append')
      write (unit, '(i0, 2es14.6, 3(1x, i0))') istep, merge(start - since, 0d0, since > 0), finish - start, t%raw_bytes, t%stored_bytes, t%file_bytes
      close (unit)
    end if
    call get_environment_variable('INSITU_DUMP', text, status=s)
    if (s == 0) then
      call dump('u', u)
      call dump('v', v)
      call dump('w', w)
      call dump('p', p)
    end if
    since = MPI_Wtime()
  contains
    subroutine told
      if (s /= 0) write (0, *) 'alidade: ', s, out%error()
    end subroutine
    subroutine dump(name, a)
      character(*), intent(in) :: name
      real(real64), intent(in) :: a(:, :, :)
      write (text, '(4a, i0, a, i0, a)') trim(folder), '/', name, '.', istep, '.', rank, '.raw'
      open (newunit=unit, file=text, access='stream', form='unformatted', status='replace')
      write (unit) int(lo - 1, int64), int(hi - lo + 1, int64), a(nh + 1:nh + hi(1) - lo(1) + 1, nh + 1:nh + hi(2) - lo(2) + 1, nh + 1:nh + hi(3) - lo(3) + 1)
      close (unit)
    end subroutine
  end subroutine
  subroutine alidade_end
    if (is_open) call out%close(s)
  end subroutine
end module
