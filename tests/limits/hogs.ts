/** Commands that take all they can get of one thing. */

/** Ends when it is killed. */
export const MEMORY_HOG = `python3 -c "
held = []
while True: held.append(bytearray(50 << 20))"`;

export const CPU_BURNER = "for n in 1 2 3 4; do (while :; do :; done) & done; wait";

export const FORK_BOMB = "bomb() { bomb | bomb & }; bomb; sleep 600";

/** Grows faster, and heeds no failed fork at all. */
export const PYTHON_FORK_BOMB = `python3 -c "
import os
while True:
  try: os.fork()
  except OSError: pass"`;

/** Heeds no failed start of a thread. */
export const THREAD_BOMB = `python3 -c "
import threading
held = threading.Event()
while True:
  try: threading.Thread(target=held.wait, daemon=True).start()
  except RuntimeError: pass"`;

/** No two of its processes share a process group. */
export const SCATTERED_FORK_BOMB = PYTHON_FORK_BOMB.replace("os.fork()", "os.fork() == 0 and os.setsid()");

/** Takes all but a little of the disk, then writes that little full again and again. */
export const DISK_FILLER =
	"fallocate -l $(($(df --output=avail -k / | tail -1) - 131072))K full; while :; do head -c 256M /dev/zero > more; done";

/** Processes each of which has so many arguments, all of them empty. */
export const MANY_ARGUMENTS = `python3 -c "
import os, sys
many = 'import os, time; [os.fork() for n in range(5)]; time.sleep(1000)'
os.execv(sys.executable, [sys.executable, '-c', many] + [''] * 100_000)"`;

/** Processes that are longer to tell than anybody reads, for the paths of what they have open. */
export const MANY_DESCRIPTORS = `python3 -c "
import os, resource, time
for n in range(15):
  os.mkdir('d' * 250)
  os.chdir('d' * 250)
held = open('file', 'w')
resource.setrlimit(resource.RLIMIT_NOFILE, (4_000, 4_000))
for n in range(3_000): os.dup(held.fileno())
for n in range(3): os.fork()
time.sleep(1000)"`;
