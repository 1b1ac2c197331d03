/* The ranks of a run. Every collective function of the library takes `const ivf_ctx *ctx` first, and only those do. */
#ifndef IVF_COMM_CONTEXT_H
#define IVF_COMM_CONTEXT_H

#include <stdbool.h>
#include <stdint.h>

typedef struct ivf_ctx ivf_ctx;

/* Collective over all ranks. Starts MPI if nobody has (main thread only makes MPI calls), and opens a context over all
 * of its ranks. NULL with a failure recorded. */
ivf_ctx *ivf_ctx_open_world(void);

/* Local. A context of this process alone. Nothing that is done with it calls MPI, so MPI need not run, and threads may
 * have contexts of their own. NULL with a failure recorded. */
ivf_ctx *ivf_ctx_open_self(void);

/* Collective. Closes the context, and ends MPI if this context started it. */
void ivf_ctx_close(ivf_ctx *ctx);

/* Local. */
int ivf_ctx_rank(const ivf_ctx *ctx);
int ivf_ctx_size(const ivf_ctx *ctx);
bool ivf_ctx_is_root(const ivf_ctx *ctx);
const char *ivf_ctx_host(const ivf_ctx *ctx);

/* Collective. Local results meet: every rank returns the code of the lowest rank that failed and holds its record, with
 * rank and host added when there are several ranks. A rank that has none of its own to tell and has been asked to stop
 * (base/stop.h) says so. A reduction of 8 bytes; a broadcast of the record only after a failure. */
int ivf_agree(const ivf_ctx *ctx, int code);

/* Local, does not return. Ends every rank of the run with `code`; for the places from which no agreement can be
 * reached. */
_Noreturn void ivf_ctx_abort(const ivf_ctx *ctx, int code);

#endif
