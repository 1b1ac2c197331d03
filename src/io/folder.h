/* Folders of ours: what is in them, and taking them away. */
#ifndef IVF_IO_FOLDER_H
#define IVF_IO_FOLDER_H

/* Local. Removes a folder with all that is in it, and a link as a link: what it leads to stays. What is not there is
 * removed already. */
int ivf_folder_remove(const char *path);

/* Local. Makes a folder's entries durable. */
int ivf_folder_sync(const char *path);

/* Local. Calls `visit` with the name of each entry, "." and ".." left out, in no order; ends with its first failure.
 * A folder that is not there has none. */
typedef int ivf_folder_visit(void *arg, const char *name);
int ivf_folder_walk(const char *path, ivf_folder_visit *visit, void *arg);

#endif
