/* The index factory string of FAISS, as far as mpivf builds what it names: "IVF1024,PQ32", "IVF,SQ8", "IVF256,Flat",
 * "IVF1024,SQfp16", "IVF1024,PQ16x4", "IVF1024,PQ16x4fs", "OPQ32,IVF1024,PQ32", "OPQ32_64,IVF1024,PQ32". Grammar: FAISS
 * wiki, "The index factory". */
#ifndef IVF_CODEC_FACTORY_H
#define IVF_CODEC_FACTORY_H

#include <stdint.h>

#include "codec/codec.h"

typedef struct {
    int opq_m;     /* OPQ: sub-vectors that the rotation serves; 0: no rotation */
    int opq_d;     /* OPQ: values of a rotated row; 0: as many as before */
    int32_t nlist; /* 0: to be chosen from the number of rows */
    ivf_codec_spec codec;
} ivf_factory;

/* Local. Values of a row of d as lists and codec see it. */
static inline int ivf_factory_rotated(const ivf_factory *factory, int d)
{
    return factory->opq_d > 0 ? factory->opq_d : d;
}

/* Local. MPIVF_USAGE when the string is not understood, or names a part of FAISS's grammar that mpivf does not build
 * (says which part). */
int ivf_factory_parse(const char *text, ivf_factory *factory);

/* Local. The canonical string into text[64]. */
void ivf_factory_text(const ivf_factory *factory, char text[64]);

#endif
