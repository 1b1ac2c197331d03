/* Marks what the shared library shows. */
#ifndef MPIVF_EXPORT_H
#define MPIVF_EXPORT_H

#define MPIVF_API __attribute__((visibility("default")))

#endif
