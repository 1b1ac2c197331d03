/* Makes chosen file operations of a program fail, fall short, take long, wait, or kill it: a library put before the C
 * library with LD_PRELOAD. Nothing but the variables below tells the program that it is there.
 *
 *     FAILIO=OP,PATH,N,ACTION[,RANK][;...]
 *         OP      open write sync rename link unlink mkdir rmdir truncate read, or `any` of them but read and those
 *                 opens that can neither create nor empty the file
 *         PATH    a part of the file's path
 *         N       the call that is hit, counted from 1 in this process among those that match; N+: also all later ones
 *         ACTION  one of these:
 *                 an error: EACCES EDQUOT EINTR EIO EMFILE ENOENT ENOSPC EROFS ESTALE
 *                 short: half is written or read
 *                 kill, killafter: SIGKILL before or after the call
 *                 wait: until the file FAILIO_GATE is there
 *                 NNN: so many milliseconds pass first
 *                 skip: nothing is done, and that reported as done (not for open, write, read)
 *         RANK    of the ranks of an MPI job only this one
 *     FAILIO_LOG=FILE    gets a line for each call that a rule matches, with "hit" at its end where the rule acts:
 *                        RANK COUNT OP PATH [hit]. A run with N = 0 so counts the places where faults can be planted.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

typedef enum { OPEN, WRITE, SYNC, RENAME, LINK, UNLINK, MKDIR, RMDIR, TRUNCATE, READ, OPS, ANY } operation;
static const char *const operation_names[OPS] = {"open",   "write", "sync",  "rename",   "link",
                                                 "unlink", "mkdir", "rmdir", "truncate", "read"};

typedef enum { FAIL, SHORT, KILL, KILL_AFTER, WAIT, SKIP, DELAY } action;

typedef struct {
    operation op;
    char path[256];
    long first;
    bool onward;
    action act;
    long value; /* the errno, or milliseconds */
    long rank;  /* -1: any */
    atomic_long seen;
} rule;

static const struct {
    const char *name;
    int value;
} errors[] = {{"EACCES", EACCES}, {"EDQUOT", EDQUOT}, {"EINTR", EINTR}, {"EIO", EIO},      {"EMFILE", EMFILE},
              {"ENOENT", ENOENT}, {"ENOSPC", ENOSPC}, {"EROFS", EROFS}, {"ESTALE", ESTALE}};

enum { RULES = 8, EXIT_MISUSED = 99 };
static rule rules[RULES];
static int rule_count;
static long this_rank = -1;
static const char *log_path;
static const char *gate_path;

static void misused(const char *what)
{
    (void)dprintf(STDERR_FILENO, "failio: %s\n", what);
    _exit(EXIT_MISUSED);
}

static operation read_operation(const char *text)
{
    if (strcmp(text, "any") == 0)
        return ANY;
    for (operation op = OPEN; op < OPS; op++)
        if (strcmp(text, operation_names[op]) == 0)
            return op;
    misused("unknown operation");
    return ANY;
}

static void read_action(const char *text, rule *r)
{
    static const char *const names[] = {
        [SHORT] = "short", [KILL] = "kill", [KILL_AFTER] = "killafter", [WAIT] = "wait", [SKIP] = "skip"};
    for (action a = SHORT; a <= SKIP; a++) {
        if (strcmp(text, names[a]) == 0) {
            r->act = a;
            return;
        }
    }
    for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++) {
        if (strcmp(text, errors[i].name) == 0) {
            r->act = FAIL;
            r->value = errors[i].value;
            return;
        }
    }
    char *end = NULL;
    r->act = DELAY;
    r->value = strtol(text, &end, 10);
    if (end == text || *end != '\0')
        misused("unknown action");
}

static void read_rule(char *text, rule *r)
{
    char *op = strsep(&text, ",");
    char *path = strsep(&text, ",");
    char *first = strsep(&text, ",");
    char *act = strsep(&text, ",");
    char *rank = strsep(&text, ",");
    char *end = NULL;
    if (act == NULL)
        misused("a rule is OP,PATH,N,ACTION[,RANK]");
    r->op = read_operation(op);
    (void)snprintf(r->path, sizeof r->path, "%s", path);
    r->first = strtol(first, &end, 10);
    r->onward = *end == '+';
    r->rank = rank == NULL ? -1 : strtol(rank, NULL, 10);
    read_action(act, r);
    if (r->act == SKIP && (r->op == OPEN || r->op == WRITE || r->op == READ || r->op == ANY))
        misused("skip is not for this operation");
}

__attribute__((constructor)) static void read_rules(void)
{
    const char *rank = getenv("OMPI_COMM_WORLD_RANK");
    if (rank == NULL)
        rank = getenv("PMIX_RANK");
    if (rank != NULL)
        this_rank = strtol(rank, NULL, 10);
    log_path = getenv("FAILIO_LOG");
    gate_path = getenv("FAILIO_GATE");
    const char *given = getenv("FAILIO");
    static char text[4096];
    char *rest = text;
    (void)snprintf(text, sizeof text, "%s", given == NULL ? "" : given);
    for (char *one = strsep(&rest, ";"); one != NULL; one = strsep(&rest, ";")) {
        if (*one == '\0')
            continue;
        if (rule_count == RULES)
            misused("too many rules");
        read_rule(one, &rules[rule_count++]);
    }
}

