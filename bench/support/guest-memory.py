"""For each process of this sandbox: kB of memory that it has written to, which is what goes into a snapshot's image."""
import os
import re

PAGE = 4096
ZERO = bytes(PAGE)
PIECE = 1 << 20
MAPPING = re.compile(r"([0-9a-f]+)-([0-9a-f]+) (\S+) \S+ \S+ \S+\s*(.*)")


def is_private_data(permissions, path):
    return "r" in permissions and not path.startswith("[v") and ("w" in permissions or path == "" or path.startswith("["))


def written_kilobytes(pid):
    pages = 0
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory, open(f"/proc/{pid}/maps") as maps:
        for start, end, permissions, path in (MAPPING.match(line).groups() for line in maps):
            if not is_private_data(permissions, path):
                continue
            for at in range(int(start, 16), int(end, 16), PIECE):
                try:
                    memory.seek(at)
                    data = memory.read(min(PIECE, int(end, 16) - at))
                except OSError:
                    continue
                if data.count(0) < len(data):
                    pages += sum(data[i : i + PAGE] != ZERO for i in range(0, len(data), PAGE))
    return pages * PAGE // 1024


for pid in sorted(int(name) for name in os.listdir("/proc") if name.isdigit()):
    if pid in (os.getpid(), os.getppid()):
        continue
    with open(f"/proc/{pid}/cmdline", "rb") as file:
        command = file.read().replace(b"\0", b" ").decode().strip()
    print(written_kilobytes(pid), command)
