/** Composes the single-machine server from the rooms. */
import { OffshootError } from "../protocol/index.ts";
import type { CleanHost, StartServer } from "./server-contract.ts";

export const startServer: StartServer = async () => {
	throw new OffshootError("not_implemented", "the server is not composed yet");
};

export const cleanHost: CleanHost = async () => {};
