/* The folders of an index (FORMAT.md), for those who make new versions. */
#ifndef IVF_INDEX_FOLDERS_H
#define IVF_INDEX_FOLDERS_H

/* Local. MPIVF_CONFLICT when the folder is there and holds other things than an index. */
int ivf_folders_refuse_foreign(const char *index);

/* Local. Makes those that are not there. */
int ivf_folders_make(const char *index);

/* Local. What a manifest will name is durable, and so are the folders that lead to it, whoever made them. */
int ivf_folders_sync(const char *index);

/* Local. Removes those that are empty, unless a build that is unfinished counts on them. */
void ivf_folders_remove_empty(const char *index);

#endif
