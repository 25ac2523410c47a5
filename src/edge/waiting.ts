/**
 * Bytes that may wait for a slow receiver on each connection. Node's own limit is as long as what it reads at a time, so
 * that every full chunk of a stream would stop its sender and let it go again.
 */
export const WAITING_BYTES = 256 * 1024;