/* Past the wrappers below: system calls. */
static void note(long count, operation op, const char *path, bool hit)
{
    char line[PATH_MAX + 64];
    int length = snprintf(line, sizeof line, "%ld %ld %s %s%s\n", this_rank, count, operation_names[op], path,
                          hit ? " hit" : "");
    long file = syscall(SYS_openat, AT_FDCWD, log_path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
    if (file < 0 || length < 0)
        misused("cannot write the log");
    (void)syscall(SYS_write, file, line, (size_t)length);
    (void)syscall(SYS_close, file);
}

static _Noreturn void die(void)
{
    (void)kill(getpid(), SIGKILL);
    for (;;)
        (void)pause();
}

static void pass(long milliseconds)
{
    const struct timespec time = {milliseconds / 1000, milliseconds % 1000 * 1000000};
    (void)nanosleep(&time, NULL);
}

static bool matches(const rule *r, operation op, const char *path, bool changes)
{
    return (r->op == op || (r->op == ANY && changes)) && (r->rank < 0 || r->rank == this_rank) &&
           strstr(path, r->path) != NULL;
}

/* What is to become of a call; NULL: nothing. Does not come back from a kill. */
static const rule *judge(operation op, const char *path, bool changes)
{
    const rule *hit = NULL;
    for (int i = 0; path != NULL && i < rule_count; i++) {
        rule *r = &rules[i];
        if (!matches(r, op, path, changes))
            continue;
        long count = atomic_fetch_add(&r->seen, 1) + 1;
        bool acts = count == r->first || (r->onward && count > r->first);
        if (log_path != NULL)
            note(count, op, path, acts);
        if (acts)
            hit = r;
    }
    if (hit == NULL)
        return NULL;
    if (hit->act == KILL)
        die();
    if (hit->act == DELAY)
        pass(hit->value);
    while (hit->act == WAIT && gate_path != NULL && access(gate_path, F_OK) != 0)
        pass(10);
    return hit;
}

static const rule *judge_file(operation op, int fd)
{
    char link[32];
    char path[PATH_MAX];
    if (rule_count == 0)
        return NULL;
    int wrong = errno;
    (void)snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    errno = wrong;
    if (length < 0)
        return NULL;
    path[length] = '\0';
    return judge(op, path, op != READ);
}

static bool fails(const rule *r)
{
    if (r == NULL || r->act != FAIL)
        return false;
    errno = (int)r->value;
    return true;
}

static bool skips(const rule *r)
{
    return r != NULL && r->act == SKIP;
}

static size_t shortened(const rule *r, size_t bytes)
{
    return r != NULL && r->act == SHORT && bytes > 1 ? bytes / 2 : bytes;
}

static int shortened_count(const rule *r, int pieces)
{
    return r != NULL && r->act == SHORT && pieces > 1 ? pieces / 2 : pieces;
}

static void after(const rule *r)
{
    if (r != NULL && r->act == KILL_AFTER)
        die();
}

static void find(void *function, const char *name)
{
    void *found = dlsym(RTLD_NEXT, name);
    if (found == NULL)
        misused(name);
    memcpy(function, &found, sizeof found);
}

/* A wrapper: the C library's function of that name behind the judgement JUDGE, called with ARGUMENTS. */
#define WRAP(TYPE, NAME, PARAMETERS, JUDGE, ...)                                                                       \
    TYPE NAME PARAMETERS                                                                                               \
    {                                                                                                                  \
        static __typeof__(NAME) *real;                                                                                 \
        if (real == NULL)                                                                                              \
            find(&real, #NAME);                                                                                        \
        const rule *r = JUDGE;                                                                                         \
        if (fails(r))                                                                                                  \
            return -1;                                                                                                 \
        if (skips(r))                                                                                                  \
            return 0;                                                                                                  \
        TYPE outcome = real(__VA_ARGS__);                                                                              \
        after(r);                                                                                                      \
        return outcome;                                                                                                \
    }

/* The same for a function that returns its error. */
#define WRAP_RETURNING(NAME, PARAMETERS, JUDGE, ...)                                                                   \
    int NAME PARAMETERS                                                                                                \
    {                                                                                                                  \
        static __typeof__(NAME) *real;                                                                                 \
        if (real == NULL)                                                                                              \
            find(&real, #NAME);                                                                                        \
        const rule *r = JUDGE;                                                                                         \
        if (fails(r))                                                                                                  \
            return errno;                                                                                              \
        if (skips(r))                                                                                                  \
            return 0;                                                                                                  \
        int outcome = real(__VA_ARGS__);                                                                               \
        after(r);                                                                                                      \
        return outcome;                                                                                                \
    }

static bool may_make(int flags)
{
    return (flags & (O_CREAT | O_TRUNC)) != 0;
}

/* open(2) takes a mode only where it may create. */
#define WRAP_OPEN(NAME, PARAMETERS, ...)                                                                               \
    int NAME PARAMETERS                                                                                                \
    {                                                                                                                  \
        static __typeof__(NAME) *real;                                                                                 \
        mode_t mode = 0;                                                                                               \
        if (real == NULL)                                                                                              \
            find(&real, #NAME);                                                                                        \
        if ((flags & (O_CREAT | O_TMPFILE)) != 0) {                                                                    \
            va_list more;                                                                                              \
            va_start(more, flags);                                                                                     \
            mode = va_arg(more, mode_t);                                                                               \
            va_end(more);                                                                                              \
        }                                                                                                              \
        const rule *r = judge(OPEN, path, may_make(flags));                                                            \
        if (fails(r))                                                                                                  \
            return -1;                                                                                                 \
        int outcome = real(__VA_ARGS__, flags, mode);                                                                  \
        after(r);                                                                                                      \
        return outcome;                                                                                                \
    }

WRAP_OPEN(open, (const char *path, int flags, ...), path)
WRAP_OPEN(open64, (const char *path, int flags, ...), path)
WRAP_OPEN(openat, (int folder, const char *path, int flags, ...), folder, path)
WRAP_OPEN(openat64, (int folder, const char *path, int flags, ...), folder, path)

WRAP(ssize_t, write, (int fd, const void *from, size_t n), judge_file(WRITE, fd), fd, from, shortened(r, n))
WRAP(ssize_t, pwrite, (int fd, const void *from, size_t n, off_t at), judge_file(WRITE, fd), fd, from, shortened(r, n),
     at)
WRAP(ssize_t, pwrite64, (int fd, const void *from, size_t n, off64_t at), judge_file(WRITE, fd), fd, from,
     shortened(r, n), at)
WRAP(ssize_t, writev, (int fd, const struct iovec *from, int n), judge_file(WRITE, fd), fd, from, shortened_count(r, n))
WRAP(ssize_t, pwritev, (int fd, const struct iovec *from, int n, off_t at), judge_file(WRITE, fd), fd, from,
     shortened_count(r, n), at)
WRAP(ssize_t, pwritev64, (int fd, const struct iovec *from, int n, off64_t at), judge_file(WRITE, fd), fd, from,
     shortened_count(r, n), at)

WRAP(ssize_t, read, (int fd, void *to, size_t n), judge_file(READ, fd), fd, to, shortened(r, n))
WRAP(ssize_t, pread, (int fd, void *to, size_t n, off_t at), judge_file(READ, fd), fd, to, shortened(r, n), at)
WRAP(ssize_t, pread64, (int fd, void *to, size_t n, off64_t at), judge_file(READ, fd), fd, to, shortened(r, n), at)

WRAP(int, fsync, (int fd), judge_file(SYNC, fd), fd)
WRAP(int, fdatasync, (int fd), judge_file(SYNC, fd), fd)

WRAP(int, rename, (const char *from, const char *to), judge(RENAME, to, true), from, to)
WRAP(int, renameat, (int from_folder, const char *from, int to_folder, const char *to), judge(RENAME, to, true),
     from_folder, from, to_folder, to)
WRAP(int, renameat2, (int from_folder, const char *from, int to_folder, const char *to, unsigned flags),
     judge(RENAME, to, true), from_folder, from, to_folder, to, flags)
WRAP(int, link, (const char *from, const char *to), judge(LINK, to, true), from, to)
WRAP(int, linkat, (int from_folder, const char *from, int to_folder, const char *to, int flags), judge(LINK, to, true),
     from_folder, from, to_folder, to, flags)
WRAP(int, unlink, (const char *path), judge(UNLINK, path, true), path)
WRAP(int, unlinkat, (int folder, const char *path, int flags), judge(UNLINK, path, true), folder, path, flags)
WRAP(int, mkdir, (const char *path, mode_t mode), judge(MKDIR, path, true), path, mode)
WRAP(int, mkdirat, (int folder, const char *path, mode_t mode), judge(MKDIR, path, true), folder, path, mode)
WRAP(int, rmdir, (const char *path), judge(RMDIR, path, true), path)

WRAP(int, truncate, (const char *path, off_t bytes), judge(TRUNCATE, path, true), path, bytes)
WRAP(int, truncate64, (const char *path, off64_t bytes), judge(TRUNCATE, path, true), path, bytes)
WRAP(int, ftruncate, (int fd, off_t bytes), judge_file(TRUNCATE, fd), fd, bytes)
WRAP(int, ftruncate64, (int fd, off64_t bytes), judge_file(TRUNCATE, fd), fd, bytes)
WRAP(int, fallocate, (int fd, int mode, off_t at, off_t bytes), judge_file(TRUNCATE, fd), fd, mode, at, bytes)
WRAP(int, fallocate64, (int fd, int mode, off64_t at, off64_t bytes), judge_file(TRUNCATE, fd), fd, mode, at, bytes)
WRAP_RETURNING(posix_fallocate, (int fd, off_t at, off_t bytes), judge_file(TRUNCATE, fd), fd, at, bytes)
WRAP_RETURNING(posix_fallocate64, (int fd, off64_t at, off64_t bytes), judge_file(TRUNCATE, fd), fd, at, bytes)
