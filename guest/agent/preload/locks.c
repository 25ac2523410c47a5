/*
 * Loaded into our Nodes before they start. Some builds of Node carry a lock library that looks for deadlocks: each process
 * then holds a table of 1 MB, which would be in every snapshot, and pays for a search at every lock.
 */

/* absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle); absent in builds without it. */
__attribute__((weak)) void _ZN4absl29SetMutexDeadlockDetectionModeENS_15OnDeadlockCycleE(int mode);

enum { IGNORE = 0 };

__attribute__((constructor)) static void stop_looking_for_deadlocks(void) {
	if (_ZN4absl29SetMutexDeadlockDetectionModeENS_15OnDeadlockCycleE != 0)
		_ZN4absl29SetMutexDeadlockDetectionModeENS_15OnDeadlockCycleE(IGNORE);
}
