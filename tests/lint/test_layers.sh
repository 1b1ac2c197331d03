#!/usr/bin/env bash
# The layering of src/: which module may include which, and which one alone may call what. Nothing else keeps it.
# Before the sources are judged, planted violations are: a lint that passes them has broken.
set -euo pipefail
support=$MPIVF_SOURCE/tests/support

# module: the modules it may include. A file in place of a module: that header alone.
allowed() {
    case $1 in
    base) echo "" ;;
    comm) echo "base" ;;
    math) echo "base" ;;
    io) echo "comm math/convert.h math/pack.h base" ;;
    cluster) echo "math comm base" ;;
    codec) echo "cluster math comm base" ;;
    index) echo "codec cluster math io comm base" ;;
    build | search | interop) echo "index codec cluster math io comm base" ;;
    api) echo "search index codec comm base" ;;
    cli) echo "build search interop index codec cluster math io comm base" ;;
    *) return 1 ;;
    esac
}

# What only some files may have: a pattern of paths, a pattern of code, what it is.
reserved() {
    cat <<'TABLE'
^(comm/|api/ranks\.c:)	(^|[^A-Za-z0-9_])(MPI_[A-Za-z_]+|<mpi\.h>)	MPI
^io/	(^|[^A-Za-z0-9_])(H5[A-Z]+[a-z_]|<hdf5[_a-z]*\.h>)	HDF5
^math/	(^|[^A-Za-z0-9_])(cblas_|openblas_|LAPACKE?_|[sd](gesdd|syevd)_|<cblas\.h>|<lapacke\.h>)	BLAS
^math/	(^|[^A-Za-z0-9_])(_mm[0-9]*_|__m(128|256|512)|<[a-z]+intrin\.h>)	SIMD
^(base/team\.c:|io/stream\.c:|search/fetch\.c:|build/publisher\.c:|comm/watchdog\.c:)	(^|[^A-Za-z0-9_])pthread_create[ \t]*\(	threads
^cli/	(^|[^A-Za-z0-9_])(v?printf[ \t]*\(|puts[ \t]*\(|putchar|stdout)	printing to stdout
^(cli/|base/stop\.c:)	(^|[^A-Za-z0-9_])(_?exit|_Exit|quick_exit)[ \t]*\(	exit
^(cli/|base/numbers\.c:|comm/context\.c:)	(^|[^A-Za-z0-9_])abort[ \t]*\(	abort
^base/memory\.c:	(^|[^A-Za-z0-9_])(malloc|calloc|realloc|aligned_alloc|posix_memalign|strdup)[ \t]*\(	allocation beside ivf_new
TABLE
}

may_include() {
    local module=$1 header=$2 entry
    case $header in
    "$module"/* | mpivf/*) return 0 ;;
    esac
    for entry in $(allowed "$module"); do
        case $header in
        "$entry" | "$entry"/*) return 0 ;;
        esac
    done
    return 1
}

# judge SRC: prints "file:line: what" for each violation.
judge() {
    local source=$1 file line header only pattern what
    (
        mkdir -p "$work/code"
        cd "$source"
        find . -name '*.[ch]' -printf '%P\n' | sort | while read -r file; do
            if ! allowed "${file%%/*}" >/dev/null; then
                echo "$file:1: ${file%%/*} is not a known module"
                continue
            fi
            mkdir -p "$work/code/${file%/*}"
            awk -f "$support/code_only.awk" "$file" >"$work/code/$file"
            while IFS=: read -r line header; do
                may_include "${file%%/*}" "$header" || echo "$file:$line: ${file%%/*} may not include $header"
            done < <(grep -nE '^[ \t]*#[ \t]*include[ \t]*"' "$work/code/$file" | sed -E 's/^([0-9]+):[^"]*"([^"]*)".*/\1:\2/')
        done
        cd "$work/code"
        while IFS=$'\t' read -r only pattern what; do
            grep -rnE "$pattern" . | sed 's|^\./||' | grep -vE "$only" | sed -E "s/^([^:]*:[0-9]+):.*/\1: $what belongs elsewhere/" || true
        done < <(reserved)
    )
}

# must_find FILE TEXT: the judge finds a file of that name and text.
must_find() {
    local copy=$work/planted
    rm -rf "$copy" "$work/code"
    mkdir -p "$copy/${1%/*}"
    printf '%b\n' "$2" >"$copy/$1"
    if ! judge "$copy" | grep -q "^$1:"; then
        echo "the lint does not find '$2' in $1"
        exit 1
    fi
}

work=$(mktemp -d "$PWD/layers.XXXXXX")
must_find base/planted.c '#include "comm/context.h"'
must_find math/planted.c '#include "io/h5.h"'
must_find io/planted.c '#include "index/model.h"'
must_find io/planted.c '#include "math/topk.h"'
must_find search/planted.c '#include "build/build.h"'
must_find index/planted.h '#include "cli/options.h"'
must_find nowhere/planted.c 'int x;'
must_find io/planted.c 'int f(void)\n{\n    return MPI_Barrier(0);\n}'
must_find build/planted.c '#include <hdf5.h>'
must_find index/planted.c 'void f(void) { H5Fclose(0); }'
must_find cluster/planted.c 'void f(void) { cblas_sgemm(); }'
must_find search/planted.c 'static __m256 x;'
must_find build/planted.c 'pthread_create(&t, NULL, f, NULL);'
must_find search/planted.c 'void f(void) { printf("x"); }'
must_find build/planted.c 'void f(void) { exit(1); }'
must_find codec/planted.c 'void f(void) { malloc(1); }'

rm -rf "$work/code"
found=$(judge "$MPIVF_SOURCE/src")
rm -rf "$work"
[ -z "$found" ] || { echo "$found"; exit 1; }
