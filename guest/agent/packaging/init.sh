#!/opt/offshoot/bin/busybox sh
# The only child of the sandbox's first process: starts the daemons and starts them again when they end. Uses nothing
# of the root filesystem but /run, which is made if need be.

home=/opt/offshoot
busybox=$home/bin/busybox
runtime="--inhibit-cache --library-path $home/lib --preload $home/lib/preload.so $home/bin/runtime"

# What a daemon holds is in every snapshot, so: small heaps; of Node itself only what is used, at 0.1 s more for a start; and
# machine code only for what runs very often, as the quicker compilers would fill 0.7 MB while a daemon starts.
heap="--max-semi-space-size=1 --optimize-for-size --no-node-snapshot --no-sparkplug --no-maglev"
flags="--require $home/lib/start.cjs $heap --v8-pool-size=1 --expose-gc --no-warnings"

# The first restart comes at once; a program that keeps failing within 10 s is started ever less often, every 5 s at last.
supervise() {
	delay=0
	while :; do
		started=$($busybox date +%s)
		"$@"
		ended=$($busybox date +%s)
		if [ $((ended - started)) -ge 10 ]; then delay=0; fi
		case $delay in
		0) pause=0.1 delay=1 ;;
		1) pause=0.5 delay=2 ;;
		2) pause=1 delay=3 ;;
		3) pause=2 delay=4 ;;
		*) pause=5 ;;
		esac
		$busybox sleep $pause
	done
}

agent() {
	OFFSHOOT_CONTROL_KEY=$key MALLOC_ARENA_MAX=1 \
		$home/bin/offshoot-agentd $runtime --title=offshoot-agentd $flags $home/agent/main.js
}

interpreter() {
	OFFSHOOT_PROGRAMS=$programs/cgroup.procs \
		OFFSHOOT_NODE_COMMAND="[\"$home/bin/offshoot-kernel\",\"--inhibit-cache\",\"--library-path\",\"$home/lib\",\"--preload\",\"$home/lib/preload.so\",\"$home/bin/runtime\",\"--title=offshoot-kernel\",\"--require\",\"$home/lib/start.cjs\"]" \
		MALLOC_ARENA_MAX=1 \
		$home/bin/offshoot-interp $runtime --title=offshoot-interp $flags $home/interpreter/main.js
}

key=$OFFSHOOT_CONTROL_KEY
with_interpreter=$OFFSHOOT_INTERPRETER
unset OFFSHOOT_CONTROL_KEY OFFSHOOT_INTERPRETER

# What users start, however it is started, is in one cgroup: a fork or a thread too many in it fails with EAGAIN as on
# Linux, while the services go on. The host reads it, and ends what keeps on trying.
programs=/run/offshoot/cgroup/programs
$busybox mkdir -p /run/offshoot/cgroup
if $busybox mount -t cgroup2 cgroup /run/offshoot/cgroup && $busybox mkdir $programs; then
	echo 1024 >$programs/pids.max
fi
cd /
supervise $home/bin/offshoot-sysd /run/offshoot/sysd.sock $programs/cgroup.procs &
if [ "$with_interpreter" = 1 ] && [ -e $home/interpreter/main.js ]; then supervise interpreter & fi
supervise agent
