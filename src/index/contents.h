/* The contents of a fragment's file, dataset by dataset and list by list. For inspect.c. */
#ifndef IVF_INDEX_CONTENTS_H
#define IVF_INDEX_CONTENTS_H

#include "index/inspect.h"

/* Local. As ivf_inspect_fragment, without the file's size and checksum. */
int ivf_contents_inspect(const char *path, const char *what, const ivf_manifest *manifest,
                         const ivf_fragment_record *record, int64_t *list_sizes, ivf_findings *findings);

#endif
