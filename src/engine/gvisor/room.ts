/**
 * Memory that a container may take beside what its guest was promised, bytes. Its engine needs some KB for each file,
 * socket and thread of the guest, and several times that after it wrote an image. docs/self-hosting.md tells operators.
 */
const MB = 1024 * 1024;

/** The engine's. Where guest and engine have more together, the host's limit is near: processes of the guest must end. */
export const ENGINE_BYTES = 1280 * MB;
/** Version 2 of cgroups slows a guest down from here on: above what it may have, while there is time to choose what ends. */
export const SLOW_ROOM_BYTES = ENGINE_BYTES + 192 * MB;
/** The hard limit, at which the sandbox ends as a whole: higher by what a guest at full speed takes until it was stopped. */
export const HEAD_ROOM_BYTES = ENGINE_BYTES + 768 * MB;
