#!/usr/bin/env bash
# in_folder.sh FOLDER COMMAND...: runs a command in an emptied folder of its own, and leaves no process of its group behind.
set -eu
folder=$1
shift
rm -rf "$folder"
mkdir -p "$folder"
cd "$folder"
exec "$@"
