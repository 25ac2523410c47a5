/* Starts a program between vfork and exec: the child shares our memory until exec, so it must only make system calls. */
#define _GNU_SOURCE
#include "sysd.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static const char DEFAULT_PATH[] = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

static const char *path_of(char **envp) {
	const char *found = DEFAULT_PATH;
	for (; *envp != NULL; envp++)
		if (strncmp(*envp, "PATH=", 5) == 0) found = *envp + 5;
	return found;
}

/* The paths to try, made ahead because the child must not allocate. NULL-terminated; free the list and its strings. */
static char **candidates(const char *program, char **envp) {
	if (strchr(program, '/') != NULL || *program == 0) {
		char **list = checked(calloc(2, sizeof *list));
		list[0] = checked(strdup(program));
		return list;
	}
	const char *path = path_of(envp);
	size_t count = 1;
	for (const char *p = path; *p != 0; p++) count += *p == ':';
	char **list = checked(calloc(count + 1, sizeof *list));
	for (size_t i = 0; i < count; i++) {
		size_t length = strcspn(path, ":");
		/* An empty entry means the working directory. */
		const char *directory = length == 0 ? "." : path;
		if (length == 0) length = 1;
		list[i] = checked(malloc(length + strlen(program) + 2));
		memcpy(list[i], directory, length);
		list[i][length] = '/';
		strcpy(list[i] + length + 1, program);
		path += strcspn(path, ":");
		if (*path == ':') path++;
	}
	return list;
}

static bool open_terminal(const char *path) {
	int fd = open(path, O_RDWR | O_NOCTTY);
	if (fd < 0 || ioctl(fd, TIOCSCTTY, 0) != 0) return false;
	for (int i = 0; i < 3; i++)
		if (fd != i && dup2(fd, i) < 0) return false;
	if (fd > 2) close(fd);
	return true;
}

/* Writing 0 to it makes the writer a member; -1 where there is no such group. */
static int members = -1;

void launch_into(const char *path) {
	members = open(path, O_WRONLY | O_CLOEXEC);
}

/* Root in here may have taken the group away: better a program without it than none. */
static void join_group(void) {
	if (members >= 0 && write(members, "0", 1) != 1) return;
}

/* The descriptors are all above 2 (main opens 0 to 2), so no dup2 here overwrites one that is still needed. */
static bool use_descriptors(const int standard[3]) {
	for (int i = 0; i < 3; i++)
		if (standard[i] >= 0 && dup2(standard[i], i) < 0) return false;
	return true;
}

/* The raw calls change this task only; the library's would reach for threads of the memory we share. */
static bool become(const struct launch *l) {
	return syscall(SYS_setgroups, l->group_count, l->groups) == 0 &&
		   syscall(SYS_setresgid, l->gid, l->gid, l->gid) == 0 && syscall(SYS_setresuid, l->uid, l->uid, l->uid) == 0;
}

__attribute__((noinline)) static int exec_first(const struct launch *l, char **paths) {
	int error = ENOENT;
	for (size_t i = 0; paths[i] != NULL; i++) {
		execve(paths[i], l->argv, l->envp);
		if (errno == EACCES) error = EACCES;
		else if (errno != ENOENT && errno != ENOTDIR) return errno;
	}
	return error;
}

__attribute__((noinline)) static enum launch_stage child(const struct launch *l, char **paths, int *error) {
	sigset_t none;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	setsid();
	join_group();
	enum launch_stage stage = STAGE_RESOURCES;
	bool ok = l->terminal != NULL ? open_terminal(l->terminal) : use_descriptors(l->standard);
	if (ok) {
		stage = STAGE_CREDENTIALS;
		ok = become(l);
	}
	if (ok) {
		stage = STAGE_CWD;
		ok = chdir(l->cwd) == 0;
	}
	*error = errno;
	if (!ok) return stage;
	*error = exec_first(l, paths);
	return STAGE_EXEC;
}

/* Alone in its function: the child returns into a frame that the parent goes on to use, so nothing else may live there. */
__attribute__((noinline)) static pid_t start(const struct launch *l, char **paths, volatile enum launch_stage *stage,
											 volatile int *error) {
	pid_t pid = vfork();
	if (pid != 0) return pid;
	int reason = 0;
	*stage = child(l, paths, &reason);
	*error = reason;
	_exit(127);
}

int launch(const struct launch *l, pid_t *pid, enum launch_stage *stage) {
	char **paths = candidates(l->program, l->envp);
	/* Written by the child in the memory it shares with us. */
	volatile int error = 0;
	volatile enum launch_stage failed = STAGE_RESOURCES;
	*pid = start(l, paths, &failed, &error);
	if (*pid < 0) error = errno;
	for (char **p = paths; *p != NULL; p++) free(*p);
	free(paths);
	*stage = failed;
	return error;
}
