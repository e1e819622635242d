#!/bin/sh
# Tests the newest whole checkpoint in a work dir: sh test.sh WORK_DIR [options of tools/test.py]
exec "${PYTHON:-python}" "$(dirname "$(readlink -f "$0")")/tools/test_work_dir.py" "$@"
