# find_package(Alidade) gives the targets Alidade::alidade (C, C++) and, where the Fortran module was built, Alidade::fortran.
get_filename_component(_alidade_prefix "${CMAKE_CURRENT_LIST_DIR}/../../.." ABSOLUTE)
include(CMakeFindDependencyMacro)
find_dependency(MPI COMPONENTS C)
if(NOT TARGET Alidade::alidade)
  add_library(Alidade::alidade SHARED IMPORTED)
  set_target_properties(Alidade::alidade PROPERTIES
    IMPORTED_LOCATION "${_alidade_prefix}/lib/libalidade.so.0"
    IMPORTED_SONAME "libalidade.so.0"
    INTERFACE_INCLUDE_DIRECTORIES "${_alidade_prefix}/include"
    INTERFACE_LINK_LIBRARIES MPI::MPI_C)
  if(EXISTS "${_alidade_prefix}/lib/libalidade_fortran.a")
    add_library(Alidade::fortran STATIC IMPORTED)
    set_target_properties(Alidade::fortran PROPERTIES
      IMPORTED_LOCATION "${_alidade_prefix}/lib/libalidade_fortran.a"
      INTERFACE_INCLUDE_DIRECTORIES "${_alidade_prefix}/include"
      INTERFACE_LINK_LIBRARIES Alidade::alidade)
  endif()
endif()
