/* The names in FAISS's files (faiss/impl/index_write.cpp) that mpivf meets but does not read, so that they are refused
 * by what they stand for. */
#include <inttypes.h>
#include <string.h>

#include "base/error.h"
#include "interop/faiss_internal.h"

static const struct {
    const char *name; /* of four characters */
    const char *what;
    const char *remedy; /* NULL: none */
} foreign[] = {
    {"IxF2", "a flat index without lists", NULL},
    {"IxFI", "a flat index without lists", NULL},
    {"IxFl", "a flat index without lists", NULL},
    {"IxPq", "a product quantizer without lists", NULL},
    {"IxPo", "a product quantizer without lists", NULL},
    {"IxSQ", "a scalar quantizer without lists", NULL},
    {"IHNf", "a graph without lists (HNSW)", NULL},
    {"IHNp", "a graph without lists (HNSW)", NULL},
    {"IHNs", "a graph without lists (HNSW)", NULL},
    {"IHN2", "a graph without lists (HNSW)", NULL},
    {"INSf", "a graph without lists (NSG)", NULL},
    {"IxMp", "a map of ids around the index (IndexIDMap)", "give the ids to the IVF index itself"},
    {"IxM2", "a map of ids around the index (IndexIDMap2)", "give the ids to the IVF index itself"},
    {"IxRF", "a second index to refine the results (IndexRefine)", "import its base_index"},
    {"IwPf", "codes in fast-scan blocks (IndexIVFPQFastScan)", "train and write an IndexIVFPQ"},
    {"IwQR", "a product quantizer with a second one to refine it (IndexIVFPQR)", NULL},
    {"Iwrq", "a binary quantizer (RaBitQ)", NULL},
    {"Iwrr", "a binary quantizer (RaBitQ)", NULL},
    {"IwSh", "spectral hashing", NULL},
    {"IwLS", "an additive quantizer", NULL},
    {"IwRQ", "an additive quantizer", NULL},
    {"IwIQ", "lists that are indexes themselves", NULL},
    {"IxHe", "hashing without lists (LSH)", NULL},
    {"IBwF", "an index of binary vectors", NULL},
    {"IBxF", "an index of binary vectors", NULL},
    {"IvFL", "an index of an old FAISS", "read and write it with a newer one"},
    {"IvPQ", "an index of an old FAISS", "read and write it with a newer one"},
    {"IvSQ", "an index of an old FAISS", "read and write it with a newer one"},
    {"ilbl", "lists in fast-scan blocks", NULL},
    {"il00", "no lists: they were written apart from the index", NULL},
    {"Imiq", "an inverted multi-index over the lists", NULL},
    {"Pcam", "a projection (PCA) before the index", NULL},
    {"VNrm", "a normalisation before the index", "scale the rows, and import the IVF index inside it"},
    {"VCnt", "a centring before the index", NULL},
    {"RmDT", "a choice of dimensions before the index", NULL},
    {"HRot", "a Hadamard rotation before the index", NULL},
    {"Viqm", "a rotation with a centring before the index (ITQ)", NULL},
};

int ivf_faiss_refuse_name(const ivf_cursor *c, uint32_t name, const char *expected)
{
    char text[5] = {0};
    for (size_t i = 0; i < sizeof foreign / sizeof foreign[0]; i++)
        if (ivf_faiss_name(foreign[i].name) == name)
            return ivf_fail(MPIVF_BAD_INPUT, "input %s holds %s, which mpivf does not%s%s", c->file->path,
                            foreign[i].what, foreign[i].remedy != NULL ? "; " : "",
                            foreign[i].remedy != NULL ? foreign[i].remedy : "");
    for (int i = 0; i < 4; i++) {
        const uint32_t letter = name >> 8 * i & 0xFF;
        text[i] = '?';
        if (letter >= ' ' && letter <= '~')
            memcpy(text + i, &(uint8_t){(uint8_t)letter}, 1);
    }
    return ivf_fail(MPIVF_BAD_INPUT,
                    "input %s: at byte %" PRId64 " '%s' is no %s that mpivf knows; either the file is damaged, or "
                    "FAISS keeps something there that mpivf does not hold",
                    c->file->path, c->at - 4, text, expected);
}
