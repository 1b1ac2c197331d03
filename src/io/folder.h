/* Folders of ours: what is in them, and taking them away. */
#ifndef IVF_IO_FOLDER_H
#define IVF_IO_FOLDER_H

/* Local. Removes a folder with all that is in it, and a link as a link: what it leads to stays. What is not there is
 * removed already. */
int ivf_folder_remove(const char *path);

#endif
