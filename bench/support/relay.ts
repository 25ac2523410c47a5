import { spawn } from "node:child_process";
import { once } from "node:events";
import { type AddressInfo, connect, createServer } from "node:net";
import { fileURLToPath } from "node:url";

/**
 * The least that another process between client and guest can cost on this machine: a relay of bytes that reads none of
 * them. As a program it is that process; imported it starts one.
 */
export interface Relay extends Disposable {
	readonly port: number;
}

/** Starts a relay to a guest's server. */
export async function startRelay(host: string, port: number): Promise<Relay> {
	const args = [fileURLToPath(import.meta.url), host, String(port)];
	const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
	const [line] = await once(child.stdout, "data");
	return { port: Number(line), [Symbol.dispose]: () => void child.kill() };
}

if (import.meta.main) {
	const [host = "", port] = process.argv.slice(2);
	const server = createServer({ noDelay: true }, (client) => {
		const guest = connect({ host, port: Number(port), noDelay: true });
		client.pipe(guest).pipe(client);
		client.on("error", () => guest.destroy());
		guest.on("error", () => client.destroy());
	});
	server.listen(0, "127.0.0.1", () => console.log((server.address() as AddressInfo).port));
}
