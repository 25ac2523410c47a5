/*
 * Times bare spawns inside a guest: for each line on stdin (a program and its arguments, separated by spaces) starts it
 * from this small process, waits for its end, and prints the ns that took.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

extern char **environ;

static long long now(void) {
	struct timespec time;
	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1000000000LL + time.tv_nsec;
}

int main(void) {
	char line[1024];
	posix_spawn_file_actions_t actions;
	posix_spawn_file_actions_init(&actions);
	for (int fd = 0; fd < 3; fd++) posix_spawn_file_actions_addopen(&actions, fd, "/dev/null", O_RDWR, 0);
	while (fgets(line, sizeof line, stdin) != NULL) {
		char *words[16] = {0};
		int count = 0;
		for (char *word = strtok(line, " \n"); word != NULL && count < 15; word = strtok(NULL, " \n")) words[count++] = word;
		pid_t child;
		int status = 0;
		long long started = now();
		if (count == 0 || posix_spawn(&child, words[0], &actions, NULL, words, environ) != 0) return 1;
		if (waitpid(child, &status, 0) != child || status != 0) return 1;
		printf("%lld\n", now() - started);
		fflush(stdout);
	}
	return 0;
}
