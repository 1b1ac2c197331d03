#!/usr/bin/env bash
# The configuration file: what is printed loads as the same, examples load, faults are placed.
# shellcheck source=../support/cli.sh
source "$MPIVF_SOURCE/tests/support/cli.sh"

# round_trip COMMAND ARGUMENT...: the printed configuration, loaded, prints the same.
round_trip() {
    expect 0 "$MPIVF" "$@" --print-config
    cp out first.yml
    expect 0 "$MPIVF" "$1" --config first.yml --print-config
    same out first.yml
    if command -v yq >/dev/null; then yq . first.yml >/dev/null || fail "no YAML"; fi
}
round_trip build 'an "odd" \ name: #1' --input a.npy --input 'b*.npy' --metric cosine --tolerance 1e-4 --replace --threads 2
round_trip search x.ivf --queries q.fbin --k 7 --output o.h5
round_trip eval x.ivf --queries q.fbin --groundtruth g.bin --k 1,10,100 --nprobe 1,8
round_trip exact --input a.npy --queries q.fbin --output o.bin --metric ip
round_trip info x.ivf --json
round_trip verify x.ivf --quiet
round_trip generate --output a.npy --rows 5 --dim 3 --noise 0.5 --queries 2 --queries-output b.npy

# The command line beats the file, the file the default.
printf 'index: x\ninput: [a.npy]\niterations: 6\npq-iterations: 7\nreplace: true\n' >some.yml
expect 0 "$MPIVF" build --config some.yml --iterations 5 --no-replace --print-config
prints '^iterations: 5$'
prints '^pq-iterations: 7$'
prints '^replace: false$'
prints '^seed: 1$'

# Every example is for the command that its first line names.
count=0
for file in "$MPIVF_SOURCE"/configs/*.yml; do
    command=$(sed -nE '1s/^# .*mpivf ([a-z]+) --config .*/\1/p' "$file")
    [ -n "$command" ] || fail "$file does not say what it is for"
    expect 0 ranks 2 "$MPIVF" "$command" --config "$file" --print-config
    prints "^# mpivf $command\$"
    count=$((count + 1))
done
[ "$count" -ge 3 ] || fail "$count examples"

printf 'index: x\n\niteration: 6\n' >bad.yml
expect 2 "$MPIVF" build --config bad.yml
complains "build: bad.yml:3: unknown key 'iteration'; did you mean 'iterations'?"
expect 2 ranks 3 "$MPIVF" build --config bad.yml
grep -q "^mpivf: build: bad.yml:3: unknown key 'iteration'; did you mean 'iterations'?" err || fail "no such error"
printf 'index: x\nk: 0\n' >bad.yml
expect 2 "$MPIVF" search --config bad.yml
complains "search: bad.yml:2: k: 0 is out of range: 1 to 65536"
printf 'index: x\nfactory: IVF,SQ8\n' >bad.yml
expect 2 "$MPIVF" search --config bad.yml
complains "search: bad.yml:2: unknown key 'factory'; see mpivf search --help"
expect 3 ranks 2 "$MPIVF" search --config missing.yml
[ "$(grep -c '^mpivf: ' err)" -eq 1 ] || fail "not one line of error"
