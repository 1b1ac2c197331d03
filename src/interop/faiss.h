/* What FAISS's files are made of (faiss/impl/index_write.cpp): names of four characters, numbers as they lie in memory
 * (little-endian), arrays as a 64-bit count and the elements, nothing aligned. */
#ifndef IVF_INTEROP_FAISS_H
#define IVF_INTEROP_FAISS_H

#include <stdint.h>

/* Four characters as the number that FAISS stores. */
#define IVF_FOURCC(a, b, c, d)                                                                                         \
    ((uint32_t)(uint8_t)(a) | (uint32_t)(uint8_t)(b) << 8 | (uint32_t)(uint8_t)(c) << 16 | (uint32_t)(uint8_t)(d) << 24)

enum { IVF_FAISS_IP = 0, IVF_FAISS_L2 = 1 }; /* MetricType */

enum { IVF_FAISS_DUMMY = 1 << 20 }; /* what headers hold where once something stood */

/* ScalarQuantizer::QuantizerType */
enum {
    IVF_FAISS_SQ8 = 0,
    IVF_FAISS_SQ4 = 1,
    IVF_FAISS_SQ8_UNIFORM = 2,
    IVF_FAISS_SQ4_UNIFORM = 3,
    IVF_FAISS_FP16 = 4,
    IVF_FAISS_SQ8_DIRECT = 5,
    IVF_FAISS_SQ6 = 6,
    IVF_FAISS_BF16 = 7,
    IVF_FAISS_SQ8_DIRECT_SIGNED = 8
};

/* An entry of on-disk lists (OnDiskOneList). */
typedef struct {
    uint64_t size, capacity, offset;
} ivf_faiss_disk_list;

#endif
