#!/usr/bin/env bash
# The same input, configuration and seed give the same bytes for every number of ranks and threads and every CPU: models
# and fragments entirely, manifests but for the record of the run.
# shellcheck source=../support/cli.sh
source "$MPIVF_SOURCE/tests/support/cli.sh"

sums() { # of what a build may not change
    (cd "$1" && find models fragments -type f -print0 | sort -z | xargs -0 sha256sum)
}

manifest() { # without the record of the run and the checksum over it
    sed -e '/^ "build": {/,/^ }/d' -e '/^ "checksum"/d' "$1/manifests/000001.json"
}

for factory in IVF64,PQ16 IVF64,SQ8 IVF64,Flat; do
    build=(build --quiet --input "$photosift/base.u8bin" --factory "$factory" --fragment-rows 777)
    rm -rf reference
    expect 0 ranks 1 "$MPIVF" "${build[@]}" --threads 1 reference
    sums reference >reference.sums
    manifest reference >reference.manifest
    [ "$(grep -c fragments/ reference.sums)" -eq 13 ] || fail "$factory: not 13 fragments: $(cat reference.sums)"
    for np in 1 2 3 5; do
        for threads in 1 2; do
            [ "$np$threads" != 11 ] || continue
            train_on=$([ "$threads" -eq 1 ] && echo all || echo root)
            expect 0 env OMP_NUM_THREADS="$threads" timeout 60 mpirun -n "$np" --bind-to none "$MPIVF" "${build[@]}" \
                --train-on "$train_on" index
            sums index | cmp - reference.sums || fail "$factory: $np ranks, $threads threads: other bytes than with one"
            manifest index | diff - reference.manifest || fail "$factory: $np ranks, $threads threads: another manifest"
            rm -rf index
        done
    done
done

# The kernels of every CPU type give the same bits, where there is a CPU to run them.
if grep -qw avx2 /proc/cpuinfo; then
    for factory in IVF64,PQ16 IVF64,SQ8; do
        simd=(build --quiet --input "$photosift/base.u8bin" --factory "$factory")
        expect 0 env MPIVF_SIMD=reference timeout 60 mpirun -n 2 --bind-to none "$MPIVF" "${simd[@]}" plain
        expect 0 env MPIVF_SIMD=avx2 timeout 60 mpirun -n 2 --bind-to none "$MPIVF" "${simd[@]}" avx2
        expect 0 ranks 2 "$MPIVF" "${simd[@]}" best
        sums plain >plain.sums
        sums avx2 | cmp - plain.sums || fail "$factory: AVX2 gives other bytes than plain C"
        sums best | cmp - plain.sums || fail "$factory: the best kernels give other bytes than plain C"
        rm -rf plain avx2 best
    done
fi

# Another seed gives other bytes, or the above would say nothing.
expect 0 ranks 1 "$MPIVF" "${build[@]}" --seed 2 other
if [ "$(sums other | cut -c1-64 | sort)" = "$(cut -c1-64 reference.sums | sort)" ]; then
    fail "another seed gives the same bytes"
fi
