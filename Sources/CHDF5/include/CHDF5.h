#pragma once
// HDF5's macros made functions; no logic.
#include <hdf5.h>

static inline hid_t ald_H5T_NATIVE_FLOAT(void) { return H5T_NATIVE_FLOAT; }
static inline hid_t ald_H5T_NATIVE_DOUBLE(void) { return H5T_NATIVE_DOUBLE; }
static inline hid_t ald_H5T_NATIVE_INT64(void) { return H5T_NATIVE_INT64; }
static inline hid_t ald_H5T_NATIVE_INT(void) { return H5T_NATIVE_INT; }
static inline hid_t ald_H5T_STD_U8LE(void) { return H5T_STD_U8LE; }
static inline hid_t ald_H5T_IEEE_F32LE(void) { return H5T_IEEE_F32LE; }
static inline hid_t ald_H5T_IEEE_F32BE(void) { return H5T_IEEE_F32BE; }
static inline hid_t ald_H5T_IEEE_F64LE(void) { return H5T_IEEE_F64LE; }
static inline hid_t ald_H5T_IEEE_F64BE(void) { return H5T_IEEE_F64BE; }
static inline hid_t ald_H5T_STD_REF_OBJ(void) { return H5T_STD_REF_OBJ; }
static inline hid_t ald_H5T_C_S1(void) { return H5T_C_S1; }
static inline size_t ald_H5T_VARIABLE(void) { return H5T_VARIABLE; }

static inline hid_t ald_H5P_FILE_CREATE(void) { return H5P_FILE_CREATE; }
static inline hid_t ald_H5P_FILE_ACCESS(void) { return H5P_FILE_ACCESS; }
static inline hid_t ald_H5P_DATASET_CREATE(void) { return H5P_DATASET_CREATE; }
static inline hid_t ald_H5P_DATASET_ACCESS(void) { return H5P_DATASET_ACCESS; }
static inline hid_t ald_H5P_GROUP_CREATE(void) { return H5P_GROUP_CREATE; }
static inline hid_t ald_H5P_LINK_CREATE(void) { return H5P_LINK_CREATE; }
static inline hid_t ald_H5P_OBJECT_COPY(void) { return H5P_OBJECT_COPY; }

static inline unsigned ald_H5F_ACC_RDONLY(void) { return H5F_ACC_RDONLY; }
static inline unsigned ald_H5F_ACC_RDWR(void) { return H5F_ACC_RDWR; }
static inline unsigned ald_H5F_ACC_TRUNC(void) { return H5F_ACC_TRUNC; }

static inline herr_t ald_silence(void) { return H5Eset_auto2(H5E_DEFAULT, NULL, NULL); }
static inline herr_t ald_libver_latest(hid_t fapl) {
  return H5Pset_libver_bounds(fapl, H5F_LIBVER_LATEST, H5F_LIBVER_LATEST);
}
/// New files that HDF5 1.8 and later can read.
static inline herr_t ald_libver_modern(hid_t fapl) {
  return H5Pset_libver_bounds(fapl, H5F_LIBVER_V18, H5F_LIBVER_LATEST);
}
/// H5Oget_info2 with the basic facts only: which file, which address, what kind, how many attributes.
static inline herr_t ald_object_info(hid_t object, unsigned long *file, haddr_t *address, int *kind, hsize_t *attributes) {
  H5O_info_t info;
  herr_t rc = H5Oget_info2(object, &info, H5O_INFO_BASIC | H5O_INFO_NUM_ATTRS);
  if (rc < 0) return rc;
  *file = info.fileno; *address = info.addr; *kind = (int)info.type; *attributes = info.num_attrs;
  return rc;
}
/// H5Lget_info: the kind of a link and the size of a soft or external link's value.
static inline herr_t ald_link_info(hid_t group, const char *name, int *kind, size_t *size) {
  H5L_info_t info;
  herr_t rc = H5Lget_info(group, name, &info, H5P_DEFAULT);
  if (rc < 0) return rc;
  *kind = (int)info.type; *size = info.type == H5L_TYPE_HARD ? 0 : info.u.val_size;
  return rc;
}
