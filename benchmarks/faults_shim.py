"""Between a process and the kernel: a clock that is set wrong; a disk that is full, or a kill, at a write."""

import ctypes
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

_SOURCE = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>
#define REAL(kind, name, ...) static kind (*real)(__VA_ARGS__); if (!real) real = dlsym(RTLD_NEXT, name)

static volatile double *ahead;
void clock_at(double *seconds) { ahead = seconds; }
int clock_gettime(clockid_t which, struct timespec *now) {
  REAL(int, "clock_gettime", clockid_t, struct timespec *);
  int code = real(which, now);
  int wall = which == CLOCK_REALTIME || which == CLOCK_REALTIME_COARSE;
  if (!code && ahead && wall) now->tv_sec += (long)*ahead;
  return code;
}
int gettimeofday(struct timeval *restrict now, void *restrict zone) {
  REAL(int, "gettimeofday", struct timeval *, void *);
  int code = real(now, zone);
  if (!code && ahead) now->tv_sec += (long)*ahead;
  return code;
}
time_t time(time_t *to) {
  struct timeval now;
  gettimeofday(&now, NULL);
  if (to) *to = now.tv_sec;
  return now.tv_sec;
}

static char below[4096];
static long seen, at;
static int kills;
void arm(const char *folder, long number, int mode) {
  strncpy(below, folder, sizeof below - 1);
  seen = 0; at = number; kills = mode;
}
long writes(void) { return seen; }
static int acts(const char *path) {
  if (!below[0] || strncmp(path, below, strlen(below))) return 0;
  if (++seen < at || !at) return 0;
  if (kills == 1) kill(getpid(), SIGKILL);
  errno = ENOSPC;
  return 1;
}
static int acts_on(int file) {
  char link[64], path[4096];
  if (!below[0]) return 0;
  snprintf(link, sizeof link, "/proc/self/fd/%d", file);
  ssize_t length = readlink(link, path, sizeof path - 1);
  if (length < 0) return 0;
  path[length] = 0;
  return acts(path);
}
ssize_t write(int file, const void *bytes, size_t count) {
  REAL(ssize_t, "write", int, const void *, size_t);
  if (!acts_on(file)) return real(file, bytes, count);
  if (kills == 2) { real(file, bytes, count / 2); kill(getpid(), SIGKILL); }
  errno = ENOSPC;
  return -1;
}
#define PWRITE(name, offset) \
ssize_t name(int file, const void *bytes, size_t count, offset from) { \
  REAL(ssize_t, #name, int, const void *, size_t, offset); \
  if (!acts_on(file)) return real(file, bytes, count, from); \
  if (kills == 2) { real(file, bytes, count / 2, from); kill(getpid(), SIGKILL); } \
  errno = ENOSPC; \
  return -1; \
}
PWRITE(pwrite, off_t)
PWRITE(pwrite64, off64_t)
#define OPEN(name) \
int name(const char *path, int flags, ...) { \
  va_list more; va_start(more, flags); mode_t mode = va_arg(more, mode_t); va_end(more); \
  REAL(int, #name, const char *, int, ...); \
  if ((flags & O_CREAT) && access(path, F_OK) && acts(path)) { errno = ENOSPC; return -1; } \
  return real(path, flags, mode); \
}
OPEN(open)
OPEN(open64)
int mkdir(const char *path, mode_t mode) {
  REAL(int, "mkdir", const char *, mode_t);
  if (acts(path)) { errno = ENOSPC; return -1; }
  return real(path, mode);
}
int rename(const char *from, const char *to) {
  REAL(int, "rename", const char *, const char *);
  if (acts(to)) { errno = ENOSPC; return -1; }
  return real(from, to);
}
"""


def shim(folder: Path) -> Any:
    """The library, loaded before all others: this process begins again where it is not there yet.

    `clock_at(pointer)` adds the seconds there to what clocks say; `arm(folder, n, mode)` has the n-th write
    below a folder and all after it fail (0), or kills there (1), or in its middle (2); `writes()` counts.
    """
    made = os.environ.pop("FAULTS_SHIM", None)
    if made is None:
        (folder / "shim.c").write_text(_SOURCE)
        made = str(folder / "shim.so")
        subprocess.run(["cc", "-O1", "-shared", "-fPIC", "-o", made, folder / "shim.c", "-ldl"], check=True)
        own = {"LD_PRELOAD": made, "FAULTS_SHIM": made}
        os.execve(sys.executable, [sys.executable, *sys.argv], os.environ | own)
    library = ctypes.CDLL(made)
    os.environ.pop("LD_PRELOAD", None)
    shutil.rmtree(Path(made).parent)
    return library
