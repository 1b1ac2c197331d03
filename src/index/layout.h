/* The names of an index's files. FORMAT.md describes them. */
#ifndef IVF_INDEX_LAYOUT_H
#define IVF_INDEX_LAYOUT_H

#include <stdint.h>

#include "io/publish.h"

enum { IVF_ID_BYTES = 40 }; /* of a model's, fragment's or build's id, with its end */

/* Local. Paths below the index folder into path[IVF_PATH_BYTES]; MPIVF_USAGE when that is too short. */
int ivf_layout_manifests(const char *index, char *path);
int ivf_layout_manifest(const char *index, int64_t version, char *path);
int ivf_layout_models(const char *index, char *path);
int ivf_layout_model(const char *index, const char *id, char *path);
int ivf_layout_fragments(const char *index, char *path);
int ivf_layout_fragment(const char *index, const char *id, char *path);
int ivf_layout_building(const char *index, char *path);

/* Local. The folder of one unfinished build, and a file or folder in it. */
int ivf_layout_build(const char *index, const char *build_id, char *path);
int ivf_layout_build_file(const char *index, const char *build_id, const char *name, char *path);

#endif
