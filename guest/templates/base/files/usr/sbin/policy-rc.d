#!/bin/sh
# There is no service manager in a sandbox: packages must not try to start their services while they are installed.
exit 101
